"""What an operator does with badges that stand: take one back, issue one again, keys, endorsements, a copy for good."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.exc import IntegrityError

from lti_tool import clock, errors
from lti_tool.backpack import service
from lti_tool.badges import endorsements
from lti_tool.badges.endorsements import EndorsementRefused
from lti_tool.badges.service import Reissue
from lti_tool.cli.console import Stopped, application
from lti_tool.database import db
from lti_tool.issuers import keys
from lti_tool.registrar import static_copy
from lti_tool.settings import current
from lti_tool.verification.signers import Signer
from lti_tool.verification.verdict import Outcome, Stop
from lti_tool.verification.web import Web

_BADGE = click.argument("badge")


@click.group()
def badges() -> None:
    """Take badges back, issue them again, and look after what they are checked with."""


@badges.command("revoke")
@_BADGE
@click.option("--reason", required=True, help="Why. Whoever checks the badge later reads it.")
def badges_revoke(badge: str, reason: str) -> None:
    """Take BADGE back, named by its id (urn:uuid:… in its file). No grade changes."""
    with application(), _refusals():
        revoked = service.revoke(_id(badge), reason=reason, actor=None, now=clock.now())
        db.session.commit()
        click.echo(f"Revoked: {revoked.title}. The worker signs the status list anew within seconds.")


@badges.command("reissue")
@_BADGE
@click.option("--email", help="Name the earner by another address, which they have confirmed.")
@click.option("--unnamed", is_flag=True, help="Name nobody by an address any more.")
@click.option(
    "--name",
    help="What the earner is called by now: a shared page hides any other, until they agree anew.",
)
def badges_reissue(*, badge: str, email: str | None, unnamed: bool, name: str | None) -> None:
    """Issue BADGE again, with the date of its award, also one that was revoked by mistake. No grade changes.

    What stands in it besides what was earned, only its earner decides, on their own page.
    """
    if email is not None and unnamed:
        raise Stopped("Give either --email or --unnamed.")
    change = Reissue(email=email, unnamed=unnamed, name=name)
    with application(), _refusals():
        fresh = service.issue_again(_id(badge), change=change, actor=None, now=clock.now())
        db.session.commit()
        click.echo(f"Issued again: {fresh.title}, urn:uuid:{fresh.id}. The worker signs it within seconds.")


@badges.command("rotate-keys")
def badges_rotate_keys() -> None:
    """Sign with new keys from now on. Old ones stay published, so that every badge goes on verifying."""
    with application():
        issuer = keys.ensure_issuer(now=clock.now())
        try:
            made = keys.rotate(issuer, now=clock.now())
            db.session.commit()
        except IntegrityError:
            raise Stopped(
                "Somebody else rotated the keys at this moment. There is nothing left to do."
            ) from None
        for key in made:
            click.echo(f"{key.kind}: {key.kid}")


@badges.command("endorse")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def badges_endorse(file: Path) -> None:
    """Accept a signed EndorsementCredential about a micro-credential or a stack, after checking it."""
    with application():
        kept = endorsements.accept(file.read_bytes(), keys=_published_key, now=clock.now())
        db.session.commit()
        click.echo(f"Accepted: {kept.endorser} endorses {kept.achievement_id}.")
        click.echo("It stands on the public page, and in the badges that are signed from now on.")


@badges.command("export-static")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--years",
    type=click.IntRange(1, 200),
    default=50,
    show_default=True,
    help="How long the status lists in the folder stay valid.",
)
def badges_export_static(folder: Path, years: int) -> None:
    """Write what badges are checked with into FOLDER, for a plain web server in place of this one."""
    with application():
        count = static_copy.write(folder, years=years, now=clock.now())
        click.echo(f"{count} files in {folder}. Its README.txt says how to serve them.")


def _published_key(endorser: str, verification_method: str) -> Ed25519PublicKey:
    """The key that the endorser publishes, asked of their server.

    :raises EndorsementRefused: they publish no such key, or cannot be asked.
    """
    web = Web(allowed_origins=current().outgoing_origins)
    try:
        found = Signer(endorser, None, web, clock.now()).proof_key(verification_method)
    except Stop as stop:
        raise EndorsementRefused(f"Its key is not the endorser's: {stop.explanation}") from None
    if found.outcome is not Outcome.PASSED or not isinstance(found.key, Ed25519PublicKey):
        raise EndorsementRefused(f"Whose key signed it could not be found out: {found.explanation}")
    return found.key


def _id(badge: str) -> str:
    return badge.strip().removeprefix("urn:uuid:")


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except errors.NotHere:
        raise Stopped("There is no badge of this id. It stands in the badge's file, as “id”.") from None
    except errors.BadgeStands:
        raise Stopped("Its earner holds another badge for the same by now.") from None
    except errors.BadgeRevoked:
        raise Stopped("This badge was revoked, or issued again, before.") from None
    except errors.ReasonMissing:
        raise Stopped("Say why with --reason.") from None
