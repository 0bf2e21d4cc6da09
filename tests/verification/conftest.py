"""The badge of tests/badges, judged, and another issuer who could have made it."""

from collections.abc import Iterator
from typing import Any

import pytest

from lti_tool.badges import open_badge
from lti_tool.verification.verdict import Verdict
from lti_tool.verification.web import Web
from tests.badges.conftest import (  # noqa: F401 - fixtures are found by their names
    Judge,
    achievement,
    badge,
    changed,
    did,
    facts,
    judge,
    key,
    keys,
    method,
    now,
    published,
)
from tests.verification.elsewhere import Foreign, Site, site


@pytest.fixture(scope="module")
def _site() -> Iterator[Site]:
    with site() as place:
        yield place


@pytest.fixture
def place(_site: Site) -> Site:
    """An empty server on this machine, which the operator has allowed."""
    _site.pages.clear()
    _site.asked.clear()
    return _site


@pytest.fixture(scope="module")
def _foreign(_site: Site) -> Foreign:
    return Foreign(_site)


@pytest.fixture
def foreign(_foreign: Foreign, place: Site) -> Foreign:
    """An issuer with a DID on that server, where its keys are published."""
    _foreign.publish()
    return _foreign


@pytest.fixture
def unsigned(facts: open_badge.BadgeFacts, foreign: Foreign) -> dict[str, Any]:  # noqa: F811 - the fixture above
    """A badge of the other issuer, to be signed."""
    return foreign.named(open_badge.build(facts))


@pytest.fixture
def ask(judge: Judge, place: Site) -> Judge:  # noqa: F811 - the fixture above
    """The verdict with the other server at hand."""

    def asked(given: Any, **more: Any) -> Verdict:
        web = Web(
            allowed_origins={place.origin},
            resolve=lambda host, _: ["127.0.0.1"] if host == "127.0.0.1" else [],
        )
        return judge(given, web=web, **more)

    return asked
