"""The audit log: append-only and Merkle-hashed; intent before an act, result after it.

In: entries. Out: signed heads, proofs, receipts, an export that strangers can check. An entry is
acknowledged only after the database has committed it.

    entries.py        one line of the log
    log.py            append, act, heads, proofs, receipts
    database.py       what the log needs of a database, in SQL that both kinds understand
    sqlite.py         the embedded default
    postgres.py       the same on PostgreSQL
    notes.py          C2SP signed notes: signers, verifiers, co-signatures
    heads.py          C2SP checkpoints: the signed heads of a log
    fsck.py           recompute every hash, check every signed head
    receipts.py       C2SP tlog-proofs: an entry's place under a signed head
    export.py         the log as C2SP tlog-tiles, for anyone to serve and check
    cosigning.py      asks a witness for its co-signature
    witness.py        another organisation that co-signs heads which extend what it saw before
    verify_export.py  an independent verifier: standard library alone, imports nothing of ours
"""

from pathlib import Path

from synnq_assets.settings.profile import Audit
from synnq_assets.trust.audit.database import LogDatabase
from synnq_assets.trust.audit.entries import AuditEntry
from synnq_assets.trust.audit.heads import Head, LogKeys, LogVerifier, build_origin
from synnq_assets.trust.audit.log import AuditAction, AuditLog
from synnq_assets.trust.audit.sqlite import SqliteDatabase


def open_database(settings: Audit, file: Path) -> LogDatabase:
    """Return the database that a site's settings ask for; `file` is where SQLite puts it."""
    if settings.kind == "postgres":
        from synnq_assets.trust.audit.postgres import (
            PostgresDatabase,  # not everyone has its driver
        )

        return PostgresDatabase(settings.dsn)
    return SqliteDatabase(file)


__all__ = [
    "AuditAction",
    "AuditEntry",
    "AuditLog",
    "Head",
    "LogKeys",
    "LogVerifier",
    "build_origin",
    "open_database",
]
