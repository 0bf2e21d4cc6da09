"""Stacks that were published before stacks had versions and rules."""

from flask import Flask
from sqlalchemy import select, text

from lti_tool.credentials.models import StackVersion
from lti_tool.database import db, schema
from lti_tool.stacks.rules import Group, Rule
from tests.support.apps import NOON

BEFORE = "2026_11_22_7"
PARTS = "SELECT stack_id, credential_id, position FROM stack_part ORDER BY stack_id, position"
WORDS = "SELECT key, title, description, badge_symbol, badge_colour, badge_shape FROM stack ORDER BY id"


def test_an_old_stack_asks_for_all_of_its_parts_as_it_did_and_the_way_back_keeps_it(empty: Flask):
    with empty.app_context():
        schema.upgrade(BEFORE)
        with db.engine.begin() as connection:
            for at, key in enumerate(("one", "two", "three"), start=1):
                connection.execute(
                    text("INSERT INTO credential (id, key, created_at) VALUES (:id, :key, :at)"),
                    {"id": at, "key": key, "at": NOON.replace(day=at)},
                )
            connection.execute(
                text("INSERT INTO stack VALUES (7, 'pair', :title, 'Both.', 'stack', '#1f5f5b', 'shield')"),
                {"title": "A Title That Is Longer Than a Gradebook Shows"},
            )
            connection.execute(text("INSERT INTO stack_part VALUES (7, 3, 0), (7, 1, 1)"))
            before = [connection.execute(text(query)).all() for query in (PARTS, WORDS)]

        schema.upgrade()
        version = db.session.scalars(select(StackVersion)).one()
        assert (version.stack.key, version.number, version.digest) == ("pair", 1, "")
        assert version.rule == Rule((Group(2, ("three", "one")),))
        assert version.published_at == NOON.replace(day=3)
        assert (version.label, version.points) == ("A Title That Is Longer Than a ", 20)
        db.session.remove()

        schema.downgrade(BEFORE)
        with db.engine.begin() as connection:
            assert [connection.execute(text(query)).all() for query in (PARTS, WORDS)] == before
