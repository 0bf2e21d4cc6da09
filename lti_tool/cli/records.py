"""What an operator does with records that outlast a course: the way back to badges, credit, proof of the audit log."""

from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import click
from sqlalchemy import select

from lti_tool import clock
from lti_tool.audit import digests, seals
from lti_tool.badges.models import Badge
from lti_tool.cli.console import Stopped, application
from lti_tool.cli.operator import find_deployment
from lti_tool.credit import queries as credit_rules
from lti_tool.credit import service as credit_service
from lti_tool.credit.queries import ListedRule
from lti_tool.credit.rules import plain
from lti_tool.credit.service import RuleChange, RuleIncomplete
from lti_tool.database import db
from lti_tool.passback import service as passback
from lti_tool.people import doors
from lti_tool.people.models import Account, Person, Purpose
from lti_tool.settings import current

_MOST_PRINTED = 50


@click.group()
def backpack() -> None:
    """Help earners back to their badges."""


@backpack.command("link")
@click.option("--person", type=int, help="The number that pages call them by, as in “Person 17”.")
@click.option("--badge", help="The id of a badge of theirs (urn:uuid:…), as it stands in its file.")
@click.option("--platform", "named", help="With --subject: its number or name (`platform list`).")
@click.option("--subject", help="With --platform: their id there.")
@click.option("--days", type=click.IntRange(1, 30), default=7, show_default=True, help="How long it opens.")
def backpack_link(
    *, person: int | None, badge: str | None, named: str | None, subject: str | None, days: int
) -> None:
    """Make a personal link that opens somebody's badges once. Make sure first that it is they who ask."""
    with application():
        person_id = _meant(person, badge, named, subject)
        secret = doors.invite(
            Purpose.BACKPACK, person_id=person_id, lasts=timedelta(days=days), now=clock.now()
        )
        db.session.commit()
        click.echo(f"{current().public_url}/badges/open/{secret}")
        click.echo(
            f"It opens the badges of person {person_id} once, within {days} days. Give it to nobody else."
        )


def _meant(person: int | None, badge: str | None, named: str | None, subject: str | None) -> int:
    """The person that the options mean.

    :raises Stopped: nobody, or not said in exactly one way.
    """
    if [person is not None, badge is not None, named is not None and subject is not None].count(True) != 1:
        raise Stopped("Say who in one way: --person, or --badge, or --platform with --subject.")
    if person is not None:
        found = db.session.scalar(select(Person.id).where(Person.id == person))
    elif badge is not None:
        found = db.session.scalar(
            select(Badge.person_id).where(Badge.id == badge.strip().removeprefix("urn:uuid:"))
        )
    else:
        assert named is not None
        platform = find_deployment(named, None).registration.platform_id
        found = db.session.scalar(
            select(Account.person_id).where(Account.platform_id == platform, Account.subject == subject)
        )
    if found is None:
        raise Stopped("Nobody here is known like that.")
    return found


@click.group()
def audit() -> None:
    """The log of who did what, and the proof that nobody changed it."""


@audit.command("verify")
@click.option(
    "--expect",
    metavar="SEAL",
    help="A seal that this command printed earlier and that was kept elsewhere: the log must still contain it.",
)
def verify(expect: str | None) -> None:
    """Compute the chain of seals anew and name every event that was changed, removed, moved or put in, and every score
    of the ledger that does not say any more what it said when it was owed.

    Exit code 0: sound. 1: tampered with, and where. 3: sound, but a person should look at something. Keep the newest
    seal where those who run the database cannot write, and give it to --expect the next time.
    """
    expected = _parsed(expect)
    with application():
        verdict = seals.verify(expected)
        proof = digests.prove(passback.LEDGER)
    click.echo(f"{verdict.sealed} sealed events read.")
    if verdict.waiting_since:
        oldest = f"{verdict.waiting_since:%Y-%m-%d %H:%M} UTC"
        click.echo(f"{verdict.waiting} more wait for a worker to seal them, the oldest of {oldest}.")
    click.echo(f"{proof.compared} scores compared with what was sealed when they were owed.")
    if proof.without:
        click.echo(
            f"{proof.without} more were owed before that was sealed, so there is nothing to compare them with."
        )
    said = verdict.problems + proof.problems + verdict.doubts
    for line in said[:_MOST_PRINTED]:
        click.echo(line, err=True)
    if (more := len(said) - _MOST_PRINTED) > 0:
        click.echo(f"And {more} more.", err=True)
    if verdict.problems:
        click.echo("The audit log was tampered with.", err=True)
    else:
        click.echo("The chain is whole.")
    if proof.problems:
        click.echo("The ledger of scores was tampered with.", err=True)
    if verdict.problems or proof.problems:
        raise click.exceptions.Exit(1)
    click.echo(f"Newest seal: {verdict.newest}")
    if verdict.doubts:
        raise click.exceptions.Exit(3)


