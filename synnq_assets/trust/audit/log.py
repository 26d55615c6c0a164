"""Append to the log, and prove what is in it.

Source: RFC 6962 §2.1 for the tree.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synnq_assets.errors import AuditError, SynnqError
from synnq_assets.trust.audit.database import LogDatabase
from synnq_assets.trust.audit.entries import AuditEntry, build_entry, render_entry
from synnq_assets.trust.audit.fsck import verify_log
from synnq_assets.trust.audit.heads import Head, LogKeys, LogVerifier
from synnq_assets.trust.audit.notes import NoteVerifier, open_note, parse_note
from synnq_assets.trust.audit.receipts import Evidence, render_proof
from synnq_assets.trust.audit.sqlite import SqliteDatabase
from synnq_assets.trust.merkle import (
    Frontier,
    NodeHash,
    consistency_path,
    hash_leaf,
    inclusion_path,
    range_hash,
)


@dataclass
class AuditAction:
    """An act under way; put figures and digests of its outcome into `details`."""

    intent: int
    details: dict[str, Any] = field(default_factory=dict)
    position: int | None = None  # of the result, once logged


def _keep(text: str) -> str:
    return text


class AuditLog:
    """One log; many processes may append."""

    def __init__(
        self,
        database: LogDatabase | Path,
        keys: LogKeys | None = None,
        *,
        conceal: Callable[[str], str] = _keep,
    ) -> None:
        """Open a log.

        Args:
            database: where it is; a path is an SQLite file.
            keys: sign every batch; without them the log can be read only.
            conceal: replaces names of nodes by pseudonyms, in all text of an entry.
        """
        self.database = SqliteDatabase(database) if isinstance(database, Path) else database
        self._keys = keys
        self.conceal = conceal
        self._frontier = Frontier()

    def append(self, entry: AuditEntry) -> int:
        """Append one entry durably, and return its position (0-based).

        Raises:
            AuditError: the log could not be written; the act must not go on.
        """
        return self.append_all([entry])[0]

    def append_all(self, entries: Sequence[AuditEntry]) -> range:
        """Append entries under one signed head, all or none, and return their positions.

        Raises:
            AuditError: the log could not be written, or it was opened without its keys.
        """
        if self._keys is None:
            raise AuditError(f"{self.database.name} was opened for reading: its keys are missing")
        bodies = [render_entry(entry) for entry in entries]
        with self.database.writing() as db:
            begin = self.size()
            frontier = self._frontier.copy() if self._frontier.size == begin else self._read(begin)
            positions = range(begin, begin + len(bodies))
            nodes = [node for body in bodies for node in frontier.append(hash_leaf(body))]
            db.insert("entry", zip(positions, bodies, strict=True), 2)
            db.insert("node", nodes, 3)
            if bodies:
                note = self._keys.sign(frontier.size, frontier.root())
                db.insert("checkpoint", [(frontier.size, note)], 2)
        self._frontier = frontier
        return positions

    def _read(self, size: int) -> Frontier:
        """Return the complete subtrees of the tree as it stands."""
        frontier = Frontier(size)
        with self._reading() as node:
            frontier.hashes = [node(level, index) for level, index in frontier.addresses()]
        return frontier

    def log_event(self, action: str, subject: str, *, actor: str, **details: Any) -> int:
        """Append a fact that is not an act of ours (an observation, a decision)."""
        return self.append(self._build("event", action, subject, actor=actor, details=details))

    @contextmanager
    def act(
        self, action: str, subject: str, *, actor: str, run_id: str = "", **details: Any
    ) -> Iterator[AuditAction]:
        """Log an intent, do the act in the block, log its result or its failure.

        A failure entry carries the error's class only: messages may hold foreign text.
        """
        common: dict[str, Any] = {"actor": actor, "run_id": run_id}
        intent = self.append(self._build("intent", action, subject, details=details, **common))
        deed = AuditAction(intent=intent)
        try:
            yield deed
        except BaseException as error:
            failure = {"error": type(error).__name__, "is_ours": isinstance(error, SynnqError)}
            self.append(
                self._build("failure", action, subject, details=failure, intent=intent, **common)
            )
            raise
        deed.position = self.append(
            self._build("result", action, subject, details=deed.details, intent=intent, **common)
        )

    def _build(
        self, phase: Any, action: str, subject: str, *, actor: str, details: Any, **rest: Any
    ) -> AuditEntry:
        hidden = {name: self._hide(value) for name, value in details.items()}
        subject, actor = self.conceal(subject), self.conceal(actor)
        return build_entry(phase, action, subject, actor=actor, details=hidden, **rest)

    def _hide(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.conceal(value)
        return [self._hide(item) for item in value] if isinstance(value, list | tuple) else value

    # --- reading

    def size(self) -> int:
        """Return the number of entries."""
        rows = self.database.query("SELECT COALESCE(MAX(position) + 1, 0) FROM entry")
        return int(rows[0][0])

    def iter_entries(self, begin: int = 0) -> Iterator[tuple[int, AuditEntry]]:
        """Yield (position, entry) in order, from a position on."""
        if not self.database.exists():
            return
        statement = "SELECT position, body FROM entry WHERE position >= ? ORDER BY position"
        for position, body in self.database.iter_rows(statement, (begin,)):
            yield position, AuditEntry.parse(bytes(body))

    def head(self) -> tuple[int, str]:
        """Return (size, root hex) of the whole log."""
        size = self.size()
        return size, self.root(size).hex()

    def root(self, size: int) -> bytes:
        """Return the root (32 bytes) over the first `size` entries."""
        with self._reading() as node:
            return range_hash(node, 0, size)

    def signed_head(self) -> bytes:
        """Return the newest signed head with its co-signatures, a C2SP checkpoint.

        Raises:
            AuditError: the log is empty.
        """
        rows = self.database.query("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1")
        if not rows:
            raise AuditError(f"{self.database.name} is empty; it has no head yet")
        size, note = rows[0]
        lines = self.database.query(
            "SELECT line FROM cosignature WHERE size = ? ORDER BY name", (size,)
        )
        return bytes(note) + b"".join(bytes(line) for (line,) in lines)

    def add_cosignature(self, size: int, line: bytes, verifier: NoteVerifier) -> Head:
        """Keep a witness's co-signature of this log's head of `size` entries; return the head.

        Raises:
            AuditError: there is no such head, or the signature does not verify.
        """
        rows = self.database.query("SELECT note FROM checkpoint WHERE size = ?", (size,))
        if not rows:
            raise AuditError(f"this log has no signed head of {size} entries")
        head, _ = open_note(bytes(rows[0][0]) + line, [verifier])
        with self.database.writing() as db:
            held = "SELECT 1 FROM cosignature WHERE size = ? AND name = ?"
            if not db.query(held, (head.size, verifier.name)):
                db.insert("cosignature", [(head.size, verifier.name, line)], 3)
        return head

    def receipt(self, position: int) -> bytes:
        """Return a C2SP tlog-proof that an entry is in the log, under its newest signed head.

        Raises:
            AuditError: there is no such entry.
        """
        note = self.signed_head()
        head, _ = parse_note(note)
        path = self.prove_inclusion(position, head.size)
        return render_proof(position, [bytes.fromhex(item) for item in path], note)

    def evidence(self, position: int) -> Evidence:
        """Return an entry's bytes with their receipt.

        Raises:
            AuditError: there is no such entry.
        """
        receipt = self.receipt(position)
        rows = self.database.query("SELECT body FROM entry WHERE position = ?", (position,))
        return Evidence(bytes(rows[0][0]), receipt)

    def prove_inclusion(self, position: int, size: int) -> list[str]:
        """Return the audit path (hex) of an entry in the tree of `size` entries."""
        if not 0 <= position < size <= self.size():
            raise AuditError(f"no entry {position} in a log of {size} entries")
        with self._reading() as node:
            return [item.hex() for item in inclusion_path(node, position, 0, size)]

    def prove_consistency(self, old: int, new: int) -> list[str]:
        """Return the proof (hex) that the first `old` entries are a prefix of the first `new`."""
        if not 0 <= old <= new <= self.size():
            raise AuditError(f"no such sizes: {old}, {new}")
        with self._reading() as node:
            return [item.hex() for item in consistency_path(node, old, new)]

    @contextmanager
    def _reading(self) -> Iterator[NodeHash]:
        """Give a reader of tree nodes that asks the database with one prepared statement."""
        statement = "SELECT hash FROM node WHERE level = ? AND position = ?"
        with self.database.looking_up(statement) as find:

            def node(level: int, index: int) -> bytes:
                row = find((level, index))
                if row is None:
                    raise AuditError(f"the audit log lacks tree node {level}/{index}")
                return bytes(row[0])

            yield node

    def verify(self, verifier: LogVerifier, *, known: Sequence[Head] = ()) -> tuple[int, str]:
        """Recompute every hash and check every signed head; return (size, root hex).

        Args:
            verifier: the log's public keys.
            known: heads that were seen before, from receipts, exports or a witness: the only thing
                that finds a log that was cut back, or rewritten by whoever has its keys.

        Raises:
            AuditError: an entry, a hash or a head was changed, removed or added out of order; the
                message names the first position.
        """
        return verify_log(self.database, verifier, known=known)
