"""The way in as a browser walks it: the OIDC leg, what is unusual and yet allowed, and what comes twice or crossed."""

import html
import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from lti_tool import clock, errors
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti import platform_keys
from lti_tool.lti.models import Registration
from lti_tool.lti.sessions import COOKIE_NAME
from lti_tool.people.models import Account, CourseOrigin
from tests.certification import corpus
from tests.certification.corpus import Base, Claims, Refusal, Sender
from tests.certification.way import BASE, SECOND, SENDERS, Way, login_params, refused_as
from tests.lti.platform_double import LTI, PUBLIC_URL, Key
from tests.support.apps import running

USED = Refusal(errors.LaunchUsed)
BOTH = pytest.mark.parametrize("base", [corpus.LEARNER, corpus.CANVAS_LEARNER], ids=str)


# Login and the way to the platform


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_the_browser_is_sent_on_with_exactly_what_lti_asks_for(way: Way, sender: Sender, method: str) -> None:
    params = login_params(sender)
    given = {"query_string": params} if method == "GET" else {"data": params}

    answer = way.client.open("/lti/login", method=method, base_url=BASE, **given)

    assert answer.status_code == 302
    query = parse_qs(urlsplit(answer.location).query)
    assert answer.location.startswith(f"{sender.issuer}/auth?")
    assert len(query.pop("state")[0]) >= 32
    assert len(query.pop("nonce")[0]) >= 32
    assert query == {
        "scope": ["openid"],
        "response_type": ["id_token"],
        "response_mode": ["form_post"],
        "prompt": ["none"],
        "client_id": [sender.client_id],
        "redirect_uri": [PUBLIC_URL + "/lti/launch"],
        "login_hint": [sender.login["login_hint"]],
        "lti_message_hint": [sender.login["lti_message_hint"]],
    }


def test_a_message_hint_that_was_not_given_is_not_sent(way: Way) -> None:
    params = login_params()
    del params["lti_message_hint"]

    answer = way.client.post("/lti/login", data=params, base_url=BASE)

    assert "lti_message_hint" not in parse_qs(urlsplit(answer.location).query)


def test_an_authorization_address_with_a_query_keeps_it(way: Way) -> None:
    with way.app.app_context():
        row = db.session.scalars(select(Registration).where(Registration.client_id == SECOND.client_id)).one()
        row.auth_url += "?tenant=7"
        db.session.commit()

    answer = way.client.post("/lti/login", data=login_params(SECOND), base_url=BASE)

    query = parse_qs(urlsplit(answer.location).query)
    assert (query["tenant"], query["client_id"]) == (["7"], ["second"])


@pytest.mark.parametrize("name", ["lti_deployment_id", "deployment_id", None])
def test_a_deployment_may_be_named_in_the_login_either_way_or_not_at_all(way: Way, name: str | None) -> None:
    params = {key: value for key, value in login_params().items() if "deployment" not in key}
    answer = way.client.post("/lti/login", data=params | ({name: "1"} if name else {}), base_url=BASE)
    begun = {key: values[0] for key, values in parse_qs(urlsplit(answer.location).query).items()}

    assert (
        way.post({"id_token": way.token(corpus.LEARNER, begun), "state": begun["state"]}).status_code == 303
    )


def test_an_issuer_with_one_registration_needs_no_client_id_and_one_with_two_does(way: Way) -> None:
    params = {name: value for name, value in login_params(corpus.CANVAS).items() if name != "client_id"}

    alone = way.client.post("/lti/login", data=params, base_url=BASE)
    several = way.client.post("/lti/login", data=params | {"iss": corpus.MOODLE.issuer}, base_url=BASE)

    assert f"client_id={corpus.CANVAS.client_id}" in alone.location
    refused_as(several, corpus.UNKNOWN)


# Unusual, and no fault of anybody


def _later(claims: Claims) -> None:
    claims["iat"] = int(clock.now().timestamp()) + 5


def _in_a_list(claims: Claims) -> None:
    claims["aud"] = [claims["aud"]]
    claims.pop("azp", None)


def _among_others(claims: Claims) -> None:
    claims["azp"] = claims["aud"]
    claims["aud"] = ["other", claims["aud"]]


def _nameless(claims: Claims) -> None:
    for claim in ("name", "given_name", "family_name", "email", LTI + "lis"):
        claims.pop(claim, None)


ALLOWED: dict[str, Callable[[Claims], object]] = {
    "iat five seconds ahead of us": _later,
    "iat nine minutes old": lambda claims: claims.update(iat=int(clock.now().timestamp()) - 540),
    "over for half a minute": lambda claims: claims.update(exp=int(clock.now().timestamp()) - 30),
    "the audience alone in a list": _in_a_list,
    "several audiences, azp ours": _among_others,
    "nobody's name": _nameless,
    "no role": lambda claims: claims.update({LTI + "roles": []}),
    "no course": lambda claims: claims.pop(LTI + "context"),
    "leftovers in every claim": lambda claims: [
        claim.update(validation_context=None, errors={"errors": {}})
        for claim in claims.values()
        if isinstance(claim, dict)
    ],
    "variables that nobody filled in": lambda claims: claims[LTI + "custom"].update(
        context_history="$Context.id.history", term_start="$Canvas.term.startAt", count=3, on=True, off=None
    ),
}


