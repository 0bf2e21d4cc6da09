"""A launch whose cookie does not come back: what proves its browser, what does not, and what the person sees."""

import html
import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti import arrivals
from lti_tool.lti.models import Arrival, Launch, LoginState, Platform
from lti_tool.lti.sessions import COOKIE_NAME
from tests.lti.platform_double import ISSUER, PUBLIC_URL, Key, sign
from tests.routes.test_entry import LEARNER, ROOT, Person, key, person, platform

__all__ = ["key", "person", "platform"]

OURS = {"Origin": PUBLIC_URL}
STORAGE = {"lti_storage_target": "post_message_forwarding"}


class Frame:
    """A frame in the platform's page, in a browser that keeps no cookie there; ``keep`` says since when it does."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.client: FlaskClient = person.client
        self.keeps_cookies = False

    def send(self, method: str, path: str, **more: Any) -> TestResponse:
        if not self.keeps_cookies:
            self.client.delete_cookie(COOKIE_NAME, domain="tool.localhost")
        return self.client.open(path, method=method, base_url=ROOT, **more)

    def login(self, **more: str) -> tuple[TestResponse, dict[str, str]]:
        """The answer to a login, and the query with which the browser goes on to the platform."""
        answer = self.person.login(**more)
        onward = answer.headers.get("Location") or html.unescape(
            re.search(r'data-onward="([^"]*)"', answer.text)[1]  # type: ignore[index]  # one of the two is there
        )
        query = {name: values[0] for name, values in parse_qs(urlsplit(onward).query).items()}
        return answer, query

    def launch(self, query: dict[str, str], **headers: str) -> TestResponse:
        claims = self.person.claims(
            LEARNER,
            TestResponse(b"", "302", {"Location": f"/?nonce={query['nonce']}"}, None),  # type: ignore[arg-type]  # only its Location is read
        )
        form = {"id_token": sign(claims, self.person.key), "state": query["state"]}
        return self.send("POST", "/lti/launch", data=form, headers={"Sec-Fetch-Dest": "iframe"} | headers)

    def arrive(self, **login: str) -> TestResponse:
        """From the login to the page at which the launch waits."""
        return self.follow(self.launch(self.login(**login)[1]))

    def follow(self, answer: TestResponse) -> TestResponse:
        assert answer.status_code == 303, answer.text
        return self.send("GET", answer.headers["Location"])


def code_on(page: TestResponse) -> str:
    return re.search(r'name="code" value="([^"]+)"', page.text)[1]  # type: ignore[index]  # the button's page has one


def key_on(page: TestResponse) -> str:
    """What stands in the page with the button, which is made once."""
    return re.search(r'data-key="([^"]+)"', page.text)[1]  # type: ignore[index]  # as above


def marks_on(page: TestResponse) -> dict[str, str]:
    """What the login page asks the platform to keep."""
    marks: dict[str, str] = json.loads(
        html.unescape(re.search(r'data-marks="([^"]*)"', page.text)[1])  # type: ignore[index]  # as above
    )
    return marks


def waiting_at(page: TestResponse) -> str:
    return page.request.path


@pytest.fixture
def frame(person: Person) -> Frame:
    return Frame(person)


@pytest.fixture
def tab(app: Flask) -> FlaskClient:
    """A new tab of the same browser: it shares no cookie with the frame."""
    return app.test_client()


def press(tab: FlaskClient, code: str, **headers: str) -> TestResponse:
    return tab.post("/lti/open", data={"code": code}, base_url=ROOT, headers=OURS | headers)


def renew(frame: Frame, page: TestResponse, key: str, **headers: str) -> TestResponse:
    return frame.send("POST", f"{waiting_at(page)}/code", data={"key": key}, headers=OURS | headers)


# The button


def test_without_any_cookie_the_person_reads_who_they_will_be_and_goes_on_in_a_new_tab(
    frame: Frame, tab: FlaskClient
) -> None:
    page = frame.arrive()

    assert page.status_code == 200
    assert "Continue as Sam1 Student1 in a new tab" in page.text
    assert 'target="_blank"' in page.text
    assert "State not found" not in page.text
    entered = press(tab, code_on(page))
    assert entered.status_code == 303
    assert code_on(page) not in entered.headers["Location"]
    work = tab.get(entered.headers["Location"], base_url=ROOT, follow_redirects=True)
    assert "Universal Design for Learning" in work.text


def test_the_page_with_the_button_is_framed_by_the_platform_of_this_launch_only(frame: Frame) -> None:
    policy = frame.arrive().headers["Content-Security-Policy"]

    assert f"frame-ancestors {ISSUER}" in policy


def test_a_code_opens_once(frame: Frame, tab: FlaskClient, app: Flask) -> None:
    code = code_on(frame.arrive())
    press(tab, code)

    forwarded = press(app.test_client(), code)

    assert forwarded.status_code == 400
    assert "already used" in forwarded.text
    assert "Your work is safe" in forwarded.text


def test_a_code_opens_for_a_minute_and_a_page_that_is_read_longer_gets_new_ones(
    frame: Frame, tab: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = frame.arrive()
    later = clock.now() + timedelta(seconds=61)
    monkeypatch.setattr(clock, "now", lambda: later)

    late = press(tab, code_on(page))
    renewed = renew(frame, page, key_on(page)).json

    assert late.status_code == 400
    assert "took too long" in late.text
    assert renewed is not None
    assert press(tab, renewed["code"]).status_code == 303


@pytest.mark.parametrize("code", ["", "made.up", "a.1.2", "é" * 9, "x.99999999999." + "0" * 64])
def test_an_invented_code_is_refused_kindly(person: Person, tab: FlaskClient, code: str) -> None:
    answer = press(tab, code)

    assert answer.status_code == 400
    assert "could not be trusted" in answer.text


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": ""}])
def test_another_site_cannot_press_the_button(
    frame: Frame, tab: FlaskClient, headers: dict[str, str]
) -> None:
    code = code_on(frame.arrive())

    assert press(tab, code, **headers).status_code == 400
    assert press(tab, code).status_code == 303


def test_a_browser_that_keeps_no_cookie_even_in_a_tab_of_its_own_is_told_what_to_allow(
    frame: Frame, app: Flask
) -> None:
    entered = press(app.test_client(), code_on(frame.arrive()))

    page = app.test_client().get(entered.headers["Location"], base_url=ROOT)

    assert page.status_code == 400
    assert "Allow cookies for this site" in page.text


def test_a_frame_that_keeps_cookies_after_all_asks_and_goes_on_where_it_is(frame: Frame) -> None:
    answer = frame.launch(frame.login()[1])
    frame.keeps_cookies = True

    page = frame.follow(answer)

    assert "Is this you?" in page.text
    assert 'target="_blank"' not in page.text
    work = frame.follow(frame.send("POST", "/lti/open", data={"code": code_on(page)}, headers=OURS))
    assert work.status_code == 303
    assert "Universal Design for Learning" in frame.follow(work).text


def test_two_frames_that_begin_at_once_in_a_new_browser_both_get_in(app: Flask, person: Person) -> None:
    """Each login sets a cookie, and the second one's replaces the first's."""
    first, second = Frame(person), Frame(person)
    begun = first.login()[1]
    first.client.delete_cookie(COOKIE_NAME, domain="tool.localhost")
    second.login()
    first.keeps_cookies = True

    page = first.follow(first.launch(begun))

    assert "Is this you?" in page.text
    assert first.send("POST", "/lti/open", data={"code": code_on(page)}, headers=OURS).status_code == 303


def test_somebody_without_a_name_reads_what_is_known(frame: Frame, app: Flask) -> None:
    _, query = frame.login()
    nameless = {"name", "given_name", "family_name", "email"}
    claims = frame.person.claims(
        LEARNER, TestResponse(b"", "302", {"Location": f"/?nonce={query['nonce']}"}, None)
    )  # type: ignore[arg-type]  # as above
    claims = {claim: value for claim, value in claims.items() if claim not in nameless}
    form = {"id_token": sign(claims, frame.person.key), "state": query["state"]}

    page = frame.follow(frame.send("POST", "/lti/launch", data=form))

    assert "did not send a name" in page.text
    assert "Continue in a new tab" in page.text


# Who does not get in


def test_a_waiting_launch_opens_nowhere(app: Flask, frame: Frame, tab: FlaskClient) -> None:
    frame.arrive()
    with app.app_context():
        launch_id = db.session.scalars(select(Launch.id)).one()

    assert tab.get(f"/l/{launch_id}/", base_url=ROOT).status_code == 401
    tab.set_cookie(COOKIE_NAME, "", domain="tool.localhost", secure=True)
    assert tab.get(f"/l/{launch_id}/", base_url=ROOT).status_code == 401


def test_in_a_window_of_its_own_no_button_stands_between_an_attacker_and_another_person_s_browser(
    app: Flask, frame: Frame
) -> None:
    _, query = frame.login()

    sent_there = frame.launch(query, **{"Sec-Fetch-Dest": "document"})

    assert sent_there.status_code == 400
    assert "kept a cookie back" in sent_there.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Arrival)) == 0
        assert db.session.scalars(select(LoginState.used_at)).one() is None


def test_a_launch_that_an_attacker_posted_is_offered_to_nobody_who_follows_a_link(
    frame: Frame, tab: FlaskClient
) -> None:
    """The attacker's own client may say that it is a frame; the browser of whoever follows the link does not."""
    waiting = frame.launch(frame.login()[1]).headers["Location"]

    for keeps_cookies in (False, True):
        if keeps_cookies:
            tab.set_cookie(COOKIE_NAME, "of-the-victim", domain="tool.localhost", secure=True)
        page = tab.get(waiting, base_url=ROOT, headers={"Sec-Fetch-Dest": "document"})
        assert page.status_code == 400
        assert "kept a cookie back" in page.text
        assert "Sam1" not in page.text


