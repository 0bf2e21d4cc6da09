"""`lti-tool platform ...` and `lti-tool admin ...`: which learning platforms may come in, and who looks after them."""

import shlex
from datetime import timedelta

import click
from sqlalchemy import select

from lti_tool import clock
from lti_tool.cli.console import Stopped, application
from lti_tool.cli.operator import find_deployment
from lti_tool.database import db
from lti_tool.lti import approvals, by_hand, connection, invitations, registrations
from lti_tool.lti.models import Deployment, Platform, Product, Registration, Standing
from lti_tool.lti.platforms import behaviour
from lti_tool.lti.registrations import COMMAND_LINE
from lti_tool.people import doors
from lti_tool.people.models import Purpose
from lti_tool.settings import current

_MARKS = {
    connection.Mark.GOOD: "ok     ",
    connection.Mark.PROBLEM: "PROBLEM",
    connection.Mark.OPEN: "unknown",
}


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
    help="A deployment id; give the option once for each. May be left out: deployments appear by themselves.",
)
@click.option("--auth-url", help="Authentication request address. Known for Moodle and hosted Canvas.")
@click.option("--token-url", help="Access token address. Known for Moodle and hosted Canvas.")
@click.option("--jwks-url", help="Key set address. Known for Moodle and hosted Canvas.")
@click.option("--token-audience", help="Only where the platform names an authorization server of its own.")
@click.option(
    "--new-deployments",
    type=click.Choice([str(Standing.ACTIVE), str(Standing.PENDING)]),
    default=str(Standing.ACTIVE),
    show_default=True,
    help="Whether people may come in at once from a deployment that was not named here, or wait for an approval.",
)
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
    new_deployments: str,
) -> None:
    """Connect a platform by hand, or add deployments to one that is connected.

    Where the LMS knows dynamic registration, its administrator only types in https://YOUR-TESSERA/lti/register.
    """
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
            new_deployments=Standing(new_deployments),
            now=clock.now(),
        )
        db.session.commit()
        click.echo(f"Platform {registration.platform_id}, {name}, is connected.")
        click.echo("Enter these at the platform, if they do not stand there yet:")
        for label, value in by_hand.values(product, current()):
            click.echo(f"  {label}: {value.replace(chr(10), ', ')}")
        click.echo(f"Then: lti-tool platform test --registration {registration.id}")


@platform.command("list")
def platform_list() -> None:
    """Every platform with its registrations and deployments, and what waits for an approval."""
    with application():
        known = registrations.list_platforms()
        for view in known:
            click.echo(f"{view.platform_id}  {view.name} ({view.product})")
            click.echo(f"   registration {view.registration_id}: {view.state}")
            click.echo(f"   issuer {view.issuer}, client id {view.client_id}")
            click.echo(f"   deployments {', '.join(view.deployment_ids) or 'none yet'}")
            if view.waiting:
                click.echo(f"   waiting for an approval: {', '.join(view.waiting)}")
        if not known:
            click.echo("No platform is connected yet. `lti-tool platform add --help` says how.")


_REGISTRATION = click.option("--registration", "number", type=int, help="Its number (`platform list`).")
_NAMED = click.option("--platform", "named", help="Number or name of a platform with one registration.")
_ONE_DEPLOYMENT = click.option(
    "--deployment", help="Only this deployment of it, instead of all that comes from there."
)


@platform.command("approve")
@_REGISTRATION
@_NAMED
@_ONE_DEPLOYMENT
@click.option("--joins", type=int, help="Number of the platform that it is another registration of.")
def platform_approve(
    number: int | None, named: str | None, deployment: str | None, joins: int | None
) -> None:
    """Let people in from a platform that registered itself, a deployment that waits, or either when disabled."""
    with application():
        found = _registration(number, named)
        if deployment is not None:
            one = _deployment(found, deployment)
            approvals.set_deployment(one, Standing.ACTIVE, by=COMMAND_LINE, now=clock.now())
            said = f"Deployment {deployment} is approved."
        else:
            approvals.approve(found, by=COMMAND_LINE, now=clock.now(), joins=joins)
            said = (
                f"{found.platform.name} is approved. Then: lti-tool platform test --registration {found.id}"
            )
        db.session.commit()
        click.echo(said)


