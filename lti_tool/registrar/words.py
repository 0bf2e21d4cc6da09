"""How the ledger reads on screen and in exports."""

from decimal import Decimal

from lti_tool.passback.models import Finding, ScoreState
from lti_tool.registrar.queries import LedgerRow, Shown
from lti_tool.registrar.stories import Standing
from lti_tool.submissions.models import AttemptState

STATE_WORDS = {
    ScoreState.OWED: "Waiting to send",
    ScoreState.SENDING: "Waiting to send",
    ScoreState.ACCEPTED: "Sent and accepted",
    ScoreState.CONFIRMED: "Shown in the gradebook",
    ScoreState.OVERRIDDEN: "The LMS shows a different grade",
    ScoreState.PARKED: "Needs attention",
    ScoreState.ABANDONED: "Not sent, by a person’s decision",
    ScoreState.SUPERSEDED: "Replaced by a newer score",
}
SHOWN_WORDS = {
    Shown.ALL: "All",
    Shown.ATTENTION: "Needs attention",
    Shown.DIFFERS: "The LMS shows a different grade",
    Shown.WAITING: "Waiting to send",
    Shown.ACCEPTED: "Sent and accepted",
    Shown.CONFIRMED: "Shown in the gradebook",
    Shown.SETTLED: "Different, and settled",
    Shown.REPLACED: "Replaced by a newer score",
    Shown.NOT_SENT: "Not sent",
}
_TONES = {
    Shown.ATTENTION: "warning",
    Shown.DIFFERS: "warning",
    Shown.WAITING: "waiting",
    Shown.ACCEPTED: "success",
    Shown.CONFIRMED: "success",
}
_PLAINLY = {
    Shown.ATTENTION: "A person has to look at it.",
    Shown.DIFFERS: "Somebody has set another grade in the LMS.",
    Shown.WAITING: "It is on its way and will be sent within seconds.",
    Shown.ACCEPTED: "The LMS took the score. Whether its gradebook shows it has not been read back yet.",
    Shown.CONFIRMED: "The gradebook of the LMS shows it.",
    Shown.SETTLED: "The LMS shows something else, and a person has settled that.",
    Shown.REPLACED: "A newer score of the same gradebook cell took its place.",
    Shown.NOT_SENT: "A person has decided that it is not sent.",
}
"""Where no row has a reason of its own."""
_ASKED = (
    "The decision behind it was changed since. The gradebook keeps the points until the faculty of the course say what "
    "becomes of them."
)
_LEFT = "The decision behind it was changed since, and the faculty of the course have left the points as they are."


def state_of(row: LedgerRow) -> tuple[str, str]:
    """How a score stands: words and tone."""
    words = STATE_WORDS[row.state] if row.shown is Shown.NOT_SENT else SHOWN_WORDS[row.shown]
    if row.shown is Shown.DIFFERS and row.finding is Finding.MISSING:
        words = "The LMS shows no grade"
    return words, _TONES.get(row.shown, "neutral")


def number(value: Decimal) -> str:
    """10, 8.5 or 0: as people write points, without trailing zeros or exponents."""
    return f"{value.normalize():f}"


def why(standing: Standing) -> str:
    """Why the gradebook shows what it shows for somebody in one activity, in a sentence that can be passed on."""
    if standing.score is not None:
        return of_score(standing.score)
    match standing.state:
        case None:
            return "They have not begun, so there is nothing to grade."
        case AttemptState.DRAFT:
            return "They have begun and not handed in yet, so there is nothing to grade."
        case AttemptState.SUBMITTED:
            return "The work is handed in and waits for an assessor. Ask the instructor to assess it."
        case AttemptState.NOT_YET:
            return "Decided: not yet demonstrated. That sends no grade; they may hand in again."
    return "Demonstrated, but no score is owed here: the result was used in another activity or course."


def of_score(row: LedgerRow) -> str:
    """Why the gradebook shows what it shows of this score."""
    match row.shown:
        case Shown.ACCEPTED | Shown.CONFIRMED if row.called_off_at is not None:
            return _LEFT if row.dealt_with_at is not None else _ASKED
        case Shown.DIFFERS if row.finding is Finding.MISSING and not row.reason:
            return "The LMS took the score, but its gradebook shows none now."
        case Shown.WAITING | Shown.ATTENTION | Shown.NOT_SENT | Shown.DIFFERS | Shown.SETTLED if row.reason:
            return row.reason
    return _PLAINLY[row.shown]
