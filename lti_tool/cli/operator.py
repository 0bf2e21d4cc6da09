"""What an operator does once in a while: tables, catalogue, platforms, the registrar's list, keys."""

import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from lti_tool import clock
from lti_tool.cli.console import Stopped, application, counted
from lti_tool.credentials import catalog as catalogue
from lti_tool.credentials.service import Loaded, store
from lti_tool.credit.service import store_rules
from lti_tool.database import db, schema
from lti_tool.issuers import keys as issuer_keys
from lti_tool.lti import keys as tool_keys
from lti_tool.lti.models import Deployment, Platform, Registration
from lti_tool.people import doors
from lti_tool.people.models import DeskAccess, Purpose
from lti_tool.people.service import grant_desk, withdraw_desk
from lti_tool.settings import config_dir, current

_MOST_LISTED = 1000


def prepare(now: datetime) -> list[str]:
    """Migrate the database, make the tool's key and the issuer where they are missing, and commit.

    :returns: what was done, a line each.
    """
    before = schema.revision()
    schema.upgrade()
    after = schema.revision()
    done = [
        f"Tables: at {after} already." if before == after else f"Tables: from {before or 'none'} to {after}."
    ]
    try:
        done += _identities(now)
    except IntegrityError:
        # Another process that started at the same moment was quicker; what it made is ours as well.
        db.session.rollback()
        done += _identities(now)
    return done


def _identities(now: datetime) -> list[str]:
    had_key = bool(tool_keys.list_keys())
    issuer = issuer_keys.ensure_issuer(now=now)
    issuer_keys.ensure_keys(issuer, now=now)
    key = tool_keys.ensure_key(now)
    db.session.commit()
    return [
        f"Tool key: {key.kid} {'stands' if had_key else 'made'}.",
        f"Issuer: {issuer.name}, {issuer.did}.",
    ]


def publish(found: catalogue.Catalog, *, now: datetime) -> Loaded:
    """Publish what is new in a catalogue, together with what authorities say about it. The caller commits.

    :raises CatalogConflict: a published version now has other words.
    """
    credit = {(spec.key, spec.version): spec.credit for spec in found.credentials}
    loaded = store(found, now=now)
    for version in loaded.published:
        store_rules(version.id, credit[version.credential.key, version.number])
    return loaded


def read_catalogue(folder: Path, frameworks: Path) -> catalogue.Catalog:
    """Read a catalogue, printing every problem on a line of its own if there are any, and then ending."""
    try:
        return catalogue.load(folder, frameworks)
    except catalogue.CatalogErrors as refused:
        for problem in refused.problems:
            click.echo(problem, err=True)
        click.echo(f"{counted(refused.problems, 'problem')}; nothing was changed.", err=True)
        raise click.exceptions.Exit(1) from None


@click.group()
def database() -> None:
    """Bring the database up to date."""


@database.command("upgrade")
def database_upgrade() -> None:
    """Make or migrate the tables; make the tool's key and the issuer where they are missing.

    Safe to run at every start: what stands already is left alone.
    """
    with application(migrated=False):
        where = make_url(current().database_url).render_as_string(hide_password=True)
        click.echo(f"Database: {where}")
        for line in prepare(clock.now()):
            click.echo(line)


@click.group()
def catalog() -> None:
    """Check and publish micro-credentials."""


_CATALOG = click.option(
    "--catalog",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=lambda: config_dir() / "catalog",
    show_default="the shipped one",
    help="Folder with one YAML file per micro-credential, stacks.yaml, and retired.yaml where files are gone.",
)
_FRAMEWORKS = click.option(
    "--frameworks",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=lambda: config_dir() / "frameworks",
    show_default="the shipped one",
    help="Folder with one YAML file per framework of standards.",
)


@catalog.command("check")
@_CATALOG
@_FRAMEWORKS
def catalog_check(folder: Path, frameworks: Path) -> None:
    """Read the files and say what is wrong with them. Needs no database and changes nothing."""
    found = read_catalogue(folder, frameworks)
    for advice in found.warnings:
        click.echo(f"{advice} (advice)")
    click.echo(
        f"No problems: {counted(found.credentials, 'micro-credential')}, {counted(found.stacks, 'stack')}, "
        f"{counted(found.frameworks, 'framework')}."
    )


@catalog.command("load")
@_CATALOG
@_FRAMEWORKS
def catalog_load(folder: Path, frameworks: Path) -> None:
    """Publish every version that is new. A file with a problem stops all of it."""
    found = read_catalogue(folder, frameworks)
    with application():
        loaded = publish(found, now=clock.now())
        lines = [
            f"Published {version.credential.key}, version {version.number}: {version.title}"
            for version in loaded.published
        ]
        lines += [
            f"Published the stack {version.stack.key}, version {version.number}: {version.title}"
            for version in loaded.stacks
        ]
        db.session.commit()
        for line in lines:
            click.echo(line)
        for key in loaded.left_out:
            click.echo(
                f"{key} has no file any more and stays on offer. To retire it, name it in retired.yaml."
            )
        click.echo(f"{len(lines)} published, {loaded.unchanged} stood already.")


@click.group()
def registrar() -> None:
    """Say who may open the registrar's desk."""


