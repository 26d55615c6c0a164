"""Exports and the independent verifier: it agrees with ours, and finds what was changed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synnq_assets.errors import AuditError, TrustError
from synnq_assets.trust.algorithms import find_algorithm
from synnq_assets.trust.audit import AuditLog, LogKeys, verify_export
from synnq_assets.trust.audit.entries import build_entry
from synnq_assets.trust.audit.export import build_tile_path, export_log, iter_tiles, read_head
from synnq_assets.trust.audit.notes import (
    ED25519,
    TIMED_ED25519,
    Head,
    NoteSigner,
    open_note,
    render_note,
)
from synnq_assets.trust.audit.witness import Witness, render_request
from synnq_assets.trust.keys import SigningKey
from synnq_assets.trust.merkle import Frontier, hash_leaf

KEYS = LogKeys.generate("fed")
VKEY = KEYS.verifier.verifiers[0].vkey
SIZE = 70_000


def fill(path, size, *, keys=KEYS, note="n"):
    log = AuditLog(path, keys)
    entries = [build_entry("event", "e", note, actor="a", details={"k": k}) for k in range(size)]
    for begin in range(0, size, 5000):
        log.append_all(entries[begin : begin + 5000])
    return log


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("log") / "audit.sqlite", SIZE)


@pytest.fixture(scope="module")
def exported(log, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    assert export_log(log, folder, KEYS.verifier) == SIZE
    return folder


def run_verifier(folder, *arguments):
    """As a stranger does: another interpreter, isolated, no site packages, the exported file."""
    return subprocess.run(
        [sys.executable, "-I", "-S", folder / "verify_export.py", folder, *arguments],
        capture_output=True,
        text=True,
    )


def test_the_tiles_are_those_of_the_specification_s_example():
    tiles = list(iter_tiles(SIZE))
    assert sum(level == 0 and width == 256 for level, _, width in tiles) == 273
    assert (0, 273, 112) in tiles
    assert (1, 0, 256) in tiles
    assert (1, 1, 17) in tiles
    assert (2, 0, 1) in tiles
    assert list(iter_tiles(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(iter_tiles(0)) == []
    assert build_tile_path(0, 1_234_067, 256) == "tile/0/x001/x234/067"
    assert build_tile_path("entries", 273, 112) == "tile/entries/273.p/112"


def test_a_stranger_verifies_an_export(log, exported):
    done = run_verifier(exported, "--vkey", VKEY)
    assert done.returncode == 0, done.stderr
    assert f'"entries": {SIZE}, "root": "{log.head()[1]}"' in done.stdout
    held = (exported / "verify_export.py").read_bytes()
    assert held == Path(verify_export.__file__).read_bytes()


def test_a_receipt_is_proved_by_the_stranger_and_its_entry_shown(log, exported, tmp_path):
    for position in (0, 255, 256, 65_535, 65_536, SIZE - 1):
        (tmp_path / "r").write_bytes(log.receipt(position))
        done = run_verifier(exported, "--vkey", VKEY, "--receipt", tmp_path / "r")
        assert done.returncode == 0, done.stderr
        assert f'\\"k\\":{position}}}' in done.stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tile/0/000", "tile 0/0 does not match"),
        ("tile/0/273.p/112", "tile 0/273 does not match"),
        ("tile/1/000", "tile 1/0 does not match"),
        ("tile/2/000.p/1", "tile 2/0 does not match"),
        ("tile/entries/100", "entry bundle 100 is cut"),
        ("checkpoint", "signature|number|base64"),
    ],
)
def test_a_changed_byte_in_any_file_is_found(exported, tmp_path, name, says):
    folder = shutil.copytree(exported, tmp_path / "copy")
    data = bytearray((folder / name).read_bytes())
    data[26 if name == "checkpoint" else len(data) // 2] ^= 1
    (folder / name).chmod(0o644)
    (folder / name).write_bytes(data)
    with pytest.raises(verify_export.Broken, match=says):
        verify_export.verify(folder, [VKEY])


def test_a_missing_tile_is_named(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    (folder / "tile/0/001").unlink()
    done = run_verifier(folder, "--vkey", VKEY)
    assert (done.returncode, done.stderr) == (1, "BROKEN: tile/0/001 is missing\n")


def test_the_key_of_another_log_does_not_verify(exported):
    other = LogKeys.generate("fed").verifier.verifiers[0].vkey
    done = run_verifier(exported, "--vkey", other)
    assert "is not signed by synnq.eu/audit/fed" in done.stderr


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 600])
def test_both_verifiers_agree_on_every_size_and_receipt(tmp_path, size):
    log = fill(tmp_path / "audit.sqlite", size)
    export_log(log, tmp_path / "export", KEYS.verifier)
    receipts = [log.receipt(k) for k in range(0, size, max(1, size // 40))]
    summary = verify_export.verify(tmp_path / "export", [VKEY], receipts=receipts)
    assert (summary["entries"], summary["root"]) == log.verify(KEYS.verifier)
    assert len(summary["proved"]) == len(receipts)


def test_an_export_grows_and_keeps_what_it_has(tmp_path):
    log = fill(tmp_path / "audit.sqlite", 300)
    export_log(log, tmp_path / "export", KEYS.verifier)
    before = (tmp_path / "export/tile/0/000").stat().st_mtime_ns
    log.log_event("e", "later", actor="a")
    export_log(log, tmp_path / "export", KEYS.verifier)
    assert (tmp_path / "export/tile/0/000").stat().st_mtime_ns == before
    assert verify_export.verify(tmp_path / "export", [VKEY])["entries"] == 301


def test_a_log_that_does_not_extend_its_export_is_not_exported_over_it(tmp_path):
    export_log(fill(tmp_path / "a.sqlite", 300), tmp_path / "export", KEYS.verifier)
    for size, note in ((200, "n"), (400, "other")):
        other = fill(tmp_path / f"{size}.sqlite", size, note=note)
        with pytest.raises(AuditError, match="does not extend"):
            export_log(other, tmp_path / "export", KEYS.verifier)
    assert verify_export.verify(tmp_path / "export", [VKEY])["entries"] == 300


def test_a_rewritten_log_is_found_by_what_was_seen_before(tmp_path):
    honest = fill(tmp_path / "a.sqlite", 300)
    (tmp_path / "seen").write_bytes(honest.signed_head())
    (tmp_path / "receipt").write_bytes(honest.receipt(7))
    for name, size, says in (("cut", 200, "was cut"), ("fork", 400, "was rewritten")):
        forged = fill(tmp_path / f"{name}.sqlite", size, note="n" if name == "cut" else "forged")
        folder = tmp_path / name
        export_log(forged, folder, KEYS.verifier)
        assert run_verifier(folder, "--vkey", VKEY).returncode == 0
        for file in ("seen", "receipt"):
            done = run_verifier(folder, "--vkey", VKEY, "--seen", tmp_path / file)
            assert says in done.stderr
            assert read_head(tmp_path / file) == honest.signed_head()
        assert (
            says in run_verifier(folder, "--vkey", VKEY, "--receipt", tmp_path / "receipt").stderr
        )


def test_only_a_witness_finds_a_fork_for_one_who_saw_nothing_before(tmp_path):
    honest = fill(tmp_path / "a.sqlite", 300)
    vkeys = tuple(key.vkey for key in KEYS.verifier.verifiers)
    witness = Witness.create(tmp_path / "witness", "example.org/w", vkeys)
    answer = witness.add_checkpoint(render_request(0, [], honest.signed_head()))
    honest.add_cosignature(300, answer.body, witness.verifier)
    export_log(honest, tmp_path / "export", KEYS.verifier)
    arguments = ("--vkey", VKEY, "--witness", witness.verifier.vkey)
    assert '"witnesses": 1' in run_verifier(tmp_path / "export", *arguments).stdout
    forged = fill(tmp_path / "forged.sqlite", 300, note="forged")
    export_log(forged, tmp_path / "fork", KEYS.verifier)
    done = run_verifier(tmp_path / "fork", *arguments)
    assert "is not signed by example.org/w" in done.stderr


# --- the two implementations, vector by vector


@given(st.binary(max_size=60), st.integers(0, 63), st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_both_ed25519_verifiers_agree(message, position, flip):
    key = SigningKey.generate()
    algorithm = find_algorithm("ed25519")
    raw = algorithm.encode_public(key.private)
    signature = bytearray(key.sign(message))
    signature[position] ^= flip
    try:
        algorithm.verify(algorithm.load_public(raw), bytes(signature), message)
        ours = True
    except TrustError:
        ours = False
    assert verify_export.is_signed(raw, message, bytes(signature)) == ours == (flip == 0)


@given(st.binary(min_size=0, max_size=400))
def test_any_bytes_are_a_head_or_a_finding(data):
    with pytest.raises(verify_export.Broken):
        verify_export.open_note(data, [verify_export.parse_vkey(VKEY)])
    with pytest.raises(verify_export.Broken):
        verify_export.check_receipt(data, [verify_export.parse_vkey(VKEY)], "", [])


@given(position=st.integers(min_value=0), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_both_note_readers_refuse_a_changed_byte(position, flip):
    signers = [NoteSigner("a", ED25519, KEYS.ed25519), NoteSigner("b", TIMED_ED25519, KEYS.ed25519)]
    head = Head("origin", 5, b"\x05" * 32)
    note = bytearray(render_note(head, [signer.sign(head, 7) for signer in signers]))
    vkeys = [verify_export.parse_vkey(signer.verifier.vkey) for signer in signers]
    assert verify_export.open_note(bytes(note), vkeys) == ("origin", 5, head.root)
    note[position % len(note)] ^= flip
    with pytest.raises(verify_export.Broken):
        verify_export.open_note(bytes(note), vkeys)
    with pytest.raises(AuditError):
        verifiers = [signer.verifier for signer in signers]
        open_note(bytes(note), verifiers, is_enough=lambda signed: len(signed) == 2)


def test_both_compute_the_same_root_of_every_size_to_300():
    frontier, leaves = Frontier(), []
    for k in range(300):
        assert verify_export.root_of(leaves) == frontier.root()
        leaves.append(hash_leaf(bytes([k & 255])))
        frontier.append(leaves[-1])
