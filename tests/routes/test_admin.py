"""Connections: what administrators and operators see and change, and what they must not."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.audit import AuditEvent
from lti_tool.database import db
from lti_tool.lti import connection
from lti_tool.lti.models import ConnectionTest, Deployment, Invitation, Platform, Registration, Standing
from lti_tool.lti.scopes import RESULTS, SCORE, USUAL
from lti_tool.lti.sessions import COOKIE_NAME, new_browser_cookie
from lti_tool.people import doors
from lti_tool.people.models import DeskAccess, Purpose
from tests.lti.platform_double import FakePlatform
from tests.support.cast import Campus, build_campus
from tests.support.visits import Browser, visit_as

ROOT = "https://tool.localhost"


class Operator(Browser):
    """A browser at the administrators' pages, by a one-time link. Paths are relative to the stay."""

    def __init__(self, app: Flask, *, deployment: int | None = None) -> None:
        super().__init__(app, "none", new_browser_cookie())
        with app.app_context():
            secret = doors.invite(
                Purpose.ADMINISTRATOR, deployment_pk=deployment, lasts=timedelta(hours=1), now=clock.now()
            )
            db.session.commit()
        self.link = f"/admin/enter/{secret}"
        entered = self.post(f"{ROOT}{self.link}")
        assert entered.status_code == 303, entered.text
        self.base = entered.headers["Location"].rstrip("/")


@pytest.fixture
def moodle(app: Flask, campus: Campus) -> Campus:
    """A second platform, of which nobody at the first may know."""
    with app.app_context():
        return build_campus("moodle")


@pytest.fixture
def operator(app: Flask, campus: Campus) -> Operator:
    return Operator(app)


@pytest.fixture
def rita(app: Flask, campus: Campus) -> Browser:
    """An administrator on the list, who came by a launch."""
    browser = visit_as(app, campus, "rita")
    browser.base += "/connections"
    return browser


def platform_of(app: Flask, campus: Campus) -> int:
    with app.app_context():
        return db.session.get_one(Registration, campus.registration).platform_id


def state_of(app: Flask, table: type[Registration | Deployment], key: int) -> str:
    with app.app_context():
        return str(db.session.get_one(table, key).state)


def waits(app: Flask, campus: Campus, **more: Any) -> None:
    with app.app_context():
        row = db.session.get_one(Registration, campus.registration)
        row.state = Standing.PENDING
        for name, value in more.items():
            setattr(row, name, value)
        db.session.commit()


# The door


def test_looking_at_a_one_time_link_uses_nothing_up_and_the_button_does(app: Flask, campus: Campus):
    operator = Operator.__new__(Operator)
    Browser.__init__(operator, app, "none", new_browser_cookie())
    with app.app_context():
        secret = doors.invite(Purpose.ADMINISTRATOR, lasts=timedelta(hours=1), now=clock.now())
        db.session.commit()
    link = f"{ROOT}/admin/enter/{secret}"

    for _ in range(2):
        assert "This link opens once" in operator.get(link).text
    entered = operator.post(link)
    page = operator.get(f"{ROOT}{entered.headers['Location']}")

    assert "Example canvas" in page.text
    assert "You are here as <strong>Operator</strong>" in page.text
    assert "'none'" in page.headers["Content-Security-Policy"].split("frame-ancestors")[1]
    assert operator.post(link).status_code == 410
    assert operator.get(link).status_code == 410
    assert operator.get(f"{ROOT}/admin/enter/made-up").status_code == 404


def test_a_copied_address_of_a_stay_opens_nothing_elsewhere(app: Flask, operator: Operator):
    stranger = app.test_client()
    stranger.set_cookie(COOKIE_NAME, new_browser_cookie(), domain="tool.localhost", secure=True)

    assert stranger.get(f"{operator.base}/", base_url=ROOT).status_code == 401


@pytest.mark.parametrize("who", ["ada", "ingrid", "lena"])
def test_only_an_administrator_on_the_access_list_gets_in_by_a_launch(app: Flask, campus: Campus, who: str):
    visitor = visit_as(app, campus, who)

    for path in ("/connections/", "/connections/platforms/1", "/connections/deployments/1"):
        assert visitor.get(path).status_code == 403
    assert visitor.post("/connections/deployments/1/desk", {"add": who}).status_code == 403


