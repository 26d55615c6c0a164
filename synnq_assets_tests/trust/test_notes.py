"""Signed notes: published examples, what is refused, and co-signatures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.errors import AuditError, TrustError
from synnq_assets.trust.audit.heads import LogKeys
from synnq_assets.trust.audit.notes import (
    ED25519,
    MAX_SIGNATURES,
    TIMED_ED25519,
    TIMED_ML_DSA_44,
    Head,
    NoteSigner,
    NoteVerifier,
    open_note,
    parse_note,
    render_note,
)
from synnq_assets.trust.keys import SigningKey

HEAD = Head("example.com/log", 7, b"\x07" * 32)
LOG = NoteSigner("example.com/log", ED25519, SigningKey.generate())
WITNESS = NoteSigner("example.org/w1", TIMED_ED25519, SigningKey.generate())
MODERN = NoteSigner("example.org/w2", TIMED_ML_DSA_44, SigningKey.generate("ml-dsa-44"))
SIGNERS = (LOG, WITNESS, MODERN)
AT = 1_700_000_000


def note_of(*signers, head=HEAD):
    return render_note(head, [signer.sign(head, AT) for signer in signers])


def test_all_three_kinds_sign_and_verify():
    head, signed = open_note(note_of(*SIGNERS), [signer.verifier for signer in SIGNERS])
    assert head == HEAD
    assert signed == {LOG.verifier: 0, WITNESS.verifier: AT, MODERN.verifier: AT}


# The example of the Go checksum database's note package: golang.org/x/mod/sumdb/note
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_the_verifier_key_of_the_go_example_parses():
    verifier = NoteVerifier.parse(VKEY)
    assert verifier.name == "PeterNeumann"
    assert verifier.key_id.hex() == "c74f20a3"
    assert verifier.vkey == VKEY


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: hex(signer.kind))
def test_a_key_survives_its_text(signer):
    assert NoteVerifier.parse(signer.verifier.vkey) == signer.verifier


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("PeterNeumann", "Peter Neumann"),
        "name+00000000+Ag==",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_what_is_no_verifier_key_is_refused(vkey):
    with pytest.raises(AuditError):
        NoteVerifier.parse(vkey)


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: hex(signer.kind))
def test_a_signature_does_not_cover_another_head(signer):
    line = signer.sign(HEAD, AT)
    for other in (
        Head("example.com/log", 8, HEAD.root),
        Head("example.com/log", 7, b"\x08" * 32),
        Head("example.com/gol", 7, HEAD.root),
    ):
        with pytest.raises(AuditError, match="does not verify"):
            open_note(render_note(other, [line]), [signer.verifier])


@pytest.mark.parametrize("signer", [WITNESS, MODERN], ids=lambda signer: hex(signer.kind))
def test_a_signature_does_not_cover_another_time(signer):
    _, (line,) = parse_note(note_of(signer))
    assert signer.verifier.verify(HEAD, line.signature) == AT
    with pytest.raises(TrustError, match="does not verify"):
        signer.verifier.verify(HEAD, (AT + 1).to_bytes(8, "big") + line.signature[8:])


def test_an_ml_dsa_co_signature_covers_the_co_signer_s_name():
    twin = NoteSigner("example.org/w3", TIMED_ML_DSA_44, MODERN.key)
    head, (line,) = parse_note(note_of(MODERN))
    with pytest.raises(TrustError, match="does not verify"):
        twin.verifier.verify(head, line.signature)


def test_lines_of_unknown_keys_are_ignored_and_do_not_suffice():
    stranger = NoteSigner("example.net/x", ED25519, SigningKey.generate())
    namesake = NoteSigner(LOG.name, ED25519, SigningKey.generate())
    _, signed = open_note(note_of(stranger, namesake, LOG), [LOG.verifier])
    assert list(signed) == [LOG.verifier]
    with pytest.raises(AuditError, match="no known key"):
        open_note(note_of(stranger, namesake), [LOG.verifier])


def test_a_known_key_s_bad_signature_spoils_the_note():
    good, bad = WITNESS.sign(HEAD, AT), LOG.sign(Head("example.com/log", 9, HEAD.root), AT)
    with pytest.raises(AuditError, match="does not verify"):
        open_note(render_note(HEAD, [good, bad]), [LOG.verifier, WITNESS.verifier])


def test_sixteen_signatures_are_read_and_seventeen_refused():
    signers = [NoteSigner(f"w{k}", TIMED_ED25519, SigningKey.generate()) for k in range(17)]
    assert len(parse_note(note_of(*signers[:MAX_SIGNATURES]))[1]) == 16
    with pytest.raises(AuditError, match="1 to 16"):
        parse_note(note_of(*signers))


def test_two_lines_of_one_key_are_refused():
    with pytest.raises(AuditError, match="same key"):
        parse_note(note_of(LOG, LOG))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        HEAD.render().encode(),
        HEAD.render().encode() + b"\n",
        note_of(LOG)[:-1],
        note_of(LOG).replace(b"\n7\n", b"\n07\n"),
        note_of(LOG).replace(b"\n7\n", b"\n+7\n"),
        note_of(LOG).replace(b"\n7\n", "\n７\n".encode()),
        note_of(LOG).replace(b"\n7\n", b"\n" + b"7" * 5000 + b"\n"),
        note_of(LOG).replace(b"\n7\n", b"\n7\nextension\n"),
        note_of(LOG).replace(b"log\n7", b"log\r\n7"),
        note_of(LOG).replace("—".encode(), b"-"),
        note_of(LOG).replace(b"\n\n", b"\n\n\xff"),
        note_of(LOG) + b"x" * 300_000,
    ],
)
def test_what_is_no_note_is_refused(data):
    with pytest.raises(AuditError):
        open_note(data, [LOG.verifier])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_note_or_a_typed_error(data):
    with pytest.raises(AuditError):
        open_note(data, [LOG.verifier])


@given(position=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_changed_byte_is_never_accepted(position, flip):
    data = bytearray(note_of(LOG))
    data[position % len(data)] ^= flip
    with pytest.raises(AuditError):
        open_note(bytes(data), [LOG.verifier])


def test_a_log_s_head_needs_both_of_its_keys():
    keys = LogKeys.generate("fed")
    note = keys.sign(3, b"\x01" * 32)
    assert keys.verifier.open(note) == Head("synnq.eu/audit/fed", 3, b"\x01" * 32)
    _, lines = parse_note(note)
    text = note.decode().split("\n")
    for k in range(len(lines)):
        cut = "\n".join([*text[:4], *(line for j, line in enumerate(text[4:-1]) if j != k), ""])
        with pytest.raises(AuditError, match="not enough"):
            keys.verifier.open(cut.encode())


def test_a_head_of_another_origin_is_refused_even_with_the_right_keys():
    keys = LogKeys.generate("fed")
    head = Head("synnq.eu/audit/other", 3, b"\x01" * 32)
    signers = (
        NoteSigner(keys.origin, ED25519, keys.ed25519),
        NoteSigner(keys.origin, TIMED_ML_DSA_44, keys.ml_dsa_44),
    )
    with pytest.raises(AuditError, match="head of the log"):
        keys.verifier.open(render_note(head, [signer.sign(head, AT) for signer in signers]))
