"""Every tree of up to 256 leaves: all proofs hold, and no proof with a changed hash does."""

import hashlib

import pytest

from synnq_assets.trust.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    hash_children,
    hash_leaf,
    inclusion_path,
    is_consistent,
    is_included,
    range_hash,
)

LARGEST = 256
LEAVES = [hash_leaf(k.to_bytes(2, "big")) for k in range(LARGEST)]


def naive_root(leaves):
    """RFC 6962 §2.1, read aloud."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hash_children(naive_root(leaves[:k]), naive_root(leaves[k:]))


@pytest.fixture(scope="module")
def tree():
    """Complete subtrees as appending computes them, and the naive root of every size."""
    frontier, nodes, roots = Frontier(), {}, [EMPTY_ROOT]
    for leaf in LEAVES:
        for level, index, value in frontier.append(leaf):
            nodes[level, index] = value
        roots.append(frontier.root())
    return (lambda level, index: nodes[level, index]), roots


def test_appending_gives_the_naive_root_of_every_size(tree):
    node, roots = tree
    for n in range(LARGEST + 1):
        assert roots[n] == naive_root(LEAVES[:n]) == range_hash(node, 0, n)


def test_the_vectors_of_the_certificate_transparency_project():
    """Leaves and roots of certificate-transparency-go, merkletree tests."""
    leaves = [
        bytes.fromhex(text)
        for text in (
            *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
            "606162636465666768696a6b6c6d6e6f",
        )
    ]
    frontier = Frontier()
    roots = []
    for leaf in leaves:
        frontier.append(hash_leaf(leaf))
        roots.append(frontier.root().hex())
    assert roots[0] == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert roots[7] == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def mutations(path):
    for k in range(len(path)):
        yield [*path[:k], bytes([path[k][0] ^ 1]) + path[k][1:], *path[k + 1 :]]
        yield [*path[:k], *path[k + 1 :]]
    yield [*path, b"\0" * 32]


def test_every_inclusion_proof_holds_and_no_changed_one_does(tree):
    node, roots = tree
    proofs = changed = 0
    for n in range(1, LARGEST + 1):
        for i in range(n):
            path = inclusion_path(node, i, 0, n)
            assert is_included(LEAVES[i], i, n, path, roots[n])
            assert not is_included(LEAVES[i], (i + 1) % n, n, path, roots[n]) or n == 1
            assert not is_included(LEAVES[i - 1], i, n, path, roots[n]) or n == 1
            assert not is_included(LEAVES[i], i, n, path, roots[n - 1])
            proofs += 1
            for other in mutations(path):
                assert not is_included(LEAVES[i], i, n, other, roots[n])
                changed += 1
    assert proofs == LARGEST * (LARGEST + 1) // 2
    assert changed > 400_000


def test_every_consistency_proof_holds_and_no_changed_one_does(tree):
    node, roots = tree
    for n in range(1, LARGEST + 1):
        for m in range(1, n):
            path = consistency_path(node, m, n)
            assert is_consistent(m, n, path, roots[m], roots[n])
            assert not is_consistent(m, n, path, roots[m - 1], roots[n])
            assert not is_consistent(m, n, path, roots[m], roots[n - 1])
            for other in mutations(path):
                assert not is_consistent(m, n, other, roots[m], roots[n])
        assert is_consistent(n, n, [], roots[n], roots[n])
        assert not is_consistent(n, n, [b"\0" * 32], roots[n], roots[n])