# What one administrator must not see of another


def test_an_administrator_of_one_platform_never_sees_or_changes_another(
    app: Flask, rita: Browser, campus: Campus, moodle: Campus
):
    theirs, registration, deployment = (
        platform_of(app, moodle),
        f"/registrations/{moodle.registration}",
        f"/deployments/{moodle.deployment}",
    )
    scoped = Operator(app, deployment=campus.deployment)

    for person in (rita, scoped):
        own = person.get(person.get("/").headers["Location"].removeprefix(ROOT).replace(person.base, ""))
        assert "Example canvas" in own.text
        assert "moodle" not in own.text.lower().replace("moodle’s", "")
        assert person.get(f"/platforms/{theirs}").status_code == 404
        assert person.get(deployment).status_code == 404
        for path, data in (
            (f"{registration}/state", {"decision": "disable"}),
            (f"{registration}/policy", {"new_deployments": "pending"}),
            (f"{registration}/test", {}),
            (f"{deployment}/state", {"state": "disabled"}),
            (f"{deployment}/desk", {"remove": "rita"}),
            (f"{deployment}/desk", {"add": "ada"}),
            (f"{deployment}/frames", {"site": "https://elsewhere.example"}),
        ):
            assert person.post(path, data).status_code == 404, path
        for path in ("/connect", "/connect/moodle", "/invitations"):
            assert person.get(path).status_code == 404, path
        for path in ("/connect/moodle", "/invitations", "/invitations/1/withdraw"):
            assert person.post(path, {"name": "x", "note": "x"}).status_code == 404, path

    assert state_of(app, Registration, moodle.registration) == Standing.ACTIVE
    assert state_of(app, Deployment, moodle.deployment) == Standing.ACTIVE
    with app.app_context():
        assert len(db.session.scalars(select(DeskAccess)).all()) == 2
        assert db.session.scalars(select(ConnectionTest)).all() == []


def test_by_a_launch_nobody_switches_off_the_way_they_came_or_takes_themselves_off_the_list(
    app: Flask, rita: Browser, campus: Campus
):
    assert (
        rita.post(f"/registrations/{campus.registration}/state", {"decision": "disable"}).status_code == 404
    )
    assert rita.post(f"/deployments/{campus.deployment}/state", {"state": "disabled"}).status_code == 404
    assert rita.post(f"/deployments/{campus.deployment}/desk", {"remove": "rita"}).status_code == 404

    assert rita.get("/").status_code == 303


# What they do


def test_a_platform_that_registered_itself_stands_first_and_is_approved(
    app: Flask, operator: Operator, campus: Campus, moodle: Campus
):
    waits(app, moodle)
    listed = operator.get("/").text
    assert listed.index("Example moodle") < listed.index("Example canvas")
    assert "Waits for an approval" in listed
    page = operator.get(f"/platforms/{platform_of(app, moodle)}").text
    assert "look at it before you approve it" in page

    answer = operator.post(f"/registrations/{moodle.registration}/state", {"decision": "approve"})

    assert state_of(app, Registration, moodle.registration) == Standing.ACTIVE
    assert "People can come in from there now" in operator.get(answer.headers["Location"]).text
    with app.app_context():
        told = db.session.scalars(
            select(AuditEvent).where(AuditEvent.action == "registration approved")
        ).one()
        assert (told.subject_id, told.details) == (str(moodle.registration), {"via": "one-time link"})


def test_a_platform_that_nobody_knows_is_declined_and_forgotten(app: Flask, operator: Operator):
    with app.app_context():
        stranger = Platform(name="Stranger", product="other", created_at=clock.now())
        row = Registration(
            platform=stranger,
            issuer="https://stranger.example",
            client_id="1",
            auth_url="https://stranger.example/a",
            token_url="https://stranger.example/t",
            jwks_url="https://stranger.example/j",
            state=Standing.PENDING,
            created_at=clock.now(),
        )
        db.session.add_all([row, Deployment(registration=row, deployment_id="1", created_at=clock.now())])
        db.session.commit()
        number = row.id

    answer = operator.post(f"/registrations/{number}/state", {"decision": "decline"})

    assert "Declined and forgotten" in operator.get(answer.headers["Location"]).text
    assert "Stranger" not in operator.get("/").text
    assert operator.post(f"/registrations/{number}/state", {"decision": "decline"}).status_code == 404


