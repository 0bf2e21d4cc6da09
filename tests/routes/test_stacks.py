"""Stacks as people see them: the activity of one, the catalogue, the backpack, and what faculty read and decide."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool.badges.models import Badge
from lti_tool.credentials.models import Credential, Placement, Version
from lti_tool.database import db
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Membership
from lti_tool.submissions.models import Attempt, AttemptState
from tests.routes.earner import Earner
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement
from tests.support.stacks import FAMILY, PAIR, PRACTICE, PROMPTS, ROUTINES, UDL, add_stack_activity, earn
from tests.support.visits import visit_as

UDL_TITLE = "Universal Design for Learning: Planning With Variability in Mind"


@pytest.fixture
def practice(app: Flask, campus: Campus) -> int:
    """UDL first, then two of three others."""
    with app.app_context():
        activity = add_stack_activity(campus, PRACTICE)
        db.session.commit()
        return activity


def tiles(page: str) -> dict[str, str]:
    """Title of each part on a map -> its words."""
    found = re.findall(r'<li class="way-tile[^"]*">(.*?)</li>', page, re.S)
    words = [" ".join(re.sub(r"<[^>]+>", " ", tile).split()) for tile in found]
    return {tile.split(":")[0].split(" Open")[0]: tile for tile in words}


def earned(app: Flask, campus: Campus, who: str, activity: int, *keys: str) -> None:
    with app.app_context():
        for key in keys:
            earn(campus, who, key, activity)


def test_the_activity_opens_with_the_map_and_says_what_is_open_and_why_the_rest_is_not(
    app: Flask, campus: Campus, practice: int
):
    lena = visit_as(app, campus, "lena", placement=practice)

    first = lena.get("/", follow_redirects=True)

    assert first.request.path.endswith("/stack")
    assert "You have 0 of 3." in first.text
    assert "First this one" in first.text
    assert "Then two of these three" in first.text
    shown = tiles(first.text)
    assert "Open" in shown["Universal Design for Learning"]
    assert "Read and start" in shown["Universal Design for Learning"]
    assert f"Locked Opens after “{UDL_TITLE}”." in shown["Choosing and Fading Prompts"]
    assert "30 points" in first.text
    assert lena.get("/work/choose", follow_redirects=True).request.path.endswith("/stack")


def test_a_locked_part_can_be_read_and_not_begun(app: Flask, campus: Campus, practice: int):
    lena = visit_as(app, campus, "lena", placement=practice)

    about = lena.get(f"/work/about/{PROMPTS}", follow_redirects=True)
    refused = lena.post("/work/start", {"credential": PROMPTS})

    assert "It cannot be begun" in about.text
    assert f"Opens after “{UDL_TITLE}”." in about.text
    assert "You are here as" in about.text
    assert 'name="credential"' not in about.text
    assert refused.status_code == 409
    assert "This part is not open yet" in refused.text
    with app.app_context():
        assert db.session.scalars(select(Attempt)).all() == []


def test_two_parts_are_done_side_by_side_from_one_activity_each_page_with_its_own(app: Flask, campus: Campus):
    with app.app_context():
        activity = add_stack_activity(campus, PAIR)
        db.session.commit()
    lena = visit_as(app, campus, "lena", placement=activity)

    opened = {}
    for key in (ROUTINES, FAMILY):
        answer = lena.post("/work/start", {"credential": key}, follow_redirects=True)
        opened[key] = re.search(r'name="attempt" value="(\d+)"', answer.text)
    first = lena.get(f"/work/tasks?part={ROUTINES}").text
    saved = lena.post(
        f"/work/tasks?part={ROUTINES}",
        {
            "attempt": re.search(r'name="attempt" value="(\d+)"', first)[1],
            "revision": re.search(r'name="revision" value="(\d+)"', first)[1],
            "action": "check",
        },
        follow_redirects=True,
    )

    assert opened[ROUTINES][1] != opened[FAMILY][1]
    assert f'name="attempt" value="{opened[ROUTINES][1]}"' in first
    assert saved.request.args["part"] == ROUTINES
    assert saved.request.path.endswith("/work/check")
    assert "The whole stack" in saved.text
    assert "This part" in saved.text
    assert [("Begun" in words, "Continue" in words) for words in tiles(lena.get("/stack").text).values()] == [
        (True, True)
    ] * 2
    assert lena.get(f"/work/tasks?part={UDL}").status_code == 404


def test_from_the_first_word_to_the_badge_of_the_stack_and_its_one_grade(
    app: Flask, campus: Campus, practice: int
):
    earned(app, campus, "lena", practice, UDL, PROMPTS)
    lena = Earner(app, campus, "lena", placement=practice)
    with app.app_context():
        earn(campus, "lena", FAMILY, practice)

    page = lena.get(f"/work/feedback?part={FAMILY}").text
    backpack = lena.get("/badges").text
    whole = lena.get("/stack").text

    assert "The whole stack is yours: Inclusive Practice" in page
    assert "One more for “Family Partnership, From IFSP to IEP”" in page
    assert "The whole stack is yours" in whole
    assert "You have enough of these." in whole
    assert "Badge for a stack" in backpack
    assert "On the way: Family Partnership, From IFSP to IEP" in backpack
    assert "On the way: Inclusive Practice" not in backpack
    with app.app_context():
        score = db.session.scalars(select(Score)).one()
        assert (score.points, score.state) == (30, ScoreState.OWED)


def test_what_was_earned_elsewhere_counts_here_when_the_earner_says_so(app: Flask, campus: Campus):
    with app.app_context():
        alone = {
            key: add_placement(campus.deployment, campus.course, key, key).id for key in (ROUTINES, FAMILY)
        }
        activity = add_stack_activity(campus, PAIR)
        for key, placement in alone.items():
            earn(campus, "lena", key, placement)
    lena, ingrid = (visit_as(app, campus, who, placement=activity) for who in ("lena", "ingrid"))

    assert "Count it here" in lena.get("/stack").text
    assert "Nobody has begun yet" in ingrid.get("/course").text

    answer = lena.post("/stack", follow_redirects=True)
    assert "What you have earned counts here now." in answer.text
    assert "Count it here" not in answer.text
    assert "Lena Brandt" in ingrid.get("/course").text
    with app.app_context():
        here = db.session.scalars(select(Score).where(Score.placement_id == activity)).one()
        assert here.points == 20


def test_faculty_see_who_is_where_and_the_work_that_waits(app: Flask, campus: Campus, practice: int):
    earned(app, campus, "lena", practice, UDL)
    lena = Earner(app, campus, "lena", placement=practice)
    lena.post("/work/start", {"credential": PROMPTS})
    ingrid = visit_as(app, campus, "ingrid", placement=practice)

    page = " ".join(re.sub(r"<[^>]+>", " ", ingrid.get("/course").text).split())

    assert "1 of 3" in page
    assert "When the stack is complete" in page
    assert "Work on the parts" in page
    assert "What the stack asks “Universal Design" in page
    assert ingrid.get("/course?earners=99").status_code == 200


def test_the_decision_about_a_part_says_that_the_grade_waits_for_the_whole(
    app: Flask, campus: Campus, practice: int
):
    ingrid = visit_as(app, campus, "ingrid", placement=practice)

    assert "when the stack is complete, and not before" in ingrid.get("/course?done=decided-part").text


def test_student_view_walks_the_whole_stack_and_leaves_nothing(app: Flask, campus: Campus, practice: int):
    test_student = visit_as(app, campus, "aiko", placement=practice, claims={"is_test_user": True})

    assert test_student.post("/work/start", {"credential": PROMPTS}).status_code == 409
    test_student.post("/work/start", {"credential": UDL})
    with app.app_context():
        attempt = db.session.scalars(select(Attempt)).one()
        assert attempt.rehearsal
        attempt.state = AttemptState.DEMONSTRATED
        db.session.commit()
    page = test_student.get("/stack").text

    assert "Done" in tiles(page)["Universal Design for Learning"]
    assert test_student.post("/work/start", {"credential": PROMPTS}).status_code == 303
    ingrid = visit_as(app, campus, "ingrid", placement=practice)
    assert "Nobody has begun yet" in ingrid.get("/course").text
    assert "On the way" not in visit_as(app, campus, "aiko", placement=practice).get("/badges").text


def test_nobody_begins_what_is_retired_and_its_pages_say_what_takes_its_place(app: Flask, campus: Campus):
    with app.app_context():
        old, new = (
            db.session.scalars(select(Credential).where(Credential.key == key)).one()
            for key in (UDL, PROMPTS)
        )
        old.retired_at, old.replaced_by_id = NOON, new.id
        alone = add_placement(campus.deployment, campus.course, "alone", UDL).id
        db.session.commit()
    lena = visit_as(app, campus, "lena", placement=alone)

    about = lena.get("/work").text
    refused = lena.post("/work/start", {"credential": UDL})
    public = app.test_client().get(f"/credentials/{UDL}").text
    catalogue = app.test_client().get("/credentials").text

    assert "nobody begins it any more" in about
    assert f"/credentials/{PROMPTS}" in about
    assert (refused.status_code, "has been retired" in refused.text) == (409, True)
    assert "This micro-credential is retired" in public
    assert f"/credentials/{UDL}" not in catalogue


def test_the_public_pages_say_the_rule_in_words_for_every_version(app: Flask):
    client = app.test_client()

    page, catalogue = client.get(f"/stacks/{PRACTICE}").text, client.get("/credentials").text

    assert f"“{UDL_TITLE}”; then two of “Choosing and Fading Prompts" in page
    assert "then two of “Choosing and Fading Prompts" in catalogue
    assert "way-state" not in page
    assert client.get(f"/stacks/{PRACTICE}/1").status_code == 200
    assert client.get(f"/stacks/{PRACTICE}/1/badge.png").mimetype == "image/png"
    assert client.get(f"/stacks/{PRACTICE}/2").status_code == 404
    assert client.get(f"/stacks/{PRACTICE}/2/badge.png").status_code == 404


def test_who_revokes_a_part_is_asked_what_becomes_of_the_stack(app: Flask, campus: Campus, practice: int):
    earned(app, campus, "lena", practice, UDL, PROMPTS, ROUTINES)
    ingrid = visit_as(app, campus, "ingrid", placement=practice)
    with app.app_context():
        attempt = db.session.scalars(select(Attempt.id).order_by(Attempt.id)).first()
        badges = db.session.scalars(select(Badge)).all()
        part = next(badge.id for badge in badges if badge.title == UDL_TITLE)
        whole = next(badge.id for badge in badges if badge.stack_id is not None)
    path = f"/course/attempts/{attempt}/badges"
    form = {f"reason-{part}": "The evidence was somebody else’s.", f"sure-{part}": "yes"}

    asked = ingrid.post(f"{path}/{part}/revoke", form)
    assert asked.status_code == 422
    assert "Say what becomes of the badge of the stack." in asked.text
    assert "The badge of the stack “Inclusive Practice” names this one as a part." in asked.text

    assert ingrid.post(f"{path}/{part}/revoke", form | {f"stack-{whole}": "leave"}).status_code == 303
    overview = ingrid.get("/course").text
    assert "A part that the stack’s badge names was revoked." in overview
    assert "/badges" in overview

    look = ingrid.get(re.search(r'href="([^"]*/course/attempts/\d+/badges)"', overview)[1]).text
    assert "Inclusive Practice" in look
    form = {f"reason-{whole}": "A part was revoked.", f"sure-{whole}": "yes"}
    assert ingrid.post(f"{path}/{whole}/revoke", form).status_code == 303
    with app.app_context():
        standing = db.session.scalars(select(Badge.title).where(Badge.revoked_at.is_(None))).all()
        assert len(standing) == 2
        assert "Inclusive Practice" not in standing
        assert db.session.scalars(select(Score.state)).all() == [ScoreState.OWED]


def test_a_part_and_its_stack_are_revoked_in_one_act(app: Flask, campus: Campus, practice: int):
    earned(app, campus, "lena", practice, UDL, PROMPTS, ROUTINES)
    ingrid = visit_as(app, campus, "ingrid", placement=practice)
    with app.app_context():
        attempt = db.session.scalars(select(Attempt.id).order_by(Attempt.id)).first()
        part, whole = (
            db.session.scalars(select(Badge.id).where(Badge.title == title)).one()
            for title in (UDL_TITLE, "Inclusive Practice")
        )
    form = {f"reason-{part}": "A mistake.", f"sure-{part}": "yes", f"stack-{whole}": "revoke"}

    ingrid.post(f"/course/attempts/{attempt}/badges/{part}/revoke", form)

    with app.app_context():
        reasons = dict(db.session.execute(select(Badge.title, Badge.revocation_reason)).all())
        assert reasons[UDL_TITLE] == reasons["Inclusive Practice"] == "A mistake."
        assert sum(reason is None for reason in reasons.values()) == 2
        assert db.session.get_one(Placement, practice).stack_id is not None


def test_only_faculty_whose_part_counted_take_a_stack_badge_back_and_only_where_it_was_decided_it_returns(
    app: Flask, campus: Campus, practice: int
):
    """UDL counts from Otto's course; ROUTINES, earned there when the badge stood already, does not."""
    with app.app_context():
        theirs = {
            key: add_placement(campus.deployment, campus.other_course, key, key).id for key in (UDL, ROUTINES)
        }
        lena = campus.accounts["lena"]
        db.session.add(
            Membership(course_id=campus.other_course, account_id=lena, role="learner", seen_at=NOON)
        )
        earn(campus, "lena", UDL, theirs[UDL], assessor="otto")
        earn(campus, "lena", PROMPTS, practice)
        earn(campus, "lena", FAMILY, practice)
        earn(campus, "lena", ROUTINES, theirs[ROUTINES], at=NOON + timedelta(days=1), assessor="otto")
        whole = db.session.scalars(select(Badge.id).where(Badge.title == "Inclusive Practice")).one()
        pages = {
            key: f"/course/attempts/{attempt}/badges"
            for key, attempt in db.session.execute(
                select(Credential.key, Attempt.id)
                .select_from(Attempt)
                .join(Version, Version.id == Attempt.version_id)
                .join(Credential, Credential.id == Version.credential_id)
            )
        }
    otto = visit_as(app, campus, "otto", placement=theirs[UDL])
    ingrid = visit_as(app, campus, "ingrid", placement=practice)
    form = {f"reason-{whole}": "A mistake.", f"sure-{whole}": "yes"}

    assert f"badge-{whole}" not in otto.get(pages[ROUTINES]).text
    assert otto.post(f"{pages[ROUTINES]}/{whole}/revoke", form).status_code == 404
    assert otto.post(f"{pages[UDL]}/{whole}/revoke", form).status_code == 303
    assert "It was completed in another course." in otto.get(pages[UDL]).text
    assert otto.post(f"{pages[UDL]}/{whole}/again").status_code == 404
    assert ingrid.post(f"{pages[PROMPTS]}/{whole}/again").status_code == 303