def test_the_address_of_a_waiting_launch_alone_opens_nothing_and_names_nobody(
    frame: Frame, tab: FlaskClient, app: Flask
) -> None:
    page = frame.arrive()
    thief = Frame(frame.person)
    thief.client = app.test_client()

    seen = thief.send("GET", waiting_at(page))

    assert "open the activity again" in seen.text
    assert "Sam1" not in seen.text
    assert 'name="code" value=""' in seen.text
    assert renew(thief, page, "").status_code == 400
    assert renew(thief, page, "guessed").status_code == 400
    assert press(tab, code_on(page)).status_code == 303


def test_a_launch_that_waits_is_over_after_ten_minutes(app: Flask, frame: Frame, tab: FlaskClient) -> None:
    page = frame.arrive()
    with app.app_context():
        db.session.execute(update(Arrival).values(expires_at=clock.now()))
        db.session.commit()

    assert "took too long" in frame.send("GET", waiting_at(page)).text
    assert press(tab, code_on(page)).status_code == 400


def test_reloading_the_frame_after_the_tab_was_opened_says_so(frame: Frame, tab: FlaskClient) -> None:
    page = frame.arrive()
    press(tab, code_on(page))

    again = frame.send("GET", waiting_at(page))

    assert again.status_code == 400
    assert "already used" in again.text