def test_a_second_registration_of_the_same_lms_can_join_it_and_no_other(
    app: Flask, operator: Operator, campus: Campus, moodle: Campus
):
    with app.app_context():
        again = Platform(name="Moodle again", product="moodle", created_at=clock.now())
        first = db.session.get_one(Registration, moodle.registration)
        row = Registration(
            platform=again,
            issuer=first.issuer,
            client_id="second",
            auth_url=first.auth_url,
            token_url=first.token_url,
            jwks_url=first.jwks_url,
            state=Standing.PENDING,
            created_at=clock.now(),
        )
        db.session.add(row)
        db.session.commit()
        number, own = row.id, again.id
    theirs = platform_of(app, moodle)
    page = operator.get(f"/platforms/{own}").text
    assert "Yes: Example moodle" in page
    assert "Yes: Example canvas" not in page

    path = f"/registrations/{number}/state"
    wrong = operator.post(path, {"decision": "approve", "joins": str(platform_of(app, campus))})
    right = operator.post(path, {"decision": "approve", "joins": str(theirs)})

    assert wrong.status_code == 404
    assert right.headers["Location"].endswith(f"/platforms/{theirs}?done=approved")
    with app.app_context():
        assert db.session.get_one(Registration, number).platform_id == theirs
        assert db.session.get(Platform, own) is None

    again_pressed = operator.post(path, {"decision": "approve", "joins": str(platform_of(app, campus))})
    with app.app_context():
        other = Platform(name="Moodle once more", product="moodle", created_at=clock.now())
        db.session.get_one(Registration, moodle.registration).platform = other
        db.session.commit()
        elsewhere = other.id
    too_late = operator.post(path, {"decision": "approve", "joins": str(elsewhere)})

    assert (again_pressed.status_code, too_late.status_code) == (404, 404)


def test_switching_a_connection_off_and_on_again(app: Flask, operator: Operator, campus: Campus):
    visitor = visit_as(app, campus, "lena")
    path = f"/registrations/{campus.registration}/state"

    operator.post(path, {"decision": "disable"})
    while_off = visitor.get("/")
    operator.post(path, {"decision": "approve"})

    assert while_off.status_code == 403
    assert "switched off here" in while_off.text
    assert visitor.get("/").status_code == 303


def test_deployments_are_approved_and_switched_off_by_the_platforms_own_administrator(
    app: Flask, rita: Browser, campus: Campus
):
    with app.app_context():
        db.session.add(
            Deployment(
                registration_id=campus.registration,
                deployment_id="106:new",
                state=Standing.PENDING,
                created_at=clock.now(),
            )
        )
        db.session.commit()
        number = db.session.scalars(select(Deployment.id).where(Deployment.deployment_id == "106:new")).one()
    page = rita.get(f"/platforms/{platform_of(app, campus)}").text
    assert page.index("106:new") < page.index("You came from here")

    for state in (Standing.ACTIVE, Standing.DISABLED):
        assert rita.post(f"/deployments/{number}/state", {"state": state}).status_code == 303
        assert state_of(app, Deployment, number) == state

    with app.app_context():
        events = db.session.scalars(
            select(AuditEvent).where(AuditEvent.actor_account_id == campus.accounts["rita"])
        ).all()
        assert [one.action for one in events] == [
            "deployment active",
            "deployment disabled",
        ]


