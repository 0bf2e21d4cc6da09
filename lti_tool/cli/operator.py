"""What an operator does once in a while: tables, catalogue, platforms, the registrar's list, keys."""

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from lti_tool import clock
from lti_tool.badges.service import ensure_issuer
from lti_tool.cli.console import Stopped, application
from lti_tool.credentials import catalog as catalogue
from lti_tool.credentials.service import Loaded, store
from lti_tool.credit.service import store_rules
from lti_tool.database import db, schema
from lti_tool.lti import keys as tool_keys
from lti_tool.lti import registrations
from lti_tool.lti.addresses import LAUNCH_PATH
from lti_tool.lti.models import Deployment, Platform, Product, Registration
from lti_tool.lti.platforms import behaviour
from lti_tool.people.models import DeskAccess
from lti_tool.people.service import grant_desk, withdraw_desk
from lti_tool.settings import Settings, config_dir, current

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
    issuer = ensure_issuer(now=now)
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
        count = len(refused.problems)
        click.echo(f"{count} {'problem' if count == 1 else 'problems'}; nothing was changed.", err=True)
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
    help="Folder with one YAML file per micro-credential, and stacks.yaml.",
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
        f"No problems: {len(found.credentials)} micro-credentials, {len(found.stacks)} stacks, "
        f"{len(found.frameworks)} frameworks."
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
        db.session.commit()
        for line in lines:
            click.echo(line)
        click.echo(f"{len(loaded.published)} published, {loaded.unchanged} stood already.")


@click.group()
def platform() -> None:
    """Connect learning platforms."""


@platform.command("add")
@click.option("--name", required=True, help="What you call this platform, such as “Northfield Canvas”.")
@click.option(
    "--product",
    required=True,
    type=click.Choice([str(product) for product in Product]),
    help="Which product it runs.",
)
@click.option(
    "--issuer",
    required=True,
    help="Its issuer (Moodle: “Platform ID”; hosted Canvas: "
    "https://canvas.instructure.com for every school).",
)
@click.option("--client-id", required=True, help="The client id that it has given to Tessera.")
@click.option(
    "--deployment",
    "deployments",
    multiple=True,
    required=True,
    help="A deployment id. Give the option once for each deployment.",
)
@click.option("--auth-url", help="Authentication request address. Known for Moodle and hosted Canvas.")
@click.option("--token-url", help="Access token address. Known for Moodle and hosted Canvas.")
@click.option("--jwks-url", help="Key set address. Known for Moodle and hosted Canvas.")
@click.option("--token-audience", help="Only where the platform names an authorization server of its own.")
def platform_add(
    *,
    name: str,
    product: str,
    issuer: str,
    client_id: str,
    deployments: tuple[str, ...],
    auth_url: str | None,
    token_url: str | None,
    jwks_url: str | None,
    token_audience: str | None,
) -> None:
    """Connect a platform, or add deployments to one that is connected."""
    usual = behaviour(product).addresses(issuer)
    if usual is not None:
        auth_url = auth_url or usual.auth_url
        token_url = token_url or usual.token_url
        jwks_url = jwks_url or usual.jwks_url
    missing = [
        option
        for option, value in (("--auth-url", auth_url), ("--token-url", token_url), ("--jwks-url", jwks_url))
        if not value
    ]
    if auth_url is None or token_url is None or jwks_url is None:
        raise Stopped(f"Give {', '.join(missing)} as well: each installation of {product} has its own.")
    with application():
        registration = registrations.add_platform(
            name=name,
            product=product,
            issuer=issuer,
            client_id=client_id,
            auth_url=auth_url,
            token_url=token_url,
            jwks_url=jwks_url,
            deployment_ids=deployments,
            token_audience=token_audience,
            now=clock.now(),
        )
        db.session.commit()
        click.echo(f"Platform {registration.platform_id}, {name}, is connected.")
        click.echo("Enter these at the platform, if they do not stand there yet:")
        for label, value in our_addresses(current()):
            click.echo(f"  {label:<22}{value}")


def our_addresses(settings: Settings) -> list[tuple[str, str]]:
    """What a platform's administrator has to enter there, under the names that platforms use."""
    return [
        ("Login address", f"{settings.public_url}/lti/login"),
        ("Redirect address", f"{settings.public_url}{LAUNCH_PATH}"),
        ("Deep linking address", f"{settings.public_url}{LAUNCH_PATH}"),
        ("Key set address", f"{settings.service_url}/lti/jwks"),
    ]


@platform.command("list")
def platform_list() -> None:
    """Every platform with its client ids and deployments."""
    with application():
        known = registrations.list_platforms()
        numbers = dict(db.session.execute(select(Platform.name, Platform.id)).all())
        for view in known:
            click.echo(f"{numbers[view.name]}  {view.name} ({view.product})")
            click.echo(f"   issuer {view.issuer}, client id {view.client_id}")
            click.echo(f"   deployments {', '.join(view.deployment_ids)}")
        if not known:
            click.echo("No platform is connected yet. `lti-tool platform add --help` says how.")


@click.group()
def registrar() -> None:
    """Say which administrators may open the registrar's desk."""


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
    """Put an administrator on the list of a deployment."""
    with application():
        added = grant_desk(find_deployment(named, deployment), subject, now=clock.now())
        db.session.commit()
        click.echo("Added. They can open the desk now." if added else "They stand on the list already.")


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
            select(Platform.name, Deployment.deployment_id, DeskAccess.subject, DeskAccess.granted_at)
            .join(Deployment, DeskAccess.deployment_pk == Deployment.id)
            .join(Registration, Deployment.registration_id == Registration.id)
            .join(Platform, Registration.platform_id == Platform.id)
            .order_by(Platform.name, Deployment.id, DeskAccess.id)
            .limit(_MOST_LISTED)
        ).all()
        for name, deployment_id, subject, granted_at in listed:
            click.echo(f"{name}, deployment {deployment_id}: {subject} since {granted_at:%Y-%m-%d}")
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
    """Key ids, newest first, and where platforms fetch them."""
    with application():
        for key in tool_keys.list_keys():
            state = "signs" if key.retired_at is None else f"retired {key.retired_at:%Y-%m-%d}"
            click.echo(f"{key.kid}  made {key.created_at:%Y-%m-%d}  {state}")
        click.echo(f"Published at {current().service_url}/lti/jwks")