@platform.command("disable")
@_REGISTRATION
@_NAMED
@_ONE_DEPLOYMENT
def platform_disable(number: int | None, named: str | None, deployment: str | None) -> None:
    """Let nobody in any more. Nothing is deleted, and grades that are owed still go."""
    with application():
        found = _registration(number, named)
        if deployment is not None:
            one = _deployment(found, deployment)
            approvals.set_deployment(one, Standing.DISABLED, by=COMMAND_LINE, now=clock.now())
        else:
            approvals.disable(found, by=COMMAND_LINE, now=clock.now())
        db.session.commit()
        click.echo("Switched off. `lti-tool platform approve` switches it on again.")


@platform.command("decline")
@_REGISTRATION
@_NAMED
def platform_decline(number: int | None, named: str | None) -> None:
    """Forget a platform that registered itself and was never approved."""
    with application():
        approvals.decline(_registration(number, named), by=COMMAND_LINE, now=clock.now())
        db.session.commit()
        click.echo("Declined and forgotten. In the LMS, delete Tessera as well.")


@platform.command("test")
@_REGISTRATION
@_NAMED
def platform_test(number: int | None, named: str | None) -> None:
    """Test a connection: keys, access, permissions, gradebook, roster, clocks. Ends with 1 if there is a problem."""
    with application():
        findings = connection.examine(_registration(number, named).id, clock=clock.now)
        for finding in findings:
            click.echo(f"{_MARKS[finding.mark]}  {finding.question}\n         {finding.answer}")
        if any(finding.mark is connection.Mark.PROBLEM for finding in findings):
            raise click.exceptions.Exit(1)


@platform.command("invite")
@click.option("--for", "note", required=True, help="Whom it is for, so that you recognize it later.")
@click.option(
    "--days", type=click.IntRange(1, 365), default=7, show_default=True, help="How long it can be used."
)
@click.option("--joins", type=int, help="Number of the platform that it will be another registration of.")
def platform_invite(note: str, days: int, joins: int | None) -> None:
    """Make an address with which one platform registers itself and need not wait for an approval."""
    with application():
        if joins is not None and db.session.get(Platform, joins) is None:
            raise Stopped(f"There is no platform {joins}. `lti-tool platform list` shows them.")
        code = invitations.invite(
            note, lasts=timedelta(days=days), by=COMMAND_LINE, now=clock.now(), platform_id=joins
        )
        db.session.commit()
        click.echo("For the administrator of the LMS, to be used once, shown this once:")
        click.echo(f"{current().public_url}/lti/register?invitation={code}")


@click.group()
def admin() -> None:
    """The pages on which connections are looked after."""


@admin.command("link")
@click.option("--platform", "named", help="Only this platform (number or name). Without it, all of them.")
@click.option("--deployment", help="Which of its deployments, where it has several.")
@click.option(
    "--hours", type=click.IntRange(1, 168), default=1, show_default=True, help="How long it can be used."
)
def admin_link(named: str | None, deployment: str | None, hours: int) -> None:
    """Make a link that opens the pages once, in one browser. Whoever has it first may use it, so send it safely."""
    with application():
        scope = None if named is None else find_deployment(named, deployment).id
        secret = doors.invite(
            Purpose.ADMINISTRATOR, deployment_pk=scope, lasts=timedelta(hours=hours), now=clock.now()
        )
        db.session.commit()
        click.echo(f"{current().public_url}/admin/enter/{secret}")


def _registration(number: int | None, named: str | None) -> Registration:
    """The registration that an operator means.

    :raises Stopped: there is none, or several.
    """
    if (number is None) == (named is None):
        raise Stopped(
            "Say which one with --registration or with --platform; `lti-tool platform list` shows them."
        )
    wanted = Registration.id == number
    if named is not None:
        wanted = Platform.id == int(named) if named.isdecimal() else Platform.name == named
    found = db.session.scalars(select(Registration).join(Registration.platform).where(wanted).limit(10)).all()
    match found:
        case [only]:
            return only
        case []:
            raise Stopped("There is no such registration. `lti-tool platform list` shows them.")
    numbers = ", ".join(str(row.id) for row in found)
    raise Stopped(f"{named} has several registrations; name one with --registration: {numbers}.")


def _deployment(registration: Registration, deployment_id: str) -> Deployment:
    found = registrations.find_deployment(registration.id, deployment_id)
    if found is None:
        raise Stopped(
            f"It has no deployment {shlex.quote(deployment_id)}. `lti-tool platform list` shows them."
        )
    return found
