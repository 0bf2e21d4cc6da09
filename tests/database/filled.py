"""A database in which every part of Tessera has left rows."""

from flask import Flask
from sqlalchemy import MetaData, func, inspect, select

from lti_tool.assessment import service as assessment
from lti_tool.assessment.models import Outcome
from lti_tool.badges import service as badges
from lti_tool.badges.queries import badges_of
from lti_tool.credentials.queries import full_version
from lti_tool.database import db
from lti_tool.lti.models import Platform
from lti_tool.passback.models import Score, ScoreTry
from lti_tool.people.models import Term
from lti_tool.submissions.service import report_privacy_problem
from tests.support.apps import NOON, fill
from tests.support.cast import build_campus
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
        seen = hand_in_work(campus, "mateo")
        report_privacy_problem(seen.evidence[0].evidence_id, campus.accounts["ingrid"], "A face.", now=NOON)
        db.session.commit()
        badges.sign_due(now=NOON)
        score = db.session.scalars(select(Score)).one()
        score.history.append(
            ScoreTry(at=NOON, milliseconds=90, heard="accepted", status=200, answer="{}", verdict="Accepted.")
        )
        platform = db.session.scalars(select(Platform)).one()
        db.session.add(Term(platform_id=platform.id, name="Fall 2026", starts_on=None, ends_on=None))
        badge = badges_of(campus.persons["lena"], page=1, size=1)[0][0]
        badges.share(badge.id, person_id=campus.persons["lena"], name="Lena", now=NOON)
        db.session.commit()


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