def test_going_back_in_a_frame_that_went_on_leads_to_the_visit(frame: Frame) -> None:
    answer = frame.launch(frame.login()[1])
    frame.keeps_cookies = True
    page = frame.follow(answer)
    frame.send("POST", "/lti/open", data={"code": code_on(page)}, headers=OURS)

    again = frame.send("GET", waiting_at(page))

    assert again.headers["Location"].startswith("/l/")


# Platform storage


def test_a_browser_without_our_cookie_has_the_platform_keep_marks_that_tell_nothing(frame: Frame) -> None:
    page, query = frame.login(**STORAGE)

    assert page.status_code == 200
    assert 'data-target="post_message_forwarding"' in page.text
    assert f'data-origin="{ISSUER}"' in page.text
    marks = marks_on(page)
    assert sorted(key.partition("_")[0] for key in marks) == ["nonce", "state"]
    assert sum(map(len, [*marks, *marks.values()])) < 4096 / 30
    for secret in (query["state"], query["nonce"]):
        assert not any(secret in text for text in (*marks, *marks.values()))


def test_where_cookies_are_kept_nobody_waits_for_the_platform_s_storage(frame: Frame) -> None:
    frame.login(**STORAGE)

    assert frame.login(**STORAGE)[0].status_code == 302


def test_where_only_the_platform_s_page_can_tell_of_its_storage_it_is_asked(frame: Frame, app: Flask) -> None:
    """Blackboard's logins do not name the frame. Canvas's do, and Moodle has none, so nobody waits for them."""
    assert frame.login()[0].status_code == 302
    with app.app_context():
        db.session.scalars(select(Platform)).one().product = "other"
        db.session.commit()
    frame.client.delete_cookie(COOKIE_NAME, domain="tool.localhost")

    asked, query = frame.login()
    waiting = frame.follow(frame.launch(query))

    assert 'data-target=""' in asked.text
    assert 'data-storage="get"' in waiting.text
    assert frame.send("POST", waiting_at(waiting), data=marks_on(asked), headers=OURS).status_code == 303


