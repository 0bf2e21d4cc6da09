"""A choice of 1 of N: the earner takes one, may switch until it is handed in, and one gradebook cell has one score."""

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from lti_tool import clock
from lti_tool.assessment.models import Outcome
from lti_tool.assessment.service import decide
from lti_tool.credentials.models import Placement
from lti_tool.credentials.queries import full_version
from lti_tool.database import db
from lti_tool.passback.models import Score
from lti_tool.submissions.models import Attempt, AttemptPlacement, Submission
from tests.routes.earner import Earner, words
from tests.support.cast import Campus, add_placement
from tests.support.submitted import marks_for
from tests.support.visits import visit_as

UDL, FADING = "udl-variability", "fading-prompts"


@pytest.fixture
def choice(app: Flask, campus: Campus) -> int:
    with app.app_context():
        placement = add_placement(campus.deployment, campus.course, "choice", UDL, FADING)
        placement.points = 40
        db.session.commit()
        return placement.id


@pytest.fixture
def lena(app: Flask, campus: Campus, choice: int) -> Earner:
    return Earner(app, campus, "lena", choice)


def demonstrate(app: Flask, campus: Campus) -> None:
    """Ingrid decides about the last submission."""
    with app.app_context():
        submission = db.session.scalars(select(Submission).order_by(Submission.id.desc()).limit(1)).one()
        marks = marks_for(full_version(submission.attempt.version_id))
        done = Outcome.DEMONSTRATED
        decide(submission.id, campus.accounts["ingrid"], marks, "Clear.", done, now=clock.now())
        db.session.commit()


def test_what_was_written_for_the_other_one_is_kept_and_found_again(lena: Earner) -> None:
    lena.start(UDL)
    field = next(f"answer-{task.key}" for task in lena.tasks() if task.kind == "written")
    lena.save({field: words(7, "kept")})
    lena.start(FADING)
    assert "kept kept" not in lena.get("/work/tasks").text

    lena.start(UDL)

    assert "kept kept" in lena.get("/work/tasks").text


def test_an_old_tab_saves_to_the_work_it_shows_and_says_that_the_activity_was_switched(lena: Earner) -> None:
    lena.start(UDL)
    field, old = (next(f"answer-{task.key}" for task in lena.tasks() if task.kind == "written"), lena.form())
    lena.start(FADING)

    answer = lena.post("/work/tasks", old | {field: words(5, "late"), "action": "check"})

    assert "done=switched" in answer.headers["Location"]
    page = lena.get(answer.headers["Location"]).text
    assert "you have switched this activity" in page
    lena.start(UDL)
    assert "late late" in lena.get("/work/tasks").text


def test_an_old_tab_hands_in_nothing_that_is_not_chosen_any_more(app: Flask, lena: Earner) -> None:
    lena.start(UDL)
    lena.complete()
    lena.start(FADING)

    answer = lena.hand_in()

    assert "done=changed" in answer.headers["Location"]
    with app.app_context():
        assert db.session.scalars(select(Submission)).all() == []


def test_after_handing_in_there_is_no_switching_not_even_after_not_yet(app: Flask, lena: Earner) -> None:
    lena.start(UDL)
    lena.complete()
    lena.hand_in()

    refused = lena.start(FADING)

    assert refused.status_code == 409
    assert "can no longer be exchanged" in lena.get("/work/choose").text
    other = lena.get(f"/work/about/{FADING}").text
    assert "You have handed in another choice of this activity" in other
    assert "Start" not in other.partition("<main")[2].partition("At a glance")[0]


def test_one_cell_is_owed_one_score_out_of_what_the_activity_is_worth(
    app: Flask, campus: Campus, choice: int, lena: Earner
) -> None:
    lena.start(UDL)
    lena.start(FADING)
    lena.complete()
    lena.hand_in()
    demonstrate(app, campus)

    with app.app_context():
        score = db.session.scalars(select(Score)).one()
        assert (score.placement_id, score.points, score.points_possible) == (choice, 40, 40)
    page = visit_as(app, campus, "ingrid", placement=choice).get("/course").text
    assert page.count('scope="row"') == 1
    assert "Fading Prompts" in page.partition('scope="row"')[2].partition("</tr>")[0]


def test_what_was_left_still_counts_in_the_activity_where_it_is_chosen(
    app: Flask, campus: Campus, choice: int, lena: Earner
) -> None:
    with app.app_context():
        alone = add_placement(campus.deployment, campus.course, "alone", UDL).id
        db.session.commit()
    lena.start(UDL)
    lena.start(FADING)
    there = Earner(app, campus, "lena", alone)
    there.start(UDL)
    there.complete()
    there.hand_in()
    demonstrate(app, campus)

    with app.app_context():
        owed = db.session.scalars(select(Score)).one()
        assert (owed.placement_id, owed.points) == (alone, 10)
        chosen = db.session.scalars(
            select(Attempt).join(AttemptPlacement).where(AttemptPlacement.placement_id == choice)
        ).one()
        assert chosen.version.credential.key == FADING


def test_the_database_itself_keeps_a_cell_from_having_two_attempts(
    app: Flask, campus: Campus, choice: int, lena: Earner
) -> None:
    lena.start(UDL)
    with app.app_context():
        standing = db.session.scalars(select(AttemptPlacement)).one()
        other = Attempt(
            person_id=campus.persons["lena"],
            version_id=db.session.get_one(Placement, choice).choices[1].credential.versions[0].id,
            state="draft",
            created_at=clock.now(),
            saved_at=clock.now(),
        )
        db.session.add(other)
        db.session.flush()
        db.session.add(
            AttemptPlacement(
                attempt_id=other.id,
                placement_id=standing.placement_id,
                account_id=standing.account_id,
                created_at=clock.now(),
            )
        )

        with pytest.raises(IntegrityError):
            db.session.flush()
