"""Letters: asked for by pages, written and sent by the worker, forgotten once sent.

A page only notes an address. The worker finds out whether anybody has confirmed it, so that neither the answer of the
page nor its time tells a stranger who has badges here. Commits as it goes, since no connection to the database may be
held while a mail server thinks.
"""

import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update

from lti_tool import audit, mail
from lti_tool.backpack import addresses
from lti_tool.backpack.models import ConfirmedAddress, Letter, LetterKind
from lti_tool.database import db
from lti_tool.errors import AddressUnusable, TooManyLetters
from lti_tool.lti.roles import CourseRole
from lti_tool.people import doors
from lti_tool.people.models import Account, Course, Membership, Purpose, RosterMember, RosterStatus
from lti_tool.settings import current

log = logging.getLogger(__name__)

MOST_AN_HOUR = 3
"""Letters to one address that one person, or all strangers together, may ask for. Those beyond are not written, and
nobody is told."""
MOST_TO_ONE = 12
"""Letters of one kind to one address in an hour, whoever asks: nobody's mailbox is flooded by several together."""
MOST_WAITING = 200
"""Letters of strangers that may wait for the worker's first look. It takes them up within seconds, so a client that
asks for very many closes the door to others only while it goes on, and until the worker has looked at those."""
_HOUR = timedelta(hours=1)
_LEASE = timedelta(minutes=5)
"""Longer than a conversation with a mail server takes; then another worker may try."""
_MOST_TRIES = 6
_KEPT = timedelta(days=1)
_MOST_INSTRUCTORS = 50
_MOST_KNOWN = 5


def ask_to_confirm(person_id: int, typed: str, *, now: datetime) -> bool:
    """Send this person's address a link that confirms it. False if it is confirmed already.

    :raises AddressUnusable: no address, or one too many.
    :raises TooManyLetters: this person has asked for several just now.
    """
    row = addresses.ask(person_id, typed, now=now)
    if row.confirmed_at is not None:
        return False
    asked = select(func.count()).where(Letter.person_id == person_id, Letter.asked_at > now - _HOUR)
    if (db.session.scalar(asked) or 0) >= 2 * MOST_AN_HOUR:
        raise TooManyLetters
    _note(LetterKind.CONFIRM, row.address, person_id, now)
    return True


def ask_to_open(typed: str, *, now: datetime) -> None:
    """Send a way to the badges to this address, if somebody has confirmed it. Who asks is never told.

    :raises AddressUnusable: it cannot be an address.
    :raises TooManyLetters: very many that strangers asked for wait for the worker, for whatever addresses.
    """
    address = addresses.tidy(typed)
    # Not those that were looked at: whether they had a reader must make no difference here.
    waiting = select(func.count()).where(
        Letter.kind == LetterKind.OPEN.value, Letter.address.is_not(None), Letter.tries == 0
    )
    if (db.session.scalar(waiting) or 0) >= MOST_WAITING:
        raise TooManyLetters
    _note(LetterKind.OPEN, address, None, now)


def ask_to_restore(person_id: int, typed: str, *, actor: int, now: datetime) -> None:
    """Send this person a way to their badges, at an address that a registrar knows to be theirs. The registrar never
    sees the link, and the address is not kept as a confirmed one. Whoever reads the letter opens all the badges, so the
    earner is told of it wherever else they are known to have mail.

    :param actor: the registrar's account.
    :raises AddressUnusable: it cannot be an address.
    """
    address = addresses.tidy(typed)
    audit.record("personal link asked for", "person", person_id, now=now, actor=actor)
    for known in _known_addresses(person_id):
        if known.lower() != address.lower():
            _note(LetterKind.RESTORE_TOLD, known, person_id, now)
    _note(LetterKind.RESTORE, address, person_id, now)


def ask_to_close_out(course_id: int, undecided: int, *, now: datetime) -> int:
    """Write to the instructors of a course, at an address that each has confirmed, that a registrar asks for it to be
    closed out; not twice a day about the same course. Returns how many letters will go, 0 without a mail server."""
    if not mail.possible():
        return 0
    written = select(Letter.person_id).where(
        Letter.kind == LetterKind.CLOSE_OUT.value,
        Letter.course_id == course_id,
        Letter.asked_at > now - _KEPT,
    )
    first = (
        select(func.min(ConfirmedAddress.id))
        .join(Account, Account.person_id == ConfirmedAddress.person_id)
        .join(Membership, Membership.account_id == Account.id)
        .outerjoin(
            RosterMember,
            (RosterMember.course_id == Membership.course_id) & (RosterMember.subject == Account.subject),
        )
        .where(
            Membership.course_id == course_id,
            Membership.role == CourseRole.INSTRUCTOR.value,
            RosterMember.status.is_distinct_from(RosterStatus.LEFT),
            ConfirmedAddress.confirmed_at.is_not(None),
            ConfirmedAddress.person_id.not_in(written.where(Letter.person_id.is_not(None))),
        )
        .group_by(ConfirmedAddress.person_id)
        .limit(_MOST_INSTRUCTORS)
    )
    found = db.session.scalars(select(ConfirmedAddress).where(ConfirmedAddress.id.in_(first))).all()
    for row in found:
        db.session.add(
            Letter(
                kind=LetterKind.CLOSE_OUT.value,
                address=row.address,
                addressee=_addressee(row.address),
                person_id=row.person_id,
                course_id=course_id,
                undecided=undecided,
                asked_at=now,
                due_at=now,
            )
        )
    db.session.flush()
    return len(found)


