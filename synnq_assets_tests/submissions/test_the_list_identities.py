"""Items 17 to 32 of the list of bad inputs: keys that do not count, identities, paths, drop folder.

Ids are validated where they are parsed, so most of these never come as far as a verdict: they are
typed errors of the parser, of enrolment, or of the record that carries them.
"""

import os
import threading

import pytest

from synnq_assets.defs.partitions import verify_partition_keys
from synnq_assets.errors import EnrolmentError, RecordError, SubmissionError
from synnq_assets.federation import Registry
from synnq_assets.records.base import canonical_json
from synnq_assets.records.identifiers import (
    parse_assignment_id,
    parse_node_id,
    parse_round_key,
)
from synnq_assets.submissions import receive_submission
from synnq_assets.trust import SigningKey

from .the_list import POISON, ROUND, accepted, render_envelope

UPDATE, LOG = "update.safetensors", "training_log.parquet"
HOSTILE_IDS = {
    "21 parent": "../../etc/passwd",
    "22 absolute": "/etc/passwd",
    "23 empty": "",
    "23 dot": ".",
    "23 dots": "a...b",
    "24 nul": "node-a\0",
    "24 newline": "node-a\n",
    "25 homoglyph": "node-\u0430",
    "25 right to left": "node\u202ea",
    "25 zero width": "node\u200ba",
    "26 case twin": "Node-East",
    "27 long": "n" * 300,
    "28 full width digit": "node-\uff11",
    "28 underscore": "node-1_0",
    "29 separator": "node-a|node-b",
    "29 range": "node-a,node-b",
}


# --- keys and their windows


def test_item_17_a_suspended_key(desk, tmp_path):
    bad = desk.case(tmp_path)
    bad.submit()
    registry, signer = Registry(desk.home.ledger), desk.home.coordinator
    registry.set_status(POISON, "suspended", signer, at=desk.home.audit.size())
    try:
        bad.refuse("signature", "was not valid at position")
    finally:
        registry.set_status(POISON, "active", signer, at=desk.home.audit.size())


def test_item_17_a_revoked_key(desk, tmp_path):
    bad = desk.case(tmp_path, "node-south")
    bad.submit()
    Registry(desk.home.ledger).set_status(
        "node-south", "revoked", desk.home.coordinator, at=desk.home.audit.size()
    )
    bad.refuse("signature", "was not valid at position")


def test_item_17_a_key_that_was_not_enrolled_yet(desk, tmp_path):
    bad = desk.case(tmp_path)
    bad.submit()
    bad.sign_again(key=SigningKey.generate())
    bad.refuse("signature", "signed by an unknown key")


# --- identities


@pytest.mark.parametrize("text", HOSTILE_IDS.values(), ids=HOSTILE_IDS)
def test_item_21_to_29_a_hostile_id_is_no_id(text):
    for parse in (parse_node_id, parse_round_key, parse_assignment_id):
        with pytest.raises(RecordError):
            parse(text)
    with pytest.raises(RecordError):
        parse_assignment_id(f"r0001.{text}.1")


@pytest.mark.parametrize("text", HOSTILE_IDS.values(), ids=HOSTILE_IDS)
def test_item_21_to_29_a_hostile_id_is_not_enrolled(desk, text):
    """The application is well signed; whoever wrote it did not use our program."""
    key = SigningKey.generate()
    predicate = {"node_id": text, "signing_public_key": key.public_key}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [],
        "predicateType": "https://synnq.eu/attestations/node-application/v1",
        "predicate": predicate,
    }
    before = [node.node_id for node in Registry(desk.home.ledger).list_nodes()]
    with pytest.raises(EnrolmentError, match="application refused: not a NodeApplication: node_id"):
        Registry(desk.home.ledger).enrol(
            render_envelope(canonical_json(statement), key), desk.home.coordinator, at=99
        )
    assert [node.node_id for node in Registry(desk.home.ledger).list_nodes()] == before


@pytest.mark.parametrize("text", HOSTILE_IDS.values(), ids=HOSTILE_IDS)
def test_item_21_to_29_a_hostile_id_is_no_path(desk, tmp_path, text):
    before = sorted(desk.home.store.root.rglob("*"))
    for ids in ((text, f"{text}.node-a.1"), (ROUND, f"{ROUND}.{text}.1"), (ROUND, text)):
        with pytest.raises(SubmissionError):
            receive_submission(tmp_path, desk.home.store, *ids)
    assert sorted(desk.home.store.root.rglob("*")) == before


@pytest.mark.parametrize("text", HOSTILE_IDS.values(), ids=HOSTILE_IDS)
@pytest.mark.parametrize("dimension", ["round", "site", "cell", "source"])
def test_item_29_a_hostile_id_becomes_no_partition(dimension, text):
    with pytest.raises(RecordError, match="is no partition"):
        verify_partition_keys(dimension, [text])


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", ".", "a\0b", "\u0430.parquet"])
def test_item_21_a_manifest_that_names_a_path(bad, name):
    bad.submit()
    bad.forge_predicate(lambda predicate: predicate["files"][0].update(name=name))
    verdict = bad.refuse("signature", "files.0.name")
    assert name not in verdict.reasons[0] or name == "."