_PLATFORM = click.option("--platform", "named", required=True, help="Its number or name (`platform list`).")
_DEPLOYMENT = click.option("--deployment", help="May be left out where the platform has only one.")
_SUBJECT = click.option(
    "--subject",
    required=True,
    help="Their id at the platform. The page that refuses them shows the whole command.",
)


@registrar.command("add")
@_PLATFORM
@_DEPLOYMENT
@_SUBJECT
def registrar_add(named: str, deployment: str | None, subject: str) -> None:
    """Put an administrator on the list of a deployment; `invite` is for everybody else."""
    with application():
        added = grant_desk(find_deployment(named, deployment), subject, now=clock.now())
        db.session.commit()
        click.echo("Added. They can open the desk now." if added else "They stand on the list already.")


@registrar.command("invite")
@_PLATFORM
@_DEPLOYMENT
@click.option("--for", "note", required=True, help="For whom, so that it is recognized under Connections.")
@click.option(
    "--days", type=click.IntRange(1, 30), default=7, show_default=True, help="How long it can be used."
)
def registrar_invite(named: str, deployment: str | None, note: str, days: int) -> None:
    """Invite a registrar who is no administrator. Whoever uses the link first has the desk, so send it safely."""
    with application():
        secret = doors.invite(
            Purpose.REGISTRAR,
            deployment_pk=find_deployment(named, deployment).id,
            note=note,
            lasts=timedelta(days=days),
            now=clock.now(),
        )
        db.session.commit()
        click.echo(f"{current().public_url}/desk/invitation/{secret}")


@registrar.command("remove")
@_PLATFORM
@_DEPLOYMENT
@_SUBJECT
def registrar_remove(named: str, deployment: str | None, subject: str) -> None:
    """Take someone off the list of a deployment."""
    with application():
        if not withdraw_desk(find_deployment(named, deployment), subject, now=clock.now()):
            raise Stopped(f"{subject} does not stand on that list. `lti-tool registrar list` shows who does.")
        db.session.commit()
        click.echo("Removed. The desk is closed for them from now on.")


@registrar.command("list")
def registrar_list() -> None:
    """Who may open the desk, by deployment."""
    with application():
        listed = db.session.execute(
            select(
                Platform.name,
                Deployment.deployment_id,
                DeskAccess.subject,
                DeskAccess.granted_at,
                DeskAccess.invited,
            )
            .join(Deployment, DeskAccess.deployment_pk == Deployment.id)
            .join(Registration, Deployment.registration_id == Registration.id)
            .join(Platform, Registration.platform_id == Platform.id)
            .order_by(Platform.name, Deployment.id, DeskAccess.id)
            .limit(_MOST_LISTED)
        ).all()
        for name, deployment_id, subject, granted_at, invited in listed:
            how = ", invited" if invited else ""
            click.echo(f"{name}, deployment {deployment_id}: {subject} since {granted_at:%Y-%m-%d}{how}")
        if not listed:
            click.echo(
                "Nobody yet. An administrator who is refused at the desk sees the command that adds them."
            )


def find_deployment(named: str, deployment_id: str | None) -> Deployment:
    """The deployment that an operator means.

    :raises Stopped: there is none, or several.
    """
    wanted = Platform.id == int(named) if named.isdecimal() else Platform.name == named
    found: Sequence[Deployment] = db.session.scalars(
        select(Deployment)
        .join(Registration, Deployment.registration_id == Registration.id)
        .join(Platform, Registration.platform_id == Platform.id)
        .where(wanted)
        .order_by(Deployment.id)
        .limit(_MOST_LISTED)
    ).all()
    if not found:
        raise Stopped(
            f"No platform is called {named!r}. `lti-tool platform list` shows those that are connected."
        )
    if deployment_id is not None:
        found = [row for row in found if row.deployment_id == deployment_id]
    match found:
        case [only]:
            return only
        case []:
            raise Stopped(
                f"{named} has no deployment {deployment_id!r}. `lti-tool platform list` shows them."
            )
    ids = ", ".join(shlex.quote(row.deployment_id) for row in found)
    raise Stopped(f"{named} has several deployments; name one with --deployment: {ids}.")


@click.group()
def keys() -> None:
    """The keys that Tessera signs with towards platforms."""


@keys.command("list")
def keys_list() -> None:
    """Key ids, newest first, what each is doing, and where platforms fetch them."""
    with application():
        now = clock.now()
        for key in tool_keys.list_keys():
            click.echo(f"{key.kid}  made {key.created_at:%Y-%m-%d}  {tool_keys.story(key, now)}")
        click.echo(f"Published at {current().service_url}/lti/jwks")


@keys.command("rotate")
@click.option(
    "--at-once",
    is_flag=True,
    help="Let the new key sign now. Only if the old one has become known: platforms that keep keys for hours refuse "
    "what it signs until they look again.",
)
def keys_rotate(at_once: bool) -> None:
    """Make the next key. It is published for a day, then it signs; workers do the same by themselves in time."""
    with application():
        key = tool_keys.rotate(clock.now(), at_once=at_once)
        db.session.commit()
        click.echo(f"Made {key.kid}: {tool_keys.story(key, clock.now())}.")


@keys.command("withdraw")
@click.argument("kid")
def keys_withdraw(kid: str) -> None:
    """Stop publishing a key at once and forget it, because somebody else may have it."""
    with application():
        tool_keys.withdraw(kid, clock.now())
        db.session.commit()
        click.echo("Withdrawn. Platforms forget it when they look at the key set again.")
