"""What the log needs of a database: four append-only tables, one writer at a time.

    entry       position -> the entry's bytes
    node        (level, position) -> hash of a complete subtree; level 0 holds the leaves' hashes
    checkpoint  size -> signed head
    cosignature (size, name of a witness) -> its signature line

Statements are written once, in SQL that SQLite and PostgreSQL both understand; `?` becomes the
database's own placeholder.
"""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from synnq_assets.errors import AuditError

TABLES = ("entry", "node", "checkpoint", "cosignature")


class LogDatabase(ABC):
    """Connections to the log's database: one for each thread of each process."""

    placeholder = "?"
    errors: tuple[type[Exception], ...] = ()  # what the driver raises

    def __init__(self) -> None:
        """Connect to nothing yet."""
        self._local = threading.local()

    @property
    @abstractmethod
    def name(self) -> str:
        """Return how error messages call this database; no secrets."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether there is a log."""

    @abstractmethod
    def _open(self) -> Any:
        """Return a new connection, its tables and guards created where they were missing."""

    @abstractmethod
    def _begin_writing(self, cursor: Any) -> None:
        """Begin a transaction that no other writer can interleave with."""

    def connect(self) -> Any:
        """Return this thread's connection; a forked process gets its own."""
        held = getattr(self._local, "held", None)
        if held is None or held[0] != os.getpid():
            try:
                held = (os.getpid(), self._open())
            except self.errors as error:
                raise AuditError(f"cannot open {self.name}: {error}") from error
            self._local.held = held
        return held[1]

    def close(self) -> None:
        """Close this thread's connection."""
        held = getattr(self._local, "held", None)
        if held is not None and held[0] == os.getpid():
            held[1].close()
        self._local.held = None

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a small result."""
        with self._translated():
            cursor = self.connect().cursor()
            cursor.execute(statement.replace("?", self.placeholder), values)
            return list(cursor.fetchall())

    @contextmanager
    def looking_up(self, statement: str) -> Iterator[Callable[[Sequence[Any]], Any]]:
        """Give a function that returns the first row for some values, or None."""
        statement = statement.replace("?", self.placeholder)
        with self._translated():
            cursor = self.connect().cursor()

            def find(values: Sequence[Any]) -> Any:
                cursor.execute(statement, values)
                return cursor.fetchone()

            yield find

    def iter_rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a large result without holding them all."""
        with self._translated():
            cursor = self._open_stream()
            try:
                cursor.execute(statement.replace("?", self.placeholder), values)
                while rows := cursor.fetchmany(1000):
                    yield from rows
            finally:
                cursor.close()

    def _open_stream(self) -> Any:
        return self.connect().cursor()

    @contextmanager
    def writing(self) -> Iterator["LogDatabase"]:
        """Hold the log for one writer; what the block inserted is durable when it is left.

        Raises:
            AuditError: the database refused; nothing of the block was kept.
        """
        with self._translated():
            cursor = self.connect().cursor()
            self._begin_writing(cursor)
            try:
                yield self
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(*self.errors):  # a COMMIT that failed has rolled back already
                    cursor.execute("ROLLBACK")
                raise

    def insert(self, table: str, rows: Iterable[Sequence[Any]], width: int) -> None:
        """Insert rows; call it inside `writing`."""
        marks = ", ".join([self.placeholder] * width)
        self.connect().cursor().executemany(f"INSERT INTO {table} VALUES ({marks})", list(rows))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self.errors as error:
            self.close()
            raise AuditError(f"{self.name}: {str(error).strip()}") from error
