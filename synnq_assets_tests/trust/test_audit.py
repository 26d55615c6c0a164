import hashlib
import multiprocessing
import sqlite3

import pytest

from synnq_assets.errors import AuditError
from synnq_assets.trust import AuditLog, Keyring, SigningKey
from synnq_assets.trust.merkle import (
    consistency_path,
    hash_children,
    hash_leaf,
    inclusion_path,
    is_consistent,
    is_included,
    range_hash,
)

KEY = SigningKey.generate()
RING = Keyring.with_root("synnq-test", KEY.public_key)


@pytest.fixture
def log(tmp_path):
    log = AuditLog(tmp_path / "audit.sqlite", KEY)
    for k in range(7):
        with log.act("act", f"s{k}", actor="coordinator") as deed:
            deed.details["k"] = k
    return log


def test_an_act_leaves_intent_then_result(log):
    entries = dict(log.iter_entries())
    assert [entries[0].phase, entries[1].phase] == ["intent", "result"]
    assert entries[1].intent == 0
    assert entries[1].details == {"k": 0}
    assert log.verify(RING) == log.head()
    assert log.head()[0] == 14


def test_a_failed_act_leaves_the_class_of_its_error_and_no_text(log):
    with pytest.raises(ValueError, match="secret"), log.act("act", "s", actor="coordinator"):
        raise ValueError("secret text")
    last = list(log.iter_entries())[-1][1]
    assert (last.phase, last.details["error"]) == ("failure", "ValueError")
    assert "secret" not in str(last)


def tamper(log, *statements):
    with sqlite3.connect(log.path) as db:
        for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {row[0]}")
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 's3', 's4') AS BLOB) "
            "WHERE position = 6",
            "entry 6 .* changed",
        ),
        ("UPDATE entry SET leaf = zeroblob(32) WHERE position = 6", "entry 6 .* changed"),
        ("DELETE FROM entry WHERE position = 6", "entry 6 is missing"),
        ("DELETE FROM entry WHERE position = 13", "does not match"),
        ("UPDATE node SET hash = zeroblob(32) WHERE level = 2 AND position = 1", "node 2/1"),
        ("DELETE FROM checkpoint WHERE size = 14", "its last signed head 13"),
        ("UPDATE checkpoint SET size = 99 WHERE size = 14", "size 99 does not match"),
    ],
)
def test_tampering_is_found(log, statement, says):
    tamper(log, statement)
    with pytest.raises(AuditError, match=says):
        log.verify(RING)


@pytest.mark.parametrize("verb", ["UPDATE entry SET leaf = x'00'", "DELETE FROM entry"])
def test_the_database_itself_refuses_to_change_an_entry(log, verb):
    with sqlite3.connect(log.path) as db, pytest.raises(sqlite3.Error, match="append-only"):
        db.execute(verb)


def append_many(path, key_path, name):
    log = AuditLog(path, SigningKey.read(key_path))
    for k in range(20):
        log.log_event("event", f"{name}-{k}", actor="coordinator")


def test_many_processes_append_and_nothing_is_lost(tmp_path):
    KEY.write(tmp_path / "key.pem")
    path = tmp_path / "audit.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=append_many, args=(path, tmp_path / "key.pem", f"p{k}"))
        for k in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    log = AuditLog(path, KEY)
    assert log.verify(RING)[0] == 60
    assert len({entry.subject for _, entry in log.iter_entries()}) == 60


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


def test_every_proof_up_to_forty_verifies_and_no_corrupted_one_does():
    leaves = [hash_leaf(bytes([k])) for k in range(40)]

    def node(level, index):
        return naive_root(leaves[index << level : (index + 1) << level])

    for n in range(1, 41):
        root = range_hash(node, 0, n)
        assert root == naive_root(leaves[:n])
        for i in range(n):
            path = inclusion_path(node, i, 0, n)
            assert is_included(leaves[i], i, n, path, root)
            for k in range(len(path)):
                assert not is_included(
                    leaves[i], i, n, [*path[:k], b"\0" * 32, *path[k + 1 :]], root
                )
            assert not is_included(leaves[i], (i + 1) % n, n, path, root) or n == 1
        for m in range(1, n):
            old = naive_root(leaves[:m])
            path = consistency_path(node, m, n)
            assert is_consistent(m, n, path, old, root)
            assert not is_consistent(m, n, path, b"\0" * 32, root)
            assert not is_consistent(m, n, path, old, b"\0" * 32)
