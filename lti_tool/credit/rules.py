"""What a credit rule gives: in which cycle a day lies, and how much of a value a cap leaves."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal


@dataclass(frozen=True)
class Cycle:
    """From its first day to its last."""

    first: date
    last: date


@dataclass(frozen=True)
class Counted:
    """How much of a value counts; ``why`` says what became of the rest, and is None where all of it counts."""

    value: Decimal
    why: str | None


def cycle_of(day: date, *, months: int, start: date) -> Cycle:
    """The cycle in which a day lies, where one began at ``start`` and each lasts so many months."""
    since = (day.year - start.year) * 12 + day.month - start.month - (day.day < start.day)
    begins = since // months * months
    return Cycle(_later(start, begins), _later(start, begins + months) - timedelta(days=1))


def count(value: Decimal, *, cap: Decimal | None, used: Decimal, unit: str) -> Counted:
    """How much of ``value`` counts in a cycle of which ``used`` is taken."""
    if cap is None:
        return Counted(value, None)
    fits = min(value, max(cap - used, Decimal(0)))
    if fits == value:
        return Counted(value, None)
    limit = f"The authority counts at most {plain(cap)} {unit} in this cycle"
    if fits == 0:
        return Counted(Decimal(0), f"{limit}, and that was reached.")
    return Counted(fits, f"{limit}, so {plain(fits)} of {plain(value)} count.")


def valid(day: date, *, first: date | None, last: date | None) -> bool:
    """Whether a rule holds on that day; both ends may be open."""
    return (first is None or first <= day) and (last is None or day <= last)


def plain(value: Decimal) -> str:
    """A number without needless zeros: 0.5, 10."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def total_in_words(counted: Decimal, unit: str, first: date | None, last: date | None) -> str:
    """A total with its cycle, as pages and statements say it."""
    total = f"{plain(counted)} {unit}"
    if first is None or last is None:
        return total
    return (
        f"{total} in the cycle from {first:%B} {first.day}, {first.year} to {last:%B} {last.day}, {last.year}"
    )


def _later(day: date, months: int) -> date:
    """``start`` lies on a day that every month has."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, day.day)
