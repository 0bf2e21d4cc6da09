"""The same platform and door as in tests/lti."""

from tests.lti.conftest import (
    _as_a_new_process,
    app,
    door,
    key,
    learner_claims,
    now,
    other_key,
    platform,
    registration,
)

__all__ = [
    "_as_a_new_process",
    "app",
    "door",
    "key",
    "learner_claims",
    "now",
    "other_key",
    "platform",
    "registration",
]
