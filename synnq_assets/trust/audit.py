"""The audit log: append-only and Merkle-hashed; intent before an act, result after it.

Entries carry ids, digests, enums and figures, never text of documents. An entry is acknowledged
only after SQLite has committed it with `synchronous=FULL`. Triggers refuse UPDATE and DELETE;
the Merkle root, signed at every checkpoint, exposes whoever goes round them.

Source: RFC 6962 §2.1 for the tree.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import NonNegativeInt

from synnq_assets.errors import AuditError, SynnqError
from synnq_assets.records.base import Record, UtcTime, now_at
from synnq_assets.records.identifiers import Sha256
from synnq_assets.trust.envelopes import open_envelope, sign_record
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import SigningKey
from synnq_assets.trust.merkle import (
    consistency_path,
    hash_children,
    hash_leaf,
    inclusion_path,
    range_hash,
)

Phase = Literal["intent", "result", "failure", "event"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    position INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS node (
    level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (level, position)) STRICT;
CREATE TABLE IF NOT EXISTS checkpoint (size INTEGER PRIMARY KEY, envelope BLOB NOT NULL) STRICT;
"""
_GUARDS = "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;\n"
    for table in ("entry", "node", "checkpoint")
    for verb in ("UPDATE", "DELETE")
)


class AuditEntry(Record):
    """One line of the log."""

    kind: ClassVar[str] = "audit-entry"

    phase: Phase
    action: str  # "global_checkpoint", "enrol_node", …
    subject: str  # a partition key or an id
    actor: str  # node id or role
    run_id: str  # Dagster run, or "" outside of one
    intent: NonNegativeInt | None  # position of the intent that this result answers
    details: dict[str, str | int | float | bool | list[str]]
    logged_at: UtcTime


class AuditCheckpoint(Record):
    """A signed head of the log."""

    kind: ClassVar[str] = "audit-checkpoint"

    size: NonNegativeInt
    root: Sha256
    signed_at: UtcTime


@dataclass
class AuditAction:
    """An act under way; put figures and digests of its outcome into `details`."""

    intent: int
    details: dict[str, Any] = field(default_factory=dict)
    position: int | None = None  # of the result, once logged


