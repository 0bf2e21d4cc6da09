"""The one way to the database: ``db.session``, ``Base`` and the column types every model shares."""

from lti_tool.database.base import Base, UtcDateTime, db, insert_into, on_sqlite, plain_rows, table_of

__all__ = ["Base", "UtcDateTime", "db", "insert_into", "on_sqlite", "plain_rows", "table_of"]