def test_a_storage_frame_that_is_no_name_is_no_offer(frame: Frame) -> None:
    assert frame.login(lti_storage_target='"><script>')[0].status_code == 302


def asked(frame: Frame) -> tuple[TestResponse, dict[str, str]]:
    """The page that asks the storage, and what the storage would show."""
    page, query = frame.login(**STORAGE)
    return frame.follow(frame.launch(query)), marks_on(page)


def test_the_page_that_asks_the_storage_says_nothing_of_anybody(frame: Frame) -> None:
    page, marks = asked(frame)

    assert "Opening Tessera" in page.text
    assert "Sam1" not in page.text
    assert all(key in page.text and value not in page.text for key, value in marks.items())
    assert f"{waiting_at(page)}?asked=1" in page.text


def test_what_the_storage_shows_begins_the_visit_at_once_where_cookies_are_kept_by_now(frame: Frame) -> None:
    login, query = frame.login(**STORAGE)
    launched = frame.launch(query)
    frame.keeps_cookies = True
    page, marks = frame.follow(launched), marks_on(login)

    proved = frame.send("POST", waiting_at(page), data=marks, headers=OURS)

    assert "Universal Design for Learning" in frame.follow(frame.follow(proved)).text


def test_what_the_storage_shows_leads_to_a_new_tab_where_none_are_kept(
    frame: Frame, tab: FlaskClient
) -> None:
    page, marks = asked(frame)

    proved = frame.follow(frame.send("POST", waiting_at(page), data=marks, headers=OURS))

    assert "in a new tab" in proved.text
    assert "Is this somebody else?" not in proved.text
    assert press(tab, code_on(proved)).status_code == 303


def test_in_a_window_of_its_own_the_storage_is_proof(frame: Frame) -> None:
    login, query = frame.login(**STORAGE)
    frame.keeps_cookies = True
    frame.client.delete_cookie(COOKIE_NAME, domain="tool.localhost")
    page = frame.follow(frame.launch(query, **{"Sec-Fetch-Dest": "document"}))

    without = frame.send("GET", f"{waiting_at(page)}?asked=1")
    code = renew(frame, page, "")
    proved = frame.send("POST", waiting_at(page), data=marks_on(login), headers=OURS)

    assert (without.status_code, code.status_code) == (400, 400)
    assert frame.follow(proved).status_code == 303


def test_the_marks_of_another_login_prove_nothing(frame: Frame, app: Flask, key: Key) -> None:
    page, marks = asked(frame)
    _, others = asked(Frame(Person(app, key)))

    for shown in (others, dict(zip(marks, others.values(), strict=True)), {}, dict.fromkeys(marks, "é")):
        answer = frame.send("POST", waiting_at(page), data=shown, headers=OURS)
        assert answer.headers["Location"].endswith("?asked=1")
    with app.app_context():
        assert set(db.session.scalars(select(Arrival.proved_at))) == {None}


def test_another_site_cannot_post_the_proof_into_a_browser(frame: Frame) -> None:
    page, marks = asked(frame)

    assert frame.send("POST", waiting_at(page), data=marks).status_code == 400
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert frame.send("POST", waiting_at(page), data=marks, headers=evil).status_code == 400


def test_one_launch_finds_one_browser(app: Flask, frame: Frame, tab: FlaskClient) -> None:
    """Two tabs that both found it waiting."""
    code = code_on(frame.arrive())
    with app.app_context():
        waiting = db.session.scalars(select(Arrival)).one()
        press(tab, code)

        with pytest.raises(Exception, match="LaunchUsed"):
            arrivals.open_in(waiting, "another browser", now=clock.now())


def test_support_can_find_what_the_person_reads_out(
    frame: Frame, tab: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="lti_tool"):
        page = frame.arrive()
        press(tab, code_on(page))

    reference = re.search(r"Reference: <code>(\w+)</code>", page.text)[1]  # type: ignore[index]  # as above
    told = [record.getMessage() for record in caplog.records if getattr(record, "reference", "") == reference]
    assert told == ["launch waits for its browser", "launch found its browser"]
