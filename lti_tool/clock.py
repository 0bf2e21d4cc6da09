"""What time it is. Everything inside is UTC; the user's zone appears on the screen only."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current moment, aware, in UTC."""
    return datetime.now(UTC)
