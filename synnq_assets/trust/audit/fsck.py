"""Recompute every hash of a log, and check every signed head.

Holds the hashes of the tree, 64 bytes an entry, and one entry at a time.
"""

from collections.abc import Sequence

from synnq_assets.errors import AuditError
from synnq_assets.trust.audit.database import LogDatabase
from synnq_assets.trust.audit.heads import Head, LogVerifier
from synnq_assets.trust.merkle import hash_children, hash_leaf, range_hash

HASH_BYTES = 32


class Tree:
    """A Merkle tree in memory: one string of hashes for each level."""

    def __init__(self) -> None:
        """Start empty."""
        self.levels: list[bytearray] = [bytearray()]

    def append(self, leaf: bytes) -> None:
        """Append a leaf's hash; `complete` computes what lies above."""
        self.levels[0] += leaf

    def complete(self) -> None:
        """Compute the hashes of all complete subtrees."""
        del self.levels[1:]
        while len(below := self.levels[-1]) >= 2 * HASH_BYTES:
            above = bytearray()
            for begin in range(0, len(below) - HASH_BYTES, 2 * HASH_BYTES):
                middle, end = begin + HASH_BYTES, begin + 2 * HASH_BYTES
                above += hash_children(bytes(below[begin:middle]), bytes(below[middle:end]))
            self.levels.append(above)

    def node(self, level: int, index: int) -> bytes:
        """Return one hash."""
        return bytes(self.levels[level][index * HASH_BYTES : (index + 1) * HASH_BYTES])

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves."""
        return range_hash(self.node, 0, size)


def verify_log(
    database: LogDatabase, verifier: LogVerifier, *, known: Sequence[Head]
) -> tuple[int, str]:
    """Check a whole log; see `AuditLog.verify`."""
    if not database.exists():
        raise AuditError(f"there is no log: {database.name}")
    tree, size = _read_entries(database)
    _verify_nodes(database, tree)
    heads = [
        (int(head_size), verifier.open(bytes(note)))
        for head_size, note in database.iter_rows("SELECT size, note FROM checkpoint ORDER BY size")
    ]
    for head_size, head in heads:
        if head.size != head_size:
            raise AuditError(f"signed head of size {head.size} stands as that of {head_size}")
    if size != (heads[-1][0] if heads else 0):
        last = f"is of {heads[-1][0]}" if heads else "is missing"
        raise AuditError(f"log has {size} entries, its last signed head {last}")
    for head in (*(head for _, head in heads), *known):
        if head.origin != verifier.origin:
            raise AuditError(f"a head of the log {head.origin[:80]!r}, expected {verifier.origin}")
        if head.size > size:
            raise AuditError(f"log was cut: a head of {head.size} entries is known, it has {size}")
        if tree.root(head.size) != head.root:
            raise AuditError(f"signed head of size {head.size} does not match the entries")
    return size, tree.root(size).hex()


def _read_entries(database: LogDatabase) -> tuple[Tree, int]:
    tree, size = Tree(), 0
    for position, body in database.iter_rows("SELECT position, body FROM entry ORDER BY position"):
        if position != size:
            raise AuditError(f"entry {size} is missing from the audit log")
        tree.append(hash_leaf(bytes(body)))
        size += 1
    tree.complete()
    return tree, size


def _verify_nodes(database: LogDatabase, tree: Tree) -> None:
    """Compare the stored hashes with the computed ones, in the order of levels."""
    counts = [len(level) // HASH_BYTES for level in tree.levels]
    seen = [0] * len(counts)
    rows = database.iter_rows("SELECT level, position, hash FROM node ORDER BY level, position")
    for level, position, stored in rows:
        if level >= len(counts) or position >= counts[level] or position != seen[level]:
            raise AuditError(
                f"stored tree node {level}/{position} of the audit log is out of place"
            )
        if bytes(stored) != tree.node(level, position):
            what = f"entry {position}" if level == 0 else f"stored tree node {level}/{position}"
            raise AuditError(f"{what} of the audit log was changed")
        seen[level] += 1
    for level, (count, found) in enumerate(zip(counts, seen, strict=True)):
        if count != found:
            raise AuditError(f"stored tree node {level}/{found} of the audit log is missing")
