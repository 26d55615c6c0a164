"""A witness signs one history; what it answers follows c2sp.org/tlog-witness."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.errors import AuditError
from synnq_assets.trust.audit import AuditLog, LogKeys
from synnq_assets.trust.audit.entries import build_entry
from synnq_assets.trust.audit.notes import open_note
from synnq_assets.trust.audit.witness import Witness, parse_request, render_request

KEYS = LogKeys.generate("fed")
VKEYS = tuple(key.vkey for key in KEYS.verifier.verifiers)


@pytest.fixture
def witness(tmp_path):
    return Witness.create(tmp_path / "witness", "example.org/w", VKEYS)


@pytest.fixture
def log(tmp_path):
    return fill(tmp_path / "audit.sqlite", 5)


def fill(path, size, *, keys=KEYS, note="n"):
    log = AuditLog(path, keys)
    log.append_all(
        [build_entry("event", "e", note, actor="a", details={"k": k}) for k in range(size)]
    )
    return log


def ask(witness, log, old):
    size = log.size()
    proof = [bytes.fromhex(item) for item in log.prove_consistency(old, size)]
    return witness.add_checkpoint(render_request(old, proof, log.signed_head()))


def test_a_growing_log_is_co_signed_step_by_step(witness, log):
    for old in (0, 5, 6, 7):
        answer = ask(witness, log, old)
        assert answer.status == 200
        head, signed = open_note(log.signed_head() + answer.body, [witness.verifier])
        assert list(signed) == [witness.verifier]
        assert witness.last() == head
        log.log_event("e", "s", actor="a")


def test_a_head_is_co_signed_again_on_request(witness, log):
    assert ask(witness, log, 0).status == 200
    assert ask(witness, log, 5).status == 200


def test_an_old_size_that_is_not_the_last_one_is_a_conflict_that_says_which(witness, log):
    ask(witness, log, 0)
    log.log_event("e", "s", actor="a")
    answer = ask(witness, log, 0)
    assert (answer.status, answer.body, answer.content_type) == (409, b"5\n", "text/x.tlog.size")


def test_a_fork_is_refused_and_a_cut_too(witness, log, tmp_path):
    ask(witness, log, 0)
    fork = fill(tmp_path / "fork.sqlite", 9, note="other")
    assert ask(witness, fork, 5).status == 422
    same_size = fill(tmp_path / "same.sqlite", 5, note="other")
    assert ask(witness, same_size, 5).status == 409
    cut = fill(tmp_path / "cut.sqlite", 3)
    assert ask(witness, cut, 3).status == 409
    request = render_request(5, [], cut.signed_head())
    assert witness.add_checkpoint(request).status == 400
    assert witness.last().size == 5


def test_another_log_and_other_keys_are_refused(witness, log, tmp_path):
    stranger = fill(tmp_path / "stranger.sqlite", 2, keys=LogKeys.generate("fed"))
    assert ask(witness, stranger, 0).status == 403
    unknown = fill(tmp_path / "unknown.sqlite", 2, keys=LogKeys.generate("other"))
    assert ask(witness, unknown, 0).status == 404
    text = log.signed_head().decode().split("\n")
    one_key = "\n".join([*text[:5], ""]).encode()
    assert witness.add_checkpoint(render_request(0, [], one_key)).status == 403


def test_a_proof_where_none_belongs_is_refused(witness, log):
    request = render_request(0, [b"\0" * 32], log.signed_head())
    assert witness.add_checkpoint(request).status == 422


@pytest.mark.parametrize(
    "data",
    [b"", b"old 0\n\n", b"old 00\n\nx", b"old -1\n\nx", b"new 0\n\nx", b"old 0\nAA\n\nx", b"\xff"],
)
def test_what_is_no_request_is_a_bad_request(witness, data):
    assert witness.add_checkpoint(data).status == 400


def test_requests_that_are_too_large_are_not_read(witness):
    assert witness.add_checkpoint(b"x" * 300_000).status == 413


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_typed_error(data):
    try:
        parse_request(data)
    except AuditError:
        return


def test_of_requests_at_once_one_is_taken(witness, log):
    ask(witness, log, 0)
    log.log_event("e", "s", actor="a")
    answers = []

    def work():
        twin = Witness(witness.folder)
        answers.append(ask(twin, AuditLog(log.database.path), 5).status)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 409, 409, 409, 409, 409]


def test_a_witness_is_created_once_and_for_one_log(witness, tmp_path):
    with pytest.raises(AuditError, match="not overwritten"):
        Witness.create(witness.folder, "example.org/w", VKEYS)
    with pytest.raises(AuditError, match="one log"):
        Witness.create(tmp_path / "x", "w", ())
    with pytest.raises(AuditError, match="cannot name a key"):
        Witness.create(tmp_path / "x", "two words", VKEYS)
    with pytest.raises(AuditError, match="holds no witness"):
        Witness(tmp_path)


def test_a_co_signature_of_another_head_is_not_kept(witness, log, tmp_path):
    other = fill(tmp_path / "other.sqlite", 5, note="other")
    answer = ask(witness, other, 0)
    with pytest.raises(AuditError, match="does not verify"):
        log.add_cosignature(5, answer.body, witness.verifier)
    with pytest.raises(AuditError, match="no signed head of 4"):
        other.add_cosignature(4, answer.body, witness.verifier)
    for _ in range(2):
        other.add_cosignature(5, answer.body, witness.verifier)
    assert other.signed_head().count(b"example.org/w") == 1
    assert other.verify(KEYS.verifier)[0] == 5