def test_what_the_operator_set_the_platforms_own_administrator_does_not_undo(
    app: Flask, rita: Browser, operator: Operator, campus: Campus
):
    with app.app_context():
        other = Deployment(
            registration_id=campus.registration, deployment_id="106:off", created_at=clock.now()
        )
        db.session.add(other)
        db.session.commit()
        number = other.id
    policy, switch = f"/registrations/{campus.registration}/policy", f"/deployments/{number}/state"
    operator.post(switch, {"state": "disabled"})
    operator.post(policy, {"new_deployments": "pending"})

    page = rita.get(f"/platforms/{platform_of(app, campus)}").text

    assert "Whoever runs Tessera can switch it on again" in page
    assert "nobody is let in until it is approved here" in page
    assert "/policy" not in page
    assert rita.post(switch, {"state": "active"}).status_code == 404
    assert rita.post(policy, {"new_deployments": "active"}).status_code == 404
    assert state_of(app, Deployment, number) == Standing.DISABLED
    with app.app_context():
        assert db.session.get_one(Registration, campus.registration).new_deployments == Standing.PENDING
    assert operator.post(switch, {"state": "active"}).status_code == 303
    assert state_of(app, Deployment, number) == Standing.ACTIVE


def test_an_administrator_who_was_here_is_let_in_to_the_desk_and_taken_off_again(
    app: Flask, rita: Browser, campus: Campus
):
    ada = visit_as(app, campus, "ada")
    path = f"/deployments/{campus.deployment}"
    assert "Ada Whitfield" in rita.get(path).text

    rita.post(f"{path}/desk", {"add": "ada"})
    let_in = ada.get("/ledger").status_code
    rita.post(f"{path}/desk", {"remove": "ada"})

    assert (let_in, ada.get("/ledger").status_code) == (200, 403)
    assert rita.post(f"{path}/desk", {"add": "lena"}).status_code == 404


def test_a_site_of_the_schools_own_may_frame_tessera_when_it_is_named(
    app: Flask, rita: Browser, campus: Campus
):
    path = f"/deployments/{campus.deployment}/frames"

    added = rita.post(path, {"site": "https://canvas.northfield.edu/courses/1"})
    assert "https://canvas.northfield.edu" in rita.get(added.headers["Location"]).text
    wrong = rita.post(path, {"site": "northfield"})
    assert wrong.status_code == 422
    assert "is not a web address" in wrong.text
    rita.post(path, {"remove": "https://canvas.northfield.edu"})

    with app.app_context():
        assert db.session.get_one(Deployment, campus.deployment).frame_origins == []
        told = db.session.scalars(select(AuditEvent).where(AuditEvent.action.like("frame origin%"))).all()
        assert [one.actor_account_id for one in told] == [campus.accounts["rita"]] * 2


def test_missing_permissions_are_shown_with_what_does_not_work(
    app: Flask, operator: Operator, campus: Campus
):
    with app.app_context():
        row = db.session.get_one(Registration, campus.registration)
        row.requested_scopes, row.granted_scopes = list(USUAL), [one for one in USUAL if one != SCORE]
        db.session.commit()

    page = operator.get(f"/platforms/{platform_of(app, campus)}").text

    assert "Not everything is allowed" in page
    assert "No grade reaches the gradebook" in page
    assert RESULTS not in page


@pytest.fixture
def double() -> Iterator[FakePlatform]:
    platform = FakePlatform()
    yield platform
    platform.close()


def test_a_connection_test_is_made_in_the_background_and_shown(
    app: Flask, rita: Browser, campus: Campus, double: FakePlatform
):
    with app.app_context():
        row = db.session.get_one(Registration, campus.registration)
        row.jwks_url, row.token_url = f"{double.url}/jwks", f"{double.url}/token"
        db.session.commit()

    answer = rita.post(f"/registrations/{campus.registration}/test")
    page = rita.get(answer.headers["Location"])

    assert "What the test found" in page.text
    assert "status 404 and no usable key" in page.text
    with app.app_context():
        connection.ask(campus.registration, now=clock.now())
        db.session.commit()
    assert "Being made" in rita.get(answer.headers["Location"]).text


# Connecting


