"""The audit log in PostgreSQL: many hosts may append, one at a time.

The log's role needs SELECT and INSERT only; create the tables as another role, or let the first
writer create them and then revoke the rest. A password comes from libpq's own places (PGPASSFILE,
PGPASSWORD, a service file), never from the settings.

Source: https://www.postgresql.org/docs/15/explicit-locking.html#ADVISORY-LOCKS
"""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

from synnq_assets.trust.audit.database import TABLES, LogDatabase

_LOCK = 0x53594E4E51  # "SYNNQ": one writer at a time, whichever host it is on
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (position BIGINT PRIMARY KEY, body BYTEA NOT NULL);
CREATE TABLE IF NOT EXISTS node (
    level INTEGER NOT NULL, position BIGINT NOT NULL, hash BYTEA NOT NULL,
    PRIMARY KEY (level, position));
CREATE TABLE IF NOT EXISTS checkpoint (size BIGINT PRIMARY KEY, note BYTEA NOT NULL);
CREATE TABLE IF NOT EXISTS cosignature (
    size BIGINT NOT NULL, name TEXT NOT NULL, line BYTEA NOT NULL, PRIMARY KEY (size, name));
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
""" + "".join(
    f"CREATE OR REPLACE TRIGGER {table}_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
    f"FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();\n"
    for table in TABLES
)


class PostgresDatabase(LogDatabase):
    """One database (or one schema of it, by `options=-csearch_path=…` in the DSN)."""

    placeholder = "%s"
    errors = (psycopg2.Error,)

    def __init__(self, dsn: str) -> None:
        """Name the database by a libpq connection string without a password."""
        super().__init__()
        self.dsn = dsn

    @property
    def name(self) -> str:  # noqa: D102 - contract in the base
        return "the audit log in PostgreSQL"

    def exists(self) -> bool:  # noqa: D102
        return bool(self.query("SELECT count(*) FROM entry")[0][0])

    def _open(self) -> Any:
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True  # a reader sees what is committed, and holds nothing
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            cursor.execute("SELECT to_regclass('cosignature') IS NULL")
            if cursor.fetchone()[0]:
                cursor.execute(f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK}); {_SCHEMA} COMMIT")
        return connection

    def _open_stream(self) -> Any:
        return self.connect().cursor("stream", withhold=True)

    def _begin_writing(self, cursor: Any) -> None:
        cursor.execute(f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK})")

    def insert(self, table: str, rows: Iterable[Sequence[Any]], width: int) -> None:  # noqa: D102
        statement = f"INSERT INTO {table} VALUES %s"
        execute_values(self.connect().cursor(), statement, list(rows), page_size=1000)
