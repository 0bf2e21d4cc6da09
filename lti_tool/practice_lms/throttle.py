"""Canvas's rate limit: a bucket that every request fills and time empties, one for all that a tool's key does.

A request takes 50 points up front and gives most of them back; a token costs 200 more. Who finds the bucket full is
sent away.
"""

import threading
from collections.abc import Callable
from datetime import datetime

HIGH_WATER, OUTFLOW, UP_FRONT, TOKEN = 600.0, 10.0, 50.0, 200.0


class Bucket:
    """One bucket. ``clock`` tells the time by which it runs empty."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._count = 0.0
        self._at = clock()

    def enter(self) -> float | None:
        """Begin a request: how much room is left, None if there is none."""
        with self._lock:
            self._drain()
            if self._count + UP_FRONT >= HIGH_WATER:
                return None
            self._count += UP_FRONT
            return HIGH_WATER - self._count

    def leave(self, cost: float) -> float:
        """End a request that was let in: how much room is left."""
        with self._lock:
            self._drain()
            self._count = max(0.0, self._count - UP_FRONT + cost)
            return HIGH_WATER - self._count

    def _drain(self) -> None:
        now = self._clock()
        self._count = max(0.0, self._count - (now - self._at).total_seconds() * OUTFLOW)
        self._at = now
