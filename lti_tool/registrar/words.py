"""How the ledger reads on screen and in exports."""

from decimal import Decimal

from lti_tool.passback.models import ScoreState

STATE_WORDS = {
    ScoreState.OWED: "Waiting to send",
    ScoreState.SENDING: "Waiting to send",
    ScoreState.ACCEPTED: "Sent and accepted",
    ScoreState.PARKED: "Needs attention",
    ScoreState.SUPERSEDED: "Replaced by a newer score",
}
STATE_TONES = {
    ScoreState.OWED: "waiting",
    ScoreState.SENDING: "waiting",
    ScoreState.ACCEPTED: "success",
    ScoreState.PARKED: "warning",
    ScoreState.SUPERSEDED: "neutral",
}


def number(value: Decimal) -> str:
    """10, 8.5 or 0: as people write points, without trailing zeros or exponents."""
    return f"{value.normalize():f}"