def _parsed(text: str | None) -> seals.Seal | None:
    try:
        return None if text is None else seals.Seal.parse(text)
    except ValueError:
        raise Stopped(
            "--expect takes a seal as `lti-tool audit verify` prints it: a number, a colon and 64 hexadecimal digits."
        ) from None


class _Decimal(click.ParamType[Decimal]):
    """A number above 0 with at most two decimals, such as 0.5."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            number = Decimal(value)
            if Decimal(0) < number <= Decimal(1000) and round(number, 2) == number:
                return number
        except InvalidOperation:
            pass
        self.fail("must be above 0, at most 1000, with at most two decimals", param, ctx)


_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def credit() -> None:
    """What authorities count micro-credentials for. A rule enters credit only once its authority has approved it."""


@credit.command("list")
def credit_list() -> None:
    """Every rule, and what is missing before it can be active."""
    with application():
        listed = credit_rules.listed_rules()
        for one in listed:
            click.echo(_rule_in_words(one))
        if not listed:
            click.echo("No micro-credential has a rule. The field `credit` in its catalogue file brings one.")


@credit.command("set")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--version", "number", type=int, help="Of the micro-credential; without it, the newest.")
@click.option("--authority", help="Part of its name, where a micro-credential has several rules.")
@click.option("--value", type=_Decimal(), help="How much one micro-credential gives, such as 0.5.")
@click.option("--approval-number", help="From the authority's letter.")
@click.option("--audience", help="For whom, such as “Wyoming educators renewing a standard license”.")
@click.option("--note", help="What earners must know about it.")
@click.option("--valid-from", type=_DAY, help="First day of decisions that it holds for (YYYY-MM-DD).")
@click.option("--valid-until", type=_DAY, help="Last day.")
@click.option("--cap", type=_Decimal(), help="The most that the authority counts in one cycle, all together.")
@click.option("--cycle-months", type=click.IntRange(1, 240), help="Length of a cycle; 12 is a year.")
@click.option("--cycle-from", type=_DAY, help="A day on which a cycle begins (YYYY-MM-DD).")
@click.option(
    "--activate/--deactivate", "active", default=None, help="Whether decisions from now on enter it."
)
def credit_set(keys: tuple[str, ...], number: int | None, authority: str | None, **given: Any) -> None:
    """Write down what an authority has decided about the micro-credentials KEY, and activate the rule.

    All options may be given at once; what is left out stays. Entries that were written already stay as they are.
    """
    days = {name: value.date() for name, value in given.items() if isinstance(value, datetime)}
    change = RuleChange(**(given | days))
    with application():
        listed = credit_rules.listed_rules()
        try:
            for key in keys:
                rule = _rule(listed, key, number, authority)
                credit_service.change_rule(rule.rule.id, change, now=clock.now())
                click.echo(_rule_in_words(rule))
        except RuleIncomplete as refused:
            raise Stopped(f"{refused} Nothing was changed.") from None
        db.session.commit()


def _rule(listed: list[ListedRule], key: str, number: int | None, authority: str | None) -> ListedRule:
    """The one rule that is meant.

    :raises Stopped: there is none, or several.
    """
    of_key = [one for one in listed if one.key == key]
    wanted = number or max((one.number for one in of_key), default=0)
    found = [
        one
        for one in of_key
        if one.number == wanted and (authority or "").lower() in one.rule.authority.lower()
    ]
    match found:
        case [only]:
            return only
        case []:
            raise Stopped(f"{key!r} has no such rule. `lti-tool credit list` shows all. Nothing was changed.")
    raise Stopped(f"{key!r} has several rules; name one with --authority. Nothing was changed.")


def _rule_in_words(one: ListedRule) -> str:
    rule = one.rule
    said = [f"{one.key}, version {one.number}: {rule.authority}, {plain(rule.value)} {rule.unit}"]
    if rule.approval_number:
        said.append(f"approval {rule.approval_number}")
    if rule.audience:
        said.append(f"for {rule.audience}")
    if rule.valid_from or rule.valid_until:
        said.append(f"decided from {_shown(rule.valid_from)} until {_shown(rule.valid_until)}")
    if rule.cap is not None:
        said.append(
            f"at most {plain(rule.cap)} in {rule.cycle_months} months, counted from {rule.cycle_from}"
        )
    missing = [
        name
        for name, value in (("approval number", rule.approval_number), ("audience", rule.audience))
        if not value
    ]
    said.append(
        "active" if rule.active else "not active" + (f" (lacks {', '.join(missing)})" if missing else "")
    )
    return "; ".join(said)


def _shown(day: date | None) -> str:
    return "any day" if day is None else day.isoformat()