def test_item_25_a_homoglyph_of_the_own_id(bad):
    bad.submit()
    bad.forge_predicate(lambda predicate: predicate.update(node_id="node-e\u0430st"))
    bad.refuse("signature", "not a Submission: node_id")


@pytest.mark.parametrize("text", ["Node-East", "NODE-EAST", "node-eaSt"])
def test_item_26_a_case_twin_of_an_enrolled_node(bad, text):
    bad.submit()
    bad.forge_predicate(lambda predicate: predicate.update(node_id=text))
    bad.refuse("signature", "not a Submission: node_id")


@pytest.mark.parametrize("text", ["\uff11\uff12", " 12 ", "1_2", "+12", "12\n"])
def test_item_28_digits_that_only_a_lenient_parser_takes(bad, text):
    bad.submit()
    bad.forge_predicate(lambda predicate: predicate["files"][0].update(num_bytes=text))
    bad.refuse("signature", "files.0.num_bytes")


@pytest.mark.parametrize("text", ["r000\uff11", "r0_01", "r 001", "r0001\n", "r00001", "R0001"])
def test_item_28_a_round_that_only_a_lenient_parser_takes(text):
    with pytest.raises(RecordError, match="is not a round key"):
        parse_round_key(text)
    with pytest.raises(RecordError):
        parse_assignment_id(f"{text}.node-a.1")


# --- the drop folder


@pytest.mark.parametrize("kind", ["symlink", "pipe", "folder"])
def test_item_30_something_else_than_a_file(bad, tmp_path, kind):
    bad.submit()
    (bad.outbox / LOG).unlink()
    {
        "symlink": lambda path: path.symlink_to("/etc/passwd"),
        "pipe": os.mkfifo,
        "folder": lambda path: path.mkdir(),
    }[kind](bad.outbox / LOG)
    says = {"symlink": "a symbolic link", "pipe": "not a regular file", "folder": "a folder"}
    bad.refuse("files", f"{LOG} is {says[kind]}")


def test_item_30_a_hard_link_to_what_is_not_the_node_s(bad, tmp_path):
    """A hard link is a file like any other: what counts is that its content was signed."""
    bad.submit()
    (tmp_path / "secret").write_text("not the node's")
    (bad.outbox / LOG).unlink()
    os.link(tmp_path / "secret", bad.outbox / LOG)
    bad.refuse("files", "were declared")


def test_item_31_a_file_swapped_after_it_was_received(bad):
    bad.submit()
    bad.judge()
    (bad.outbox / UPDATE).write_bytes(b"another")
    kept = f"rounds/{ROUND}/submissions/{bad.order.assignment_id}/{UPDATE}"
    assert bad.desk.home.store.get_bytes(kept) != b"another"


def test_item_31_a_file_swapped_for_a_link_while_it_is_received(bad, desk, tmp_path):
    """Whichever comes first, the link is never followed."""
    bad.submit()
    secret = tmp_path / "secret"
    secret.write_text("root password")
    stop = threading.Event()

    def swap():
        honest = (bad.outbox / LOG).read_bytes()
        while not stop.is_set():
            (tmp_path / "link").unlink(missing_ok=True)
            (tmp_path / "link").symlink_to(secret)
            os.replace(tmp_path / "link", bad.outbox / LOG)
            (tmp_path / "file").write_bytes(honest)
            os.replace(tmp_path / "file", bad.outbox / LOG)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for attempt in range(40, 60):
            name = f"{ROUND}.node-race.{attempt}"
            try:
                folder = receive_submission(bad.outbox, desk.home.store, ROUND, name)
            except SubmissionError:
                continue
            path = folder / LOG
            assert not path.is_symlink()
            assert not path.exists() or path.read_bytes() != b"root password"
    finally:
        stop.set()
        swapper.join()


def test_item_32_a_file_that_still_grows(bad, desk):
    bad.submit()
    stop, begun = threading.Event(), threading.Event()
    whole = (bad.outbox / UPDATE).read_bytes()
    os.truncate(bad.outbox / UPDATE, 64 << 20)

    def grow():
        with (bad.outbox / UPDATE).open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"more")
                begun.set()

    writer = threading.Thread(target=grow)
    writer.start()
    begun.wait()
    try:
        with pytest.raises(SubmissionError, match="changed while it was received; try again"):
            bad.judge()
    finally:
        stop.set()
        writer.join()
    assert desk.keys_of(bad.order.assignment_id) == {"orders"}
    (bad.outbox / UPDATE).write_bytes(whole)  # complete at last: it is taken
    assert bad.judge().decision == "accepted"
    assert desk.home.store.has(accepted(bad.order))
