"""The log: what an act leaves, what many writers leave, and what nobody can change unseen."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from synnq_assets.errors import AuditError, TrustError
from synnq_assets.trust.audit import AuditLog, LogKeys
from synnq_assets.trust.audit.entries import MAX_ENTRY_BYTES, build_entry
from synnq_assets.trust.audit.notes import open_note, parse_note
from synnq_assets.trust.audit.receipts import parse_proof, verify_receipt
from synnq_assets.trust.audit.sqlite import SqliteDatabase
from synnq_assets.trust.merkle import Frontier, hash_leaf

KEYS = LogKeys.generate("synnq-test")
VERIFIER = KEYS.verifier


@pytest.fixture
def log(tmp_path):
    log = AuditLog(tmp_path / "audit.sqlite", KEYS)
    for k in range(7):
        with log.act("act", f"s{k}", actor="coordinator") as deed:
            deed.details["k"] = k
    return log


def test_an_act_leaves_intent_then_result(log):
    entries = dict(log.iter_entries())
    assert [entries[0].phase, entries[1].phase] == ["intent", "result"]
    assert entries[1].intent == 0
    assert entries[1].details == {"k": 0}
    assert log.verify(VERIFIER) == log.head()
    assert log.head()[0] == 14
    assert [position for position, _ in log.iter_entries(12)] == [12, 13]


def test_a_failed_act_leaves_the_class_of_its_error_and_no_text(log):
    with pytest.raises(ValueError, match="secret"), log.act("act", "s", actor="coordinator"):
        raise ValueError("secret text")
    last = list(log.iter_entries())[-1][1]
    assert (last.phase, last.details["error"]) == ("failure", "ValueError")
    assert "secret" not in str(last)


def test_names_are_concealed_wherever_they_stand(tmp_path):
    log = AuditLog(
        tmp_path / "audit.sqlite", KEYS, conceal=lambda text: text.replace("node-east", "p-1")
    )
    with log.act("act", "r0001.node-east.1", actor="node-east", nodes=["node-east", "b"]) as deed:
        deed.details["who"] = "node-east"
    for _, entry in log.iter_entries():
        assert "node-east" not in entry.model_dump_json()
    assert next(log.iter_entries())[1].details == {"nodes": ["p-1", "b"]}


def test_a_batch_has_one_head(tmp_path):
    log = AuditLog(tmp_path / "audit.sqlite", KEYS)
    entries = [build_entry("event", "e", str(k), actor="a", details={}) for k in range(100)]
    assert log.append_all(entries) == range(100)
    assert log.append_all(entries[:3]) == range(100, 103)
    assert log.append_all([]) == range(103, 103)
    assert log.database.query("SELECT size FROM checkpoint ORDER BY size") == [(100,), (103,)]
    assert log.verify(VERIFIER)[0] == 103


def test_an_entry_that_is_too_large_is_refused_whole(log):
    before = log.head()
    small = build_entry("event", "e", "s", actor="a", details={})
    large = build_entry("event", "e", "x" * MAX_ENTRY_BYTES, actor="a", details={})
    with pytest.raises(AuditError, match="at most 65535"):
        log.append_all([small, large])
    assert log.head() == before


def test_without_its_keys_a_log_can_be_read_only(log):
    reader = AuditLog(log.database.path)
    assert reader.head() == log.head()
    with pytest.raises(AuditError, match="opened for reading"):
        reader.log_event("e", "s", actor="a")


def test_a_missing_log_does_not_verify(tmp_path):
    with pytest.raises(AuditError, match="there is no log"):
        AuditLog(tmp_path / "none.sqlite").verify(VERIFIER)
    assert list(AuditLog(tmp_path / "none.sqlite").iter_entries()) == []


def test_another_log_s_keys_do_not_verify_this_one(log):
    for verifier in (LogKeys.generate("synnq-test").verifier, LogKeys.generate("other").verifier):
        with pytest.raises(AuditError, match="no known key"):
            log.verify(verifier)


# --- tampering: the database's own guards taken away first


def tamper(log, *statements):
    log.database.close()
    with sqlite3.connect(log.database.path) as db:
        for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {row[0]}")
        for statement in statements:
            db.execute(*statement) if isinstance(statement, tuple) else db.execute(statement)


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        (
            ["UPDATE entry SET body = CAST(replace(body, 's3', 's4') AS BLOB) WHERE position = 6"],
            "entry 6 .* changed",
        ),
        (["UPDATE node SET hash = zeroblob(32) WHERE level = 0 AND position = 6"], "entry 6 .*"),
        (["DELETE FROM entry WHERE position = 6"], "entry 6 is missing"),
        (["DELETE FROM entry WHERE position = 13"], "node 0/13 .* out of place"),
        (["UPDATE node SET hash = zeroblob(32) WHERE level = 2 AND position = 1"], "node 2/1"),
        (["DELETE FROM node WHERE level = 1 AND position = 6"], "node 1/6 .* missing"),
        (["INSERT INTO node VALUES (5, 0, zeroblob(32))"], "node 5/0 .* out of place"),
        (["DELETE FROM checkpoint WHERE size = 14"], "its last signed head is of 13"),
        (["DELETE FROM checkpoint"], "its last signed head is missing"),
        (["UPDATE checkpoint SET size = 99 WHERE size = 14"], "size 14 stands as that of 99"),
        (["UPDATE checkpoint SET note = zeroblob(80) WHERE size = 3"], "a note"),
        (
            [
                "UPDATE entry SET position = 99 WHERE position = 4",
                "UPDATE entry SET position = 4 WHERE position = 6",
                "UPDATE entry SET position = 6 WHERE position = 99",
            ],
            "entry 4 .* changed",
        ),
    ],
)
def test_tampering_is_found(log, statements, says):
    tamper(log, *statements)
    with pytest.raises(AuditError, match=says):
        log.verify(VERIFIER)


def rebuild(log, bodies, *, keys=None):
    """Rewrite a whole log consistently, as one who owns the machine could."""
    frontier, nodes, heads = Frontier(), [], []
    for body in bodies:
        nodes += frontier.append(hash_leaf(body))
        if keys is not None:
            heads.append((frontier.size, keys.sign(frontier.size, frontier.root())))
    tamper(log, "DELETE FROM entry", "DELETE FROM node")
    with sqlite3.connect(log.database.path) as db:
        db.executemany("INSERT INTO entry VALUES (?, ?)", enumerate(bodies))
        db.executemany("INSERT INTO node VALUES (?, ?, ?)", nodes)
        if keys is not None:
            db.execute("DELETE FROM checkpoint")
            db.executemany("INSERT INTO checkpoint VALUES (?, ?)", heads)


def read_bodies(log):
    return [bytes(b) for (b,) in log.database.query("SELECT body FROM entry ORDER BY position")]


def test_a_log_rewritten_consistently_without_the_keys_is_found(log):
    bodies = read_bodies(log)
    bodies[3] = bodies[3].replace(b"s1", b"s9")
    rebuild(log, bodies)
    with pytest.raises(AuditError, match="size 4 does not match"):
        log.verify(VERIFIER)
    tamper(log, "DELETE FROM checkpoint")
    with pytest.raises(AuditError, match="last signed head is missing"):
        log.verify(VERIFIER)


def test_a_log_cut_back_with_its_heads_is_found_by_a_head_seen_before(log):
    seen, _ = parse_note(log.signed_head())
    receipt = log.receipt(13)
    tamper(
        log,
        "DELETE FROM entry WHERE position >= 8",
        "DELETE FROM node WHERE ((position + 1) << level) > 8",
        "DELETE FROM checkpoint WHERE size > 8",
    )
    assert log.verify(VERIFIER)[0] == 8
    with pytest.raises(AuditError, match="log was cut: a head of 14 entries is known, it has 8"):
        log.verify(VERIFIER, known=[seen])
    with pytest.raises(AuditError, match="log was cut"):
        log.verify(VERIFIER, known=[VERIFIER.open(parse_proof(receipt).note)])


def test_a_fork_signed_with_the_log_s_own_keys_is_found_by_a_head_seen_before(log):
    seen, _ = parse_note(log.signed_head())
    bodies = read_bodies(log)
    bodies[3] = bodies[3].replace(b"s1", b"s9")
    rebuild(log, bodies, keys=KEYS)
    assert log.verify(VERIFIER)[0] == 14
    with pytest.raises(AuditError, match="size 14 does not match"):
        log.verify(VERIFIER, known=[seen])


def test_an_old_backup_put_back_is_found(log, tmp_path):
    log.database.close()
    backup = log.database.path.read_bytes()
    with log.act("act", "later", actor="coordinator"):
        pass
    seen, _ = parse_note(log.signed_head())
    log.database.close()
    log.database.path.write_bytes(backup)
    with pytest.raises(AuditError, match="log was cut"):
        AuditLog(log.database.path).verify(VERIFIER, known=[seen])


@pytest.mark.parametrize("verb", ["UPDATE entry SET body = x'00'", "DELETE FROM entry"])
def test_the_database_itself_refuses_to_change_an_entry(log, verb):
    with sqlite3.connect(log.database.path) as db, pytest.raises(sqlite3.Error, match="append-"):
        db.execute(verb)


# --- receipts


def test_a_receipt_proves_its_entry_and_no_other(log):
    bodies = read_bodies(log)
    for position, body in enumerate(bodies):
        receipt = log.receipt(position)
        assert verify_receipt(receipt, body, VERIFIER).size == 14
        with pytest.raises(AuditError, match="does not prove"):
            verify_receipt(receipt, bodies[position - 1], VERIFIER)
    with pytest.raises(AuditError, match="no entry 14"):
        log.receipt(14)


def test_a_receipt_changed_anywhere_is_refused(log):
    body, receipt = read_bodies(log)[5], log.receipt(5)
    for position in range(len(receipt)):
        changed = bytearray(receipt)
        changed[position] ^= 1
        with pytest.raises((AuditError, TrustError)):
            verify_receipt(bytes(changed), body, VERIFIER)


# --- many writers, forks, kills


def append_twenty(path, folder, name):
    log = AuditLog(path, LogKeys.read(folder, "synnq-test"))
    for k in range(20):
        log.log_event("event", f"{name}-{k}", actor="coordinator")


def test_many_processes_append_and_nothing_is_lost(tmp_path):
    KEYS.write(tmp_path)
    path = tmp_path / "audit.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=append_twenty, args=(path, tmp_path, f"p{k}")) for k in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    log = AuditLog(path, KEYS)
    assert log.verify(VERIFIER)[0] == 60
    assert len({entry.subject for _, entry in log.iter_entries()}) == 60


def test_threads_and_a_forked_child_share_one_log(log):
    def work():
        for k in range(10):
            log.log_event("thread", str(k), actor="a")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        log.log_event("child", "s", actor="a")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    log.log_event("parent", "s", actor="a")
    assert log.verify(VERIFIER)[0] == 14 + 30 + 2


KILLED = """
import sys
from pathlib import Path
from synnq_assets.trust.audit import AuditLog, LogKeys
folder = Path(sys.argv[1])
log = AuditLog(folder / "audit.sqlite", LogKeys.read(folder, "synnq-test"))
while True:
    print(log.log_event("event", "s", actor="a"), flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    KEYS.write(tmp_path)
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE, text=True
        )
        acknowledged = [int(child.stdout.readline()) for _ in range(15)][-1]
        child.kill()
        rest = child.stdout.read().split("\n")
        acknowledged = int(rest[-2]) if len(rest) > 1 else acknowledged
        child.stdout.close()
        child.wait()
        size, _ = AuditLog(tmp_path / "audit.sqlite").verify(VERIFIER)
        assert size >= acknowledged + 1


def test_a_database_that_is_none_gives_one_sentence(tmp_path):
    path = tmp_path / "audit.sqlite"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(AuditError, match="audit.sqlite: file is not a database"):
        AuditLog(path, KEYS).log_event("e", "s", actor="a")
    with pytest.raises(AuditError, match="cannot open audit log"):
        SqliteDatabase(path / "below a file").query("SELECT 1")


def test_a_signed_head_opens_with_either_key_alone_too(log):
    head, signed = open_note(log.signed_head(), VERIFIER.verifiers[:1])
    assert (head.size, len(signed)) == (14, 1)
    head, signed = open_note(log.signed_head(), VERIFIER.verifiers[1:])
    assert (head.size, len(signed)) == (14, 1)