@BOTH
@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_is_unusual_but_allowed_gets_in(
    way: Way, base: Base, change: Callable[[Claims], object]
) -> None:
    assert way.open(base, change).status_code == 303


def test_form_fields_besides_those_of_lti_are_no_matter(way: Way) -> None:
    begun = way.login(corpus.CANVAS)
    junk = {"utf8": "✓", "authenticity_token": "x" * 64, "lti_storage_target": "post_message_forwarding"}

    answer = way.post({**junk, "id_token": way.token(corpus.CANVAS_LEARNER, begun), "state": begun["state"]})

    assert answer.status_code == 303


@BOTH
def test_somebody_whom_the_platform_does_not_name_is_asked_to_sign_in(way: Way, base: Base) -> None:
    refused_as(way.open(base, lambda claims: claims.pop("sub")), corpus.ANONYMOUS)


# Twice, crossed, and in another browser


@BOTH
def test_a_message_posted_twice_opens_once_and_the_first_visit_goes_on(way: Way, base: Base) -> None:
    begun = way.login(base.sender)
    form = {"id_token": way.token(base, begun), "state": begun["state"]}
    first = way.post(form)
    before = way.visits()

    refused_as(way.post(form), USED)

    assert way.visits() == before
    assert way.first_page(first).status_code == 200


@BOTH
def test_the_nonce_of_one_login_does_not_open_another(way: Way, base: Base) -> None:
    first, second = way.login(base.sender), way.login(base.sender)
    token = way.token(base, first)

    refused_as(way.post({"id_token": token, "state": second["state"]}), corpus.OTHER_LOGIN)
    assert way.post({"id_token": token, "state": first["state"]}).status_code == 303


def test_the_state_of_another_registration_s_login_is_refused_either_way(way: Way) -> None:
    at_moodle, at_canvas = way.login(corpus.MOODLE), way.login(corpus.CANVAS)
    for base, own, other in (
        (corpus.LEARNER, at_moodle, at_canvas),
        (corpus.CANVAS_LEARNER, at_canvas, at_moodle),
    ):
        token = way.token(base, own | {"nonce": other["nonce"]})
        refused_as(way.post({"id_token": token, "state": other["state"]}), corpus.OTHER_PLATFORM)


def test_a_message_taken_to_another_browser_opens_nothing_there_and_spoils_nothing(way: Way) -> None:
    thief, begun = way.person(), way.login()
    form = {"id_token": way.token(corpus.LEARNER, begun), "state": begun["state"]}
    before = way.visits()

    refused_as(way.post(form, thief.client), corpus.NO_LOGIN)

    assert way.visits() == before
    assert way.post(form).status_code == 303


def test_two_tabs_with_two_courses_and_two_roles_stay_apart(way: Way) -> None:
    teaching = way.open(Base("launch-instructor.json", corpus.MOODLE))
    learning = way.open(corpus.CANVAS_LEARNER)
    elsewhere = way.open(
        corpus.LEARNER,
        lambda claims: claims.update(
            {
                LTI + "context": {"id": "77", "title": "SPED 4700 Practicum"},
                LTI + "resource_link": {"id": "770", "title": "UDL"},
            }
        ),
    )

    for _ in range(2):
        assert "Who is where" in way.first_page(teaching).text
        for answer, course in ((learning, "Assistive Technology"), (elsewhere, "Practicum")):
            page = way.first_page(answer).text
            assert "You are here as <strong>Learner" in page
            assert course in page


# Keys that change


