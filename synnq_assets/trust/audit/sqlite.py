"""The audit log in one SQLite file: many processes of one host may append.

`synchronous=FULL` and a write-ahead log: COMMIT returns after the data reached the disk. Triggers
refuse UPDATE and DELETE; whoever goes round them meets the signed heads.

Source: https://www.sqlite.org/pragma.html#pragma_synchronous, https://www.sqlite.org/wal.html
"""

import sqlite3
from pathlib import Path
from typing import Any

from synnq_assets.trust.audit.database import TABLES, LogDatabase

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (position INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS node (
    level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (level, position)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoint (size INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS cosignature (
    size INTEGER NOT NULL, name TEXT NOT NULL, line BLOB NOT NULL,
    PRIMARY KEY (size, name)) STRICT;
"""
_GUARDS = "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;\n"
    for table in TABLES
    for verb in ("UPDATE", "DELETE")
)


class SqliteDatabase(LogDatabase):
    """One file."""

    errors = (sqlite3.Error, OSError)

    def __init__(self, path: Path) -> None:
        """Name the file; it is created when first written to."""
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:  # noqa: D102 - contract in the base
        return f"audit log {self.path}"

    def exists(self) -> bool:  # noqa: D102
        return self.path.exists()

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        connection.executescript(
            f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA} {_GUARDS}"
        )
        return connection

    def _begin_writing(self, cursor: Any) -> None:
        cursor.execute("BEGIN IMMEDIATE")