def _known_addresses(person_id: int) -> list[str]:
    """What the person has confirmed, and what their platforms say."""
    confirmed = select(ConfirmedAddress.address).where(
        ConfirmedAddress.person_id == person_id, ConfirmedAddress.confirmed_at.is_not(None)
    )
    named = select(Account.email).where(Account.person_id == person_id, Account.email.is_not(None))
    found: dict[str, str] = {}
    for address in [
        *db.session.scalars(confirmed.limit(_MOST_KNOWN)),
        *db.session.scalars(named.limit(_MOST_KNOWN)),
    ]:
        try:
            found.setdefault(str(address).lower(), addresses.tidy(str(address)))
        except AddressUnusable:
            # As the platform has it; nothing that mail could be sent to.
            continue
    return list(found.values())


def send_due(*, now_fn: Callable[[], datetime], limit: int = 20) -> int:
    """Write and send what waits. Returns how many letters were dealt with. Nothing happens without a mail server."""
    if not mail.possible():
        return 0
    done = 0
    while done < limit:
        now = now_fn()
        letter_id = _claim(now)
        if letter_id is None:
            break
        _deal_with(letter_id, now)
        done += 1
    return done


def sweep(now: datetime) -> int:
    """Forget letters of yesterday, with their digests, and those that no mail server ever came for."""
    gone = db.session.scalars(delete(Letter).where(Letter.asked_at < now - _KEPT).returning(Letter.id)).all()
    return len(gone) + addresses.sweep(now)


def _note(kind: LetterKind, address: str, person_id: int | None, now: datetime) -> None:
    """Beyond a limit the letter is not noted: to whoever asks it looks the same. What one person asks for uses up
    little of what others may ask for to the same address, so nobody keeps its owner from confirming it."""
    addressee = _addressee(address)
    lately = (Letter.addressee == addressee) & (Letter.kind == kind.value) & (Letter.asked_at > now - _HOUR)
    theirs = Letter.person_id.is_(None) if person_id is None else Letter.person_id == person_id
    for which, most in ((lately & theirs, MOST_AN_HOUR), (lately, MOST_TO_ONE)):
        if (db.session.scalar(select(func.count()).select_from(Letter).where(which)) or 0) >= most:
            return
    db.session.add(
        Letter(
            kind=kind.value,
            address=address,
            addressee=addressee,
            person_id=person_id,
            asked_at=now,
            due_at=now,
        )
    )
    db.session.flush()


