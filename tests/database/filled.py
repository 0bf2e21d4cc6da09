"""A database in which every part of Tessera has left rows."""

import json
from datetime import timedelta

from flask import Flask
from sqlalchemy import MetaData, func, inspect, select

from lti_tool.alerts.models import Alert, AlertKind, AlertNotice
from lti_tool.assessment import service as assessment
from lti_tool.assessment.models import Outcome
from lti_tool.audit import seals
from lti_tool.backpack import letters, sharing
from lti_tool.badges import endorsements, signing
from lti_tool.badges.queries import badges_of
from lti_tool.closing import service as closing
from lti_tool.closing.models import Choice, CloseOut
from lti_tool.credentials.models import Placement, StackOpening, StackVersion
from lti_tool.credentials.queries import full_version
from lti_tool.database import db
from lti_tool.lti import arrivals, invitations, notices, pace
from lti_tool.lti.claims import GradesClaim
from lti_tool.lti.models import ConnectionTest, Launch, Notice, Platform
from lti_tool.lti.registrations import COMMAND_LINE
from lti_tool.lti.scopes import LINE_ITEMS
from lti_tool.passback import columns, notes
from lti_tool.passback.models import ColumnReading, ReadBack, Score, ScoreTry
from lti_tool.passback.service import PlacementCell
from lti_tool.people import copies, doors, rosters, sis_ids
from lti_tool.people.models import Purpose, RosterMember, RosterStatus, Term
from lti_tool.submissions.models import StackEarner
from lti_tool.submissions.service import report_privacy_problem
from tests.support.apps import NOON, fill
from tests.support.cast import Campus, build_campus
from tests.support.endorsers import endorsement, key_of
from tests.support.submitted import hand_in_work, marks_for
from tests.support.visits import visit_as


def fill_everywhere(app: Flask) -> None:
    """Tables by migration, then a campus where one earner holds a badge and another's evidence was hidden."""
    fill(app)
    with app.app_context():
        campus = build_campus()
    visit_as(app, campus, "ingrid")
    with app.app_context():
        done = hand_in_work(campus, "lena")
        marks = marks_for(full_version(done.attempt.version_id))
        assessment.decide(
            done.id, campus.accounts["ingrid"], marks, "Every part shows it.", Outcome.DEMONSTRATED, now=NOON
        )
        pace.rest(campus.registration, NOON)
        tried = hand_in_work(campus, "aiko", rehearsal=True)
        assessment.decide(
            tried.id, campus.accounts["ingrid"], marks, "As it will be.", Outcome.DEMONSTRATED, now=NOON
        )
        report_privacy_problem(tried.evidence[0].evidence_id, campus.accounts["ingrid"], "To try.", now=NOON)
        seen = hand_in_work(campus, "mateo")
        report_privacy_problem(seen.evidence[0].evidence_id, campus.accounts["ingrid"], "A face.", now=NOON)
        db.session.commit()
        signing.sign_due(now=NOON)
        score = db.session.scalars(select(Score)).one()
        score.history.append(
            ScoreTry(at=NOON, milliseconds=90, heard="accepted", status=200, answer="{}", verdict="Accepted.")
        )
        platform = db.session.scalars(select(Platform)).one()
        db.session.add(Term(platform_id=platform.id, name="Fall 2026", starts_on=None, ends_on=None))
        stack = db.session.scalars(select(StackVersion).order_by(StackVersion.id)).first()
        assert stack is not None
        first, second = (part.credential_id for part in stack.parts[:2])
        stack.openings.append(StackOpening(credential_id=second, after_id=first))
        db.session.add(
            StackEarner(placement_id=campus.placement, account_id=campus.accounts["aiko"], created_at=NOON)
        )
        badge = badges_of(campus.persons["lena"], page=1, size=1)[0][0]
        sharing.share(badge.id, person_id=campus.persons["lena"], name="Lena", now=NOON)
        letters.ask_to_confirm(campus.persons["lena"], "lena@example.org", now=NOON)
        secret = doors.invite(
            Purpose.BACKPACK, person_id=campus.persons["lena"], lasts=timedelta(days=1), now=NOON
        )
        doors.enter(secret, Purpose.BACKPACK, browser="a browser", now=NOON)
        invitations.invite("Northfield", lasts=timedelta(days=1), by=COMMAND_LINE, now=NOON)
        db.session.add(ConnectionTest(registration_id=campus.registration, asked_at=NOON))
        arrivals.wait(db.session.scalars(select(Launch)).one(), state="a state", framed=True, now=NOON)
        _fill_services(campus, platform.id)
        endorsed = json.dumps(endorsement("http://tool.localhost:8700/credentials/udl-variability/1"))
        endorsements.accept(endorsed.encode(), keys=key_of, now=NOON)
        alert = Alert(
            kind=AlertKind.PARKED,
            deployment_pk=campus.deployment,
            count=1,
            raised_at=NOON,
            told_count=1,
            looks=1,
        )
        db.session.add(alert)
        db.session.flush()
        db.session.add(
            AlertNotice(alert_id=alert.id, channel="mail", count=1, asked_at=NOON, due_at=NOON, tries=0)
        )
        db.session.commit()
        seals.seal_committed()


def _fill_services(campus: Campus, platform_id: int) -> None:
    """What rosters, copies, notices and columns leave behind."""
    rosters.note(campus.course, campus.deployment, "https://lms.example.edu/roster", "ingrid", now=NOON)
    db.session.add(
        RosterMember(
            course_id=campus.course,
            subject="zoe",
            name=None,
            role="learner",
            status=RosterStatus.LEFT,
            since=NOON,
            reading=1,
        )
    )
    sis_ids.keep(campus.deployment, campus.accounts["rita"], b"LMS user id,SIS id\nlena,1", now=NOON)
    closing.remind(campus.course, campus.accounts["rita"], now=NOON)
    db.session.add(
        ColumnReading(placement_id=campus.placement, line_item_url="https://lms.example.edu/1", asked_at=NOON)
    )
    db.session.add(
        CloseOut(
            placement_id=campus.placement,
            account_id=campus.accounts["aiko"],
            choice=Choice.LEAVE,
            reason="",
            chosen_by_account_id=campus.accounts["ingrid"],
            chosen_at=NOON,
        )
    )
    copies.note_origins(platform_id, "c2", ["c1"], now=NOON)
    notices.note(campus.deployment, "https://lms.example.edu/notices", now=NOON)
    db.session.add(Notice(registration_id=campus.registration, notice_id="n", kind="x", expires_at=NOON))
    told_apart_by_key = Placement(
        deployment_pk=campus.deployment,
        course_id=campus.other_course,
        link_key="credential=udl-variability",
        title="From the menu",
        created_at=NOON,
    )
    db.session.add(told_apart_by_key)
    notes.tell_handed_in(
        PlacementCell(
            campus.placement, campus.deployment, campus.registration, "https://lms.example.edu/items/1"
        ),
        account_id=campus.accounts["mateo"],
        subject="mateo",
        submission_id=1,
        handed_in_at=NOON,
    )
    db.session.add(ReadBack(registration_id=campus.registration))
    grades = GradesClaim(scopes=frozenset({LINE_ITEMS}), lineitems="https://lms.example.edu/items")
    columns.note(db.session.get_one(Placement, campus.placement), grades, product="moodle", now=NOON)


def counted() -> dict[str, int]:
    """Rows of every table that the database has now, Alembic's own left out."""
    tables = MetaData()
    tables.reflect(db.engine)
    with db.engine.connect() as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in tables.tables.items()
            if name != "alembic_version"
        }


def table_names() -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}
