"""What a database says about its own tables, down to the conditions of indexes and checks."""

from sqlalchemy import text

from lti_tool.database import db

_SQLITE = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('table', 'index')"
_COLUMNS = """SELECT table_name || '.' || column_name,
    concat_ws(' ', data_type, character_maximum_length, numeric_precision, numeric_scale, is_nullable)
    FROM information_schema.columns WHERE table_schema = 'public'"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
_CONSTRAINTS = """SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace"""


def definitions() -> dict[str, object]:
    """By name; Alembic's own table is left out."""
    found: dict[str, object] = {}
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            for kind, name, sql in connection.execute(text(_SQLITE)):
                # A line of CREATE TABLE is a column or a constraint; their order means nothing. A table that was
                # rebuilt and renamed has its name in quotes, and spaces before some of its commas.
                lines = sql.replace(f'"{name}"', name).splitlines()
                found[f"{kind} {name}"] = frozenset(line.strip().rstrip(", ") for line in lines)
        else:
            for query in (_COLUMNS, _INDEXES, _CONSTRAINTS):
                found |= dict(connection.execute(text(query)).all())
    return {name: made for name, made in found.items() if "alembic_version" not in name}
