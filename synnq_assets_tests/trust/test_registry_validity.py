"""Windows of keys, whatever happens to a node: at most one key counts at any position."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.errors import TrustError
from synnq_assets.trust import Keyring, SigningKey
from synnq_assets.trust.keyring import Window
from synnq_assets.trust.registry.validity import build_windows, trust_node
from synnq_assets_tests.trust.registry_world import build_node

KEYS = [SigningKey.generate() for _ in range(4)]
FIRST, SECOND = (key.public_key for key in KEYS[:2])
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["active", "suspended", "revoked"]),
        st.integers(0, len(KEYS) - 1),
        st.integers(0, 3),
    ),
    max_size=12,
)


def version(at, key=0, status="active", node_id="node-a"):
    return build_node(KEYS[key], node_id, audit_index=at, status=status)


def test_windows_by_hand():
    history = [
        version(3),
        version(7, status="suspended"),
        version(9),
        version(12),  # another profile: the window goes on
        version(15, key=1),
        version(20, key=1, status="revoked"),
    ]
    assert build_windows(history) == {
        FIRST: (Window(3, 7), Window(9, 15)),
        SECOND: (Window(15, 20),),
    }
    assert build_windows(history[:1]) == {FIRST: (Window(3, None),)}
    assert build_windows([]) == {}


@given(ACTS)
def test_at_every_position_the_key_counts_that_the_newest_version_before_names(acts):
    history, at = [version(1)], 1
    for status, key, gap in acts:
        at += gap
        history.append(version(at, key, status))
    windows = build_windows(history)
    for position in range(at + 3):
        before = [v for v in history if v.audit_index <= position]
        expected = {before[-1].signing_public_key} if before else set()
        if before and before[-1].status != "active":
            expected = set()
        counting = {key for key, held in windows.items() if any(w.holds(position) for w in held)}
        assert counting == expected
    now = {key for key, held in windows.items() if any(w.holds(None) for w in held)}
    assert now == ({history[-1].signing_public_key} if history[-1].status == "active" else set())


def test_versions_that_do_not_follow_each_other_are_refused():
    for history in ([version(3), version(2)], [version(3), version(4, node_id="node-b")]):
        with pytest.raises(TrustError, match="do not follow each other"):
            build_windows(history)


def test_no_node_takes_the_key_that_another_had():
    ring = Keyring()
    trust_node(ring, [version(1), version(4, status="revoked")])
    with pytest.raises(TrustError, match="is the node key of 'node-a' already"):
        trust_node(ring, [version(5, node_id="node-b")])


def test_who_is_distrusted_counts_at_no_position():
    ring = Keyring()
    trust_node(ring, [version(1)])
    ring.distrust("node-a")
    assert [entry.windows for entry in ring.entries.values()] == [()]
