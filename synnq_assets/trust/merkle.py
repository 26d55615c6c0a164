"""RFC 6962 Merkle tree hashes, inclusion and consistency proofs, as pure functions.

Source: RFC 6962 §2.1; verification algorithms from RFC 9162 §2.1.3.2 and §2.1.4.2.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()

NodeHash = Callable[[int, int], bytes]  # (level, index) -> hash of a complete subtree


def hash_leaf(data: bytes) -> bytes:
    """Return the hash of a leaf's bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _largest_power_below(n: int) -> int:
    return 1 << ((n - 1).bit_length() - 1)


def range_hash(node: NodeHash, begin: int, end: int) -> bytes:
    """Return MTH of leaves [begin, end); `begin` must be aligned as in a tree's left parts."""
    size = end - begin
    if size == 0:
        return EMPTY_ROOT
    if size & (size - 1) == 0 and begin % size == 0:
        return node(size.bit_length() - 1, begin // size)
    k = _largest_power_below(size)
    return hash_children(range_hash(node, begin, begin + k), range_hash(node, begin + k, end))


def inclusion_path(node: NodeHash, index: int, begin: int, end: int) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree over [begin, end)."""
    if end - begin == 1:
        return []
    k = begin + _largest_power_below(end - begin)
    if index < k:
        return [*inclusion_path(node, index, begin, k), range_hash(node, k, end)]
    return [*inclusion_path(node, index, k, end), range_hash(node, begin, k)]


def consistency_path(node: NodeHash, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of size `old` is a prefix of the tree of size `new`."""

    def descend(m: int, begin: int, end: int, is_whole: bool) -> list[bytes]:
        if m == end - begin:
            return [] if is_whole else [range_hash(node, begin, end)]
        k = _largest_power_below(end - begin)
        if m <= k:
            return [*descend(m, begin, begin + k, is_whole), range_hash(node, begin + k, end)]
        return [*descend(m - k, begin + k, end, False), range_hash(node, begin, begin + k)]

    return [] if old in (0, new) else descend(old, 0, new, True)


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether `path` proves that leaf hash `leaf` is at `index` of the tree with `root`."""
    if not 0 <= index < size:
        return False
    fn, sn, current = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            current = hash_children(sibling, current)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            current = hash_children(current, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and current == root


def is_consistent(
    old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Return whether `path` proves that the new tree extends the old one."""
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    if old == new:
        return not path and old_root == new_root
    if old > new or not path:
        return False
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = hash_children(sibling, first), hash_children(sibling, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = hash_children(second, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == new_root


class Frontier:
    """The complete subtrees along a tree's right edge: all that appending needs."""

    def __init__(self, size: int = 0) -> None:
        """Describe the tree of `size` leaves; put its hashes into `hashes`, left to right."""
        self.size = size
        self.hashes: list[bytes] = []

    def copy(self) -> "Frontier":
        """Return a frontier that can grow by itself."""
        twin = Frontier(self.size)
        twin.hashes = list(self.hashes)
        return twin

    def addresses(self) -> Iterator[tuple[int, int]]:
        """Yield (level, index) of each complete subtree, left to right."""
        for level in reversed(range(self.size.bit_length())):
            if self.size >> level & 1:
                yield level, (self.size >> level) - 1

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Append a leaf's hash; return (level, index, hash) of every subtree that it completes."""
        index, level, current = self.size, 0, leaf
        completed = [(0, index, leaf)]
        while index & 1:
            current = hash_children(self.hashes.pop(), current)
            index, level = index >> 1, level + 1
            completed.append((level, index, current))
        self.hashes.append(current)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the tree's root."""
        if not self.hashes:
            return EMPTY_ROOT
        current = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            current = hash_children(left, current)
        return current