def test_a_platform_is_connected_by_hand(app: Flask, operator: Operator):
    page = operator.get("/connect/moodle").text
    assert "Public keyset" in page
    assert "http://tool.localhost:8700/lti/jwks" in page
    given = {"name": "Northfield Moodle", "issuer": "https://moodle.northfield.edu", "client_id": "AbC"}

    answer = operator.post("/connect/moodle", given | {"ask_first": "yes"})

    assert "Connected. Now test the connection." in operator.get(answer.headers["Location"]).text
    with app.app_context():
        row = db.session.scalars(select(Registration).where(Registration.client_id == "AbC")).one()
        assert row.token_url == "https://moodle.northfield.edu/mod/lti/token.php"
        assert (row.state, row.new_deployments) == (Standing.ACTIVE, Standing.PENDING)
        told = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "platform connected")).one()
        assert told.details == {"via": "one-time link"}


@pytest.mark.parametrize(
    ("product", "given", "words"),
    [
        ("other", {"name": "X", "issuer": "https://x.edu", "client_id": "1"}, "is not a web address"),
        ("moodle", {"name": "X", "issuer": "moodle", "client_id": "1"}, "is not a web address"),
        ("moodle", {"name": "X", "issuer": "https://x.edu", "client_id": ""}, "client id is missing"),
        (
            "canvas",
            {"name": "Example moodle", "issuer": "https://canvas.instructure.com", "client_id": "1"},
            "known as",
        ),
    ],
)
def test_a_platform_that_cannot_be_is_not_connected_and_what_was_typed_stays(
    app: Flask, operator: Operator, moodle: Campus, product: str, given: dict[str, str], words: str
):
    answer = operator.post(f"/connect/{product}", given)

    assert answer.status_code == 422
    assert words in answer.text
    assert f'value="{given["issuer"]}"' in answer.text


def test_an_invitation_is_shown_once_and_can_be_withdrawn(app: Flask, operator: Operator):
    made = operator.post("/invitations", {"note": "Dana, Northfield", "days": "30"}).text
    [address] = re.findall(r"http://tool\.localhost:8700/lti/register\?invitation=([\w-]+)", made)

    listed = operator.get("/invitations").text
    assert "Dana, Northfield" in listed
    assert address not in listed
    with app.app_context():
        number, ends = db.session.execute(select(Invitation.id, Invitation.expires_at)).one()
        assert timedelta(days=29) < ends - clock.now() < timedelta(days=31)

    operator.post(f"/invitations/{number}/withdraw")

    assert "Over" in operator.get("/invitations").text
    assert operator.post(f"/invitations/{number}/withdraw").status_code == 404


def test_a_page_number_beyond_all_numbers_is_no_number(app: Flask, operator: Operator, campus: Campus):
    beyond = "9" * 30

    assert operator.get(f"/?page={beyond}").status_code == 200
    assert operator.get(f"/platforms/{platform_of(app, campus)}?page={beyond}").status_code == 200


def test_pages_are_paged_and_ask_the_database_no_more_for_many_than_for_few(app: Flask, operator: Operator):
    with app.app_context():
        for number in range(60):
            platform = Platform(name=f"P {number:03}", product="other", created_at=clock.now())
            row = Registration(
                platform=platform,
                issuer=f"https://p{number}.example",
                client_id="1",
                auth_url="https://p.example/a",
                token_url="https://p.example/t",
                jwks_url="https://p.example/j",
                created_at=clock.now(),
            )
            db.session.add(row)
        db.session.flush()
        for number in range(60):
            db.session.add(
                Deployment(registration_id=row.id, deployment_id=f"d{number}", created_at=clock.now())
            )
        db.session.commit()
        last = platform.id

    many, first = asked_of(app, lambda: operator.get("/"))
    few, third = asked_of(app, lambda: operator.get("/?page=3"))
    assert "Page 1 of 3" in first.text
    assert "P 059" in third.text
    assert first.text.count("<tr") > third.text.count("<tr")
    assert many == few
    many, first = asked_of(app, lambda: operator.get(f"/platforms/{last}"))
    few, third = asked_of(app, lambda: operator.get(f"/platforms/{last}?page=3"))
    assert "Page 3 of 3" in third.text
    assert many == few
    assert operator.get(f"/platforms/{last}?page=99").status_code == 200


def asked_of(app: Flask, visit: Callable[[], TestResponse]) -> tuple[int, TestResponse]:
    """How many statements a page costs, and the page."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        page = visit()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(statements), page