class AuditLog:
    """One log in one SQLite file; many processes may append."""

    def __init__(self, path: Path, key: SigningKey | None = None) -> None:
        """Open or create the log; with a key, every append of an action signs a checkpoint."""
        self.path = path
        self._key = key

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            connection.executescript(
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA} {_GUARDS}"
            )
            yield connection
        except sqlite3.Error as error:
            raise AuditError(f"audit log {self.path}: {error}") from error
        finally:
            connection.close()

    def append(self, entry: AuditEntry) -> int:
        """Append one entry durably, and return its position (0-based).

        Raises:
            AuditError: the log could not be written; the act must not go on.
        """
        body = entry.canonical_bytes()
        leaf = hash_leaf(body)
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                position = _size(db)
                db.execute("INSERT INTO entry VALUES (?, ?, ?)", (position, leaf, body))
                _store_complete_subtrees(db, position, leaf)
                if self._key is not None:
                    root = range_hash(_node_reader(db), 0, position + 1)
                    head = AuditCheckpoint(size=position + 1, root=root.hex(), signed_at=now_at())
                    envelope = sign_record(head, self._key)
                    db.execute("INSERT INTO checkpoint VALUES (?, ?)", (position + 1, envelope))
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        return position

    def log_event(self, action: str, subject: str, *, actor: str, **details: Any) -> int:
        """Append a fact that is not an act of ours (an observation, a decision)."""
        return self.append(_entry("event", action, subject, actor, "", None, details))

    @contextmanager
    def act(
        self, action: str, subject: str, *, actor: str, run_id: str = "", **details: Any
    ) -> Iterator[AuditAction]:
        """Log an intent, do the act in the block, log its result or its failure.

        A failure entry carries the error's class only: messages may hold foreign text.
        """
        intent = self.append(_entry("intent", action, subject, actor, run_id, None, details))
        deed = AuditAction(intent=intent)
        try:
            yield deed
        except BaseException as error:
            failure = {"error": type(error).__name__, "is_ours": isinstance(error, SynnqError)}
            self.append(_entry("failure", action, subject, actor, run_id, intent, failure))
            raise
        deed.position = self.append(
            _entry("result", action, subject, actor, run_id, intent, deed.details)
        )

    def iter_entries(self) -> Iterator[tuple[int, AuditEntry]]:
        """Yield (position, entry) in order."""
        if not self.path.exists():
            return
        with self._connect() as db:
            for position, body in db.execute("SELECT position, body FROM entry ORDER BY position"):
                yield position, AuditEntry.parse(body)

    def head(self) -> tuple[int, str]:
        """Return (size, root hex) of the whole log."""
        with self._connect() as db:
            size = _size(db)
            return size, range_hash(_node_reader(db), 0, size).hex()

    def prove_inclusion(self, position: int, size: int) -> list[str]:
        """Return the audit path (hex) of an entry in the tree of `size` entries."""
        with self._connect() as db:
            if not 0 <= position < size <= _size(db):
                raise AuditError(f"no entry {position} in a log of {size} entries")
            path = inclusion_path(_node_reader(db), position, 0, size)
            return [item.hex() for item in path]

    def prove_consistency(self, old: int, new: int) -> list[str]:
        """Return the proof (hex) that the first `old` entries are a prefix of the first `new`."""
        with self._connect() as db:
            if not 0 <= old <= new <= _size(db):
                raise AuditError(f"no such sizes: {old}, {new}")
            return [item.hex() for item in consistency_path(_node_reader(db), old, new)]

    def verify(self, keyring: Keyring) -> tuple[int, str]:
        """Recompute every hash and check every signed head; return (size, root hex).

        Raises:
            AuditError: an entry, a stored hash or a head was changed, removed or added out of
                order; the message names the first position.
        """
        if not self.path.exists():
            raise AuditError(f"there is no audit log at {self.path}")
        roots: dict[int, str] = {}
        stack: list[tuple[int, bytes]] = []  # (level, hash) of complete subtrees, left to right
        size = 0
        with self._connect() as db:
            for position, leaf, body in db.execute("SELECT * FROM entry ORDER BY position"):
                if position != size:
                    raise AuditError(f"entry {size} is missing from the audit log")
                if hash_leaf(body) != leaf:
                    raise AuditError(f"entry {position} of the audit log was changed")
                level, current = 0, leaf
                _check_node(db, 0, position, leaf)
                while stack and stack[-1][0] == level:
                    current = hash_children(stack.pop()[1], current)
                    level += 1
                    _check_node(db, level, position >> level, current)
                stack.append((level, current))
                size += 1
                roots[size] = _fold(stack).hex()
            heads = db.execute("SELECT size, envelope FROM checkpoint ORDER BY size").fetchall()
        for head_size, envelope in heads:
            head = open_envelope(envelope, AuditCheckpoint, keyring, roles=("coordinator",))
            if head.size != head_size or roots.get(head.size) != head.root:
                raise AuditError(f"signed head of size {head_size} does not match the entries")
        if heads and heads[-1][0] != size:
            raise AuditError(f"log has {size} entries, its last signed head {heads[-1][0]}")
        return size, roots.get(size, range_hash(lambda level, index: b"", 0, 0).hex())


def _entry(
    phase: Phase,
    action: str,
    subject: str,
    actor: str,
    run_id: str,
    intent: int | None,
    details: dict[str, Any],
) -> AuditEntry:
    return AuditEntry(
        phase=phase,
        action=action,
        subject=subject,
        actor=actor,
        run_id=run_id,
        intent=intent,
        details=json.loads(json.dumps(details)),
        logged_at=now_at(),
    )


def _size(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT COALESCE(MAX(position) + 1, 0) FROM entry").fetchone()[0])


def _node_reader(db: sqlite3.Connection) -> Any:
    def read(level: int, index: int) -> bytes:
        row = db.execute(
            "SELECT hash FROM node WHERE level = ? AND position = ?", (level, index)
        ).fetchone()
        if row is None:
            raise AuditError(f"audit log lacks tree node {level}/{index}")
        return bytes(row[0])

    return read


def _store_complete_subtrees(db: sqlite3.Connection, position: int, leaf: bytes) -> None:
    level, index, current = 0, position, leaf
    read = _node_reader(db)
    db.execute("INSERT INTO node VALUES (?, ?, ?)", (0, index, current))
    while index & 1:
        current = hash_children(read(level, index - 1), current)
        level, index = level + 1, index >> 1
        db.execute("INSERT INTO node VALUES (?, ?, ?)", (level, index, current))


def _check_node(db: sqlite3.Connection, level: int, index: int, expected: bytes) -> None:
    if _node_reader(db)(level, index) != expected:
        raise AuditError(f"stored tree node {level}/{index} of the audit log was changed")


def _fold(stack: list[tuple[int, bytes]]) -> bytes:
    current = stack[-1][1]
    for _, left in reversed(stack[:-1]):
        current = hash_children(left, current)
    return current