def _claim(now: datetime) -> int | None:
    """Take the letter that waits longest, unless another worker is quicker."""
    due = (
        select(Letter.id)
        .where(Letter.address.is_not(None), Letter.due_at <= now)
        .order_by(Letter.due_at, Letter.id)
        .limit(1)
        .scalar_subquery()
    )
    taken = db.session.scalar(
        update(Letter)
        .where(Letter.id == due, Letter.due_at <= now)
        .values(due_at=now + _LEASE, tries=Letter.tries + 1)
        .returning(Letter.id)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    return taken


def _deal_with(letter_id: int, now: datetime) -> None:
    letter = db.session.get_one(Letter, letter_id)
    address, tries = letter.address, letter.tries
    assert address is not None
    written = _write(letter, address, now)
    # The secrets in the letters count from here on, whether or not the mail server takes them.
    db.session.commit()
    outcome, again = "nobody", False
    for to, subject, text in written:
        try:
            mail.send(to, subject, text)
            outcome = "sent"
        except mail.NotSent as problem:
            outcome, again = str(problem), problem.again and tries < _MOST_TRIES
            break
    _record(letter_id, outcome, again=again, tries=tries, now=now)
    log.info("letter dealt with", extra={"letter": letter_id, "outcome": outcome, "tries": tries})


def _record(letter_id: int, outcome: str, *, again: bool, tries: int, now: datetime) -> None:
    letter = db.session.get_one(Letter, letter_id)
    letter.outcome = outcome
    if again:
        letter.due_at = now + timedelta(minutes=2**tries)
    else:
        letter.address, letter.done_at = None, now
    db.session.commit()


def _write(letter: Letter, address: str, now: datetime) -> list[tuple[str, str, str]]:
    """Address, subject and text of what is to be sent; nothing where nobody is to be written to."""
    if letter.kind == LetterKind.CONFIRM.value:
        return _to_confirm(letter.person_id, address, now)
    if letter.kind == LetterKind.CLOSE_OUT.value:
        return _to_close_out(letter, address)
    if letter.kind == LetterKind.RESTORE.value and letter.person_id is not None:
        return [(address, *_way_for([letter.person_id], "Your registrar has asked for this letter.", now))]
    if letter.kind == LetterKind.RESTORE_TOLD.value:
        return [_told_of_restoring(address, letter.asked_at)]
    # To the addresses that were confirmed: what a stranger typed may lead to another mailbox.
    persons: dict[str, list[int]] = {}
    for row in addresses.owners(address):
        persons.setdefault(row.address, []).append(row.person_id)
    return [(confirmed, *_way_for(theirs, "", now)) for confirmed, theirs in persons.items()]


def _to_confirm(person_id: int | None, address: str, now: datetime) -> list[tuple[str, str, str]]:
    secret = None if person_id is None else addresses.link_for(person_id, address, now=now)
    if secret is None:
        return []
    settings = current()
    link = f"{settings.public_url}/badges/confirm/{secret}"
    text = (
        f"Somebody who earns badges at {settings.issuer_name} has given this address as theirs.\n"
        "\n"
        "If it was you, open this link and press the button there:\n"
        "\n"
        f"{link}\n"
        "\n"
        f"It works until {_moment(now + addresses.CONFIRMS_FOR)}.\n"
        "\n"
        "If it was not you, do nothing. Nothing is tied to this address then, and it is deleted in a few days.\n"
    )
    return [(address, "Confirm your address for your badges", text)]


def _told_of_restoring(address: str, asked_at: datetime) -> tuple[str, str, str]:
    text = (
        f"A registrar has had a way to your badges at {current().issuer_name} sent to another address than this one, "
        f"on {_moment(asked_at)}. Whoever reads that letter can open your badges once, within two hours.\n"
        "\n"
        "If you asked for it, there is nothing to do.\n"
        "\n"
        "If you did not, tell your institution's registrar at once. Who asked for it is recorded.\n"
    )
    return address, "A way to your badges was sent to another address", text


def _to_close_out(letter: Letter, address: str) -> list[tuple[str, str, str]]:
    """Of earners it says only how many: a mailbox is no place for their names. Nothing if the address is no longer
    confirmed by the one it was meant for."""
    theirs = [row for row in addresses.owners(address) if row.person_id == letter.person_id]
    course = None if letter.course_id is None else db.session.get(Course, letter.course_id)
    if not theirs or course is None:
        return []
    left = {
        0: "All work in it is decided, or has your choice. Something has not been seen in the gradebook yet.",
        1: "One earner in it has no decision yet.",
    }.get(letter.undecided or 0, f"{letter.undecided} earners in it have no decision yet.")
    text = (
        f"The registrar asks you to close out this course: {_one_line(course.title)}.\n"
        "\n"
        f"{left}\n"
        "\n"
        "Open the course in your LMS, and in it an activity with Tessera. Its page leads you to the close-out; there "
        "you choose for each earner, and nothing is sent before you have looked at it once more.\n"
        "\n"
        f"You get this letter because you teach the course, and confirmed this address at {current().issuer_name} "
        "under “My badges”, “My addresses”. Remove it there if you want no such letters.\n"
    )
    return [(address, "A course is waiting for its close-out", text)]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _way_for(persons: Sequence[int], why: str, now: datetime) -> tuple[str, str]:
    settings = current()
    ways = "\n\n".join(
        f"{_whence(person_id)}:\n{settings.public_url}/badges/open/"
        + doors.invite(Purpose.BACKPACK, person_id=person_id, lasts=addresses.OPENS_FOR, now=now)
        for person_id in persons
    )
    return (
        "Open your badges",
        f"Here is the way to your badges at {settings.issuer_name}. It opens once, within two hours. {why}".rstrip()
        + f"\n\n{ways}\n\n"
        f"Confirm an address of your own there, under “My addresses”; then you can ask for another letter at "
        f"{settings.public_url}/badges whenever you need one.\n"
        "\n"
        "If this letter is not for you, do nothing: without it nobody gets in.\n",
    )


def _whence(person_id: int) -> str:
    """Which platform knows this person, to tell several ways apart; no name, since a mailbox may be shared."""
    account = db.session.scalars(
        select(Account).where(Account.person_id == person_id).order_by(Account.seen_at.desc()).limit(1)
    ).first()
    return "Your badges" if account is None else f"Badges earned through {account.platform.name}"


def _moment(at: datetime) -> str:
    return f"{at:%B} {at.day}, {at:%Y, %H:%M} UTC"


def _addressee(address: str) -> str:
    key = current().passphrase("letters")
    return hmac.new(key, address.lower().encode(), hashlib.sha256).hexdigest()
