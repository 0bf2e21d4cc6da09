"""No wrong launch gets in, and none makes us stumble: through the public door, one after the other."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lti_tool import clock
from tests.certification import corpus
from tests.certification.corpus import Base, Case, Claims, LoginCase
from tests.certification.way import BASE, Way, login_params, refused_as

NONCE = "the nonce of the login"
LAUNCHES, LOGINS = corpus.launches(), corpus.logins()


def test_the_corpus_is_as_large_as_promised() -> None:
    names = [case.name for case in LAUNCHES] + [f"login {case.name}" for case in LOGINS]

    assert len(set(names)) == len(names)
    assert len(names) >= 150


@pytest.mark.parametrize("base", corpus.GOOD, ids=str)
def test_the_unchanged_message_gets_in_by_the_same_way(way: Way, base: Base) -> None:
    answer = way.open(base)

    assert answer.status_code == 303
    assert way.first_page(answer).status_code == 200


@pytest.mark.parametrize("case", LAUNCHES, ids=lambda case: case.name)
def test_a_wrong_launch_is_refused_for_what_is_wrong_and_leaves_nothing(way: Way, case: Case) -> None:
    before = way.visits()
    sender = case.base.sender
    begun = way.login(sender)
    claims = corpus.good(case.base, nonce=begun["nonce"], now=clock.now())
    case.change(claims)
    form = {"id_token": case.token(claims, way.keys_of(sender)), "state": begun["state"]}
    case.form(form)

    answer = way.post(form)

    refused_as(answer, case.refused)
    assert way.visits() == before


@pytest.mark.parametrize("case", LOGINS, ids=lambda case: case.name)
def test_a_wrong_login_is_refused_for_what_is_wrong(way: Way, case: LoginCase) -> None:
    params = login_params(**case.params)
    if case.without is not None:
        del params[case.without]

    refused_as(way.client.post("/lti/login", data=params, base_url=BASE), case.refused)
    refused_as(
        way.client.get("/lti/login", query_string=params, base_url=BASE), case.in_address or case.refused
    )


def test_a_message_for_one_tenant_does_not_answer_the_login_of_another_with_the_same_issuer(way: Way) -> None:
    begun, at_second = way.login(), way.login(client_id="second")
    token = way.token(corpus.LEARNER, begun)
    before = way.visits()

    crossed = way.post({"id_token": token, "state": at_second["state"]})

    refused_as(crossed, corpus.OTHER_PLATFORM)
    assert way.visits() == before
    assert way.post({"id_token": token, "state": begun["state"]}).status_code == 303


def test_a_message_taken_from_another_browser_opens_nothing_and_spoils_nothing(way: Way) -> None:
    way.login()
    begun = way.login()  # This one brought the cookie of the first.
    form = {"id_token": way.token(corpus.LEARNER, begun), "state": begun["state"]}
    thief = way.app.test_client()
    thief.post("/lti/login", data=login_params(), base_url=BASE)
    before = way.visits()

    refused_as(way.post(form, thief), corpus.NO_LOGIN)
    assert way.visits() == before
    assert way.post(form).status_code == 303


# Anything that JSON can say, and what platforms are known to say, in any claim at all.
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "$Canvas.user.id",
            "",
            "\0",
            "\ud800",
            "javascript:alert(1)",
            "https://[::1",
            "http://a:99999999/",
            "１",
        ]
    )
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def _claim_sets(draw: st.DrawFn) -> tuple[Base, Claims]:
    """A good message in which up to four things, however deep, were replaced or taken away."""
    base = draw(st.sampled_from(corpus.CHANGED))
    claims: Claims = json.loads(json.dumps(corpus.good(base, nonce=NONCE, now=clock.now())))
    for _ in range(draw(st.integers(1, 4))):
        here: Any = claims
        while here:
            at = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
            if isinstance(here[at], dict | list) and draw(st.booleans()):
                here = here[at]
            elif isinstance(here, dict) and draw(st.integers(0, 3)) == 0:
                del here[at]
                break
            else:
                here[at] = draw(_VALUES)
                break
    return base, claims


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=_claim_sets())
def test_no_claim_set_ends_in_a_fault_of_ours(way: Way, drawn: tuple[Base, Claims]) -> None:
    base, claims = drawn
    begun = way.login(base.sender)
    if claims.get("nonce") == NONCE:
        claims = claims | {"nonce": begun["nonce"]}
    token = corpus.signed(claims, way.keys_of(base.sender).registered)

    answer = way.post({"id_token": token, "state": begun["state"]})

    assert answer.status_code in {303, 400, 403}
    if answer.status_code == 303:
        assert way.first_page(answer).status_code in {200, 403, 404}