def test_a_key_that_came_after_we_looked_is_found_and_the_old_one_no_longer(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, rotated = corpus.LEARNER, Key.make("rotated")
    published = way.platform.answers["/jwks"]
    platform_keys.forget_all()
    assert way.open(base).status_code == 303  # The keys of before are known now.
    try:
        way.platform.publish(rotated.jwk(alg="RS256"), cache_control="max-age=3600")
        later = clock.now() + timedelta(minutes=2)  # Looking once a minute is enough against invented ids.
        monkeypatch.setattr(clock, "now", lambda: later)
        begun = way.login()
        claims = corpus.good(base, nonce=begun["nonce"], now=clock.now())

        answer = way.post({"id_token": corpus.signed(claims, rotated), "state": begun["state"]})

        assert answer.status_code == 303
        refused_as(way.open(base), corpus.UNKNOWN_KEY)
    finally:
        way.platform.answers["/jwks"] = published
        platform_keys.forget_all()


# Several processes of ours, and several ids of one person


def test_a_login_that_one_process_answered_is_ended_by_another(way: Way) -> None:
    begun = way.login()
    form = {"id_token": way.token(corpus.LEARNER, begun), "state": begun["state"]}
    with running(way.home, QUEUE_URL="") as another:
        browser = another.test_client()
        cookie = way.client.get_cookie(COOKIE_NAME, "tool.localhost")
        assert cookie is not None
        browser.set_cookie(COOKIE_NAME, cookie.value, domain="tool.localhost", secure=True)

        answer = way.post(form, browser)

        assert answer.status_code == 303
        refused_as(way.post(form), USED)


def test_who_somebody_is_hangs_on_sub_and_never_on_the_ids_of_lti_1_1(way: Way) -> None:
    def named(sub: str, legacy: str) -> Callable[[Claims], object]:
        return lambda claims: claims.update(
            {"sub": sub, LTI + "lti1p1": {"user_id": legacy}, LTI + "lti11_legacy_user_id": legacy}
        )

    for sub, legacy in (("one", "old"), ("one", "another"), ("two", "old")):
        way.open(corpus.CANVAS_LEARNER, named(sub, legacy))

    with way.app.app_context():
        subjects = db.session.scalars(
            select(Account.subject).where(Account.subject.in_(["one", "two", "old"]))
        )
        assert sorted(subjects) == ["one", "two"]


# Browsers that keep no cookie


@pytest.mark.parametrize("keeps_data", [True, False], ids=["platform storage", "no platform storage"])
def test_without_any_cookie_the_person_goes_on_in_a_new_tab(way: Way, keeps_data: bool) -> None:
    frame, tab = way.app.test_client(use_cookies=False), way.app.test_client()
    params = login_params(corpus.CANVAS)
    if not keeps_data:
        del params["lti_storage_target"]
    begun = frame.post("/lti/login", data=params, base_url=BASE)
    if keeps_data:
        assert 'data-storage="put"' in begun.text
        onward = html.unescape(re.findall(r'data-onward="([^"]*)"', begun.text)[0])
    else:
        assert begun.status_code == 302
        onward = begun.location
    query = {name: values[0] for name, values in parse_qs(urlsplit(onward).query).items()}
    form = {"id_token": way.token(corpus.CANVAS_LEARNER, query), "state": query["state"]}
    in_frame = {"Sec-Fetch-Dest": "iframe"}
    arrived = frame.post("/lti/launch", data=form, base_url=BASE, headers=in_frame)

    waiting = frame.get(arrived.location, base_url=BASE, headers=in_frame)
    if keeps_data:
        assert 'data-storage="get"' in waiting.text
        without = html.unescape(re.findall(r'data-onward="([^"]*)"', waiting.text)[0])
        waiting = frame.get(without, base_url=BASE, headers=in_frame)
    assert "Open the activity in a new tab" in waiting.text
    code = re.findall(r'name="code" value="([^"]+)"', waiting.text)[0]
    opened = tab.post("/lti/open", data={"code": code}, base_url=BASE, headers={"Origin": PUBLIC_URL})

    assert opened.status_code == 303
    assert tab.get_cookie(COOKIE_NAME, "tool.localhost") is not None
    assert tab.get(opened.location, base_url=BASE, follow_redirects=True).status_code == 200


# Who is no student, and courses that are copies


def test_student_view_is_a_rehearsal(way: Way) -> None:
    page = way.first_page(way.open(Base("assignment-student-view.json", corpus.CANVAS)))

    assert "Student View: a rehearsal." in page.text
    assert "no grade, no badge, no credit" in page.text


@pytest.mark.parametrize("base", [corpus.LEARNER, corpus.CANVAS_LEARNER], ids=str)
def test_a_copied_course_whose_history_nobody_filled_in_has_an_activity_of_its_own(
    way: Way, base: Base
) -> None:
    def copied(claims: Claims) -> None:
        claims[LTI + "context"] = {"id": f"copy at {base}", "title": "A copy"}
        claims[LTI + "resource_link"] = {"id": f"link at {base}"}
        claims[LTI + "custom"] |= {
            "context_history": "$Context.id.history",
            "rl_history": "$ResourceLink.id.history",
        }

    way.open(base)
    page = way.first_page(way.open(base, copied))

    assert "Universal Design for Learning" in page.text
    with way.app.app_context():
        links = db.session.scalars(select(Placement.resource_link_id)).all()
        assert f"link at {base}" in links
        assert len(links) == len(set(links))
        assert db.session.scalars(select(CourseOrigin)).all() == []


def test_in_canvas_a_link_with_the_id_of_its_course_is_no_identity(way: Way) -> None:
    base = Base("navigation-instructor.json", corpus.CANVAS)
    way.open(base)
    way.open(base, lambda claims: claims[LTI + "custom"].update(credential="fading-prompts"))

    course = corpus.good(base, nonce="x", now=clock.now())[LTI + "context"]["id"]
    with way.app.app_context():
        assert course not in db.session.scalars(select(Placement.resource_link_id)).all()
