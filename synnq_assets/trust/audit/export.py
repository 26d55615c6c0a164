"""The log as C2SP tlog-tiles: static files that anyone can serve, copy and check.

    checkpoint                     the newest signed head, with its co-signatures
    tile/<level>/<n>[.p/<width>]   hashes, 256 to a tile
    tile/entries/<n>[.p/<width>]   entries, each after its length in 16 bits
    log.vkeys                      the log's public keys; compare them with those from elsewhere
    verify_export.py               checks all of it, with Python's standard library alone

Full tiles never change, so an export into the same folder writes only what is new: it can go to a
store that locks its objects.

Source: c2sp.org/tlog-tiles
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from synnq_assets.errors import AuditError, StorageError
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.audit.heads import LogVerifier
from synnq_assets.trust.audit.log import AuditLog
from synnq_assets.trust.audit.notes import parse_note

WIDTH = 256
ENTRIES = "entries"


def build_tile_path(level: int | str, index: int, width: int) -> str:
    """Return a tile's path: index 1234067 of level 0 is `tile/0/x001/x234/067`."""
    digits = f"{index % 1000:03d}"
    while index := index // 1000:
        digits = f"x{index % 1000:03d}/{digits}"
    return f"tile/{level}/{digits}" + (f".p/{width}" if width < WIDTH else "")


def iter_tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (level, index, width) of every tile of a tree of `size` leaves."""
    level = 0
    while count := size >> (8 * level):
        for index in range(-(-count // WIDTH)):
            yield level, index, min(WIDTH, count - index * WIDTH)
        level += 1


def export_log(log: AuditLog, folder: Path, verifier: LogVerifier) -> int:
    """Write a log into a folder, the head last; return the number of entries.

    Args:
        log: what to export.
        folder: new, or an earlier export of the same log.
        verifier: the log's public keys; its newest head must verify.

    Raises:
        AuditError: the folder holds another log, or one that this log does not extend.
        StorageError: a file cannot be written; the earlier head still stands.
    """
    note = log.signed_head()
    head = verifier.open(note)
    _verify_extends(log, folder, verifier)
    try:
        for level, index, width in iter_tiles(head.size):
            _write_new(folder / build_tile_path(level, index, width), _read_tile(log, level, index))
            if level == 0:
                bundle = _read_entries(log, index * WIDTH, width)
                _write_new(folder / build_tile_path(ENTRIES, index, width), bundle)
        vkeys = "".join(f"{key.vkey}\n" for key in verifier.verifiers)
        write_atomically(folder / "log.vkeys", vkeys.encode())
        program = Path(__file__).with_name("verify_export.py").read_bytes()
        write_atomically(folder / "verify_export.py", program)
        write_atomically(folder / "checkpoint", note)
    except OSError as error:
        raise StorageError(f"cannot export to {folder}: {error.strerror}") from error
    return head.size


def _verify_extends(log: AuditLog, folder: Path, verifier: LogVerifier) -> None:
    path = folder / "checkpoint"
    if not path.exists():
        return
    held = verifier.open(path.read_bytes())
    if held.size > log.size() or log.root(held.size) != held.root:
        raise AuditError(
            f"{folder} holds {held.size} entries that this log does not extend: it was cut or "
            "rewritten since; keep the export, it is evidence"
        )


def _write_new(path: Path, data: bytes) -> None:
    if not path.exists():
        write_atomically(path, data)


def _read_tile(log: AuditLog, level: int, index: int) -> bytes:
    rows = log.database.query(
        "SELECT hash FROM node WHERE level = ? AND position >= ? AND position < ? "
        "ORDER BY position",
        (8 * level, index * WIDTH, (index + 1) * WIDTH),
    )
    return b"".join(bytes(row[0]) for row in rows)


def _read_entries(log: AuditLog, begin: int, width: int) -> bytes:
    rows = log.database.query(
        "SELECT body FROM entry WHERE position >= ? AND position < ? ORDER BY position",
        (begin, begin + width),
    )
    return b"".join(struct.pack(">H", len(row[0])) + bytes(row[0]) for row in rows)


def read_head(path: Path) -> bytes:
    """Return the note in a file: a checkpoint, or the one inside a receipt.

    Raises:
        AuditError: the file cannot be read, or holds neither.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AuditError(f"cannot read {path}: {error.strerror}") from error
    note = data.partition(b"\n\n")[2] if data.startswith(b"c2sp.org/tlog-proof") else data
    parse_note(note)
    return note
