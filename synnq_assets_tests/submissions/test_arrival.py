import os

import pytest

from synnq_assets.errors import (
    ObjectConflictError,
    ObjectNotFoundError,
    StorageError,
    SubmissionError,
)
from synnq_assets.records.base import parse_strict_json
from synnq_assets.storage import FolderStore
from synnq_assets.storage.files import hash_file
from synnq_assets.submissions import promote_submission, receive_submission

from .makers import ASSIGNMENT

ROUND = "r0002"
NAMES = ["diagnostics.parquet", "submission.json", "training_log.parquet", "update.safetensors"]


def make_outbox(tmp_path):
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    for name in NAMES:
        (outbox / name).write_bytes(name.encode() * 100)
    return outbox


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def arrival(folder):
    return parse_strict_json((folder / "arrival.json").read_bytes())


def hidden(store):
    """Files left under construction."""
    return [path for path in (store.root / ".building").rglob("*") if path.is_file()]


def test_a_submission_arrives_whole_in_quarantine(tmp_path):
    outbox, store = make_outbox(tmp_path), FolderStore(tmp_path / "store")
    folder = receive_submission(outbox, store, ROUND, ASSIGNMENT)
    assert folder == tmp_path / "store" / "quarantine" / ROUND / ASSIGNMENT
    assert listed(folder) == sorted([*NAMES, "arrival.json"])
    assert arrival(folder)["left_behind"] == {}
    assert all((folder / n).read_bytes() == (outbox / n).read_bytes() for n in NAMES)
    assert hidden(store) == []


def test_receiving_again_changes_nothing(tmp_path):
    outbox, store = make_outbox(tmp_path), FolderStore(tmp_path / "store")
    folder = receive_submission(outbox, store, ROUND, ASSIGNMENT)
    before = {name: hash_file(folder / name) for name in listed(folder)}
    assert receive_submission(outbox, store, ROUND, ASSIGNMENT) == folder
    assert {name: hash_file(folder / name) for name in listed(folder)} == before


def test_a_second_submission_for_an_assignment_is_refused(tmp_path):
    outbox, store = make_outbox(tmp_path), FolderStore(tmp_path / "store")
    folder = receive_submission(outbox, store, ROUND, ASSIGNMENT)
    (outbox / "submission.json").write_bytes(b"a second thought")
    with pytest.raises(ObjectConflictError, match="the first one counts"):
        receive_submission(outbox, store, ROUND, ASSIGNMENT)
    assert (folder / "submission.json").read_bytes() == b"submission.json" * 100


@pytest.mark.timeout(20)
def test_only_regular_files_of_the_expected_names_are_taken(tmp_path):
    outbox, store = make_outbox(tmp_path), FolderStore(tmp_path / "store")
    secret = tmp_path / "secret"
    secret.write_text("root password")
    (outbox / "update.safetensors").unlink()
    (outbox / "update.safetensors").symlink_to(secret)
    (outbox / "training_log.parquet").unlink()
    os.mkfifo(outbox / "training_log.parquet")
    (outbox / "diagnostics.parquet").unlink()
    (outbox / "diagnostics.parquet").mkdir()
    (outbox / "slurm-42.out").write_text("log")
    (outbox / "Secret\nName").write_text("x")
    folder = receive_submission(outbox, store, ROUND, ASSIGNMENT)
    assert listed(folder) == ["arrival.json", "submission.json"]
    assert arrival(folder)["left_behind"] == {
        "update.safetensors": "is a symbolic link",
        "training_log.parquet": "is not a regular file",
        "diagnostics.parquet": "is a folder",
        "(others)": "2 that are not part of a submission",
    }


def test_a_sparse_giant_is_left_behind_unread(tmp_path):
    outbox, store = make_outbox(tmp_path), FolderStore(tmp_path / "store")
    os.truncate(outbox / "update.safetensors", 1 << 40)
    os.truncate(outbox / "diagnostics.parquet", 1 << 40)
    folder = receive_submission(outbox, store, ROUND, ASSIGNMENT)
    assert listed(folder) == ["arrival.json", "submission.json", "training_log.parquet"]
    assert set(arrival(folder)["left_behind"].values()) == {
        "has 1099511627776 bytes; at most 80000000000 are taken",
        "has 1099511627776 bytes; at most 67108864 are taken",
    }


def test_a_smaller_limit_holds(tmp_path):
    outbox, store = make_outbox(tmp_path), FolderStore(tmp_path / "store")
    folder = receive_submission(outbox, store, ROUND, ASSIGNMENT, max_update_bytes=99)
    assert "update.safetensors" not in listed(folder)


def test_what_was_left_behind_is_the_reason_of_the_verdict(world, tmp_path):
    outbox = world.submit(tmp_path / "outbox")
    (outbox / "update.safetensors").rename(tmp_path / "elsewhere")
    (outbox / "update.safetensors").symlink_to(tmp_path / "elsewhere")
    (outbox / "slurm-42.out").write_text("log")
    folder = receive_submission(outbox, FolderStore(tmp_path / "store"), ROUND, ASSIGNMENT)
    verdict = world.judge(folder)
    files = {check.name: check for check in verdict.checks}["files"]
    assert files.reason == "update.safetensors is a symbolic link"
    assert files.figures["num_left_behind"] == 2


def test_a_stray_file_in_the_outbox_costs_an_honest_node_nothing(world, tmp_path):
    outbox = world.submit(tmp_path / "outbox")
    (outbox / "slurm-42.out").write_text("log")
    (outbox / "arrival.json").write_text('{"left_behind": "forged"}')
    folder = receive_submission(outbox, FolderStore(tmp_path / "store"), ROUND, ASSIGNMENT)
    assert world.judge(folder).decision == "accepted"


class FullStore(FolderStore):
    """A store whose disk is full after some files."""

    def __init__(self, root, *, room):
        super().__init__(root)
        self.room = room

    def put_file(self, key, path):
        if self.room == 0:
            raise StorageError("disk full")
        self.room -= 1
        super().put_file(key, path)


@pytest.mark.parametrize("room", range(4))
def test_an_interrupted_arrival_does_not_count_and_is_completed_later(tmp_path, room):
    outbox = make_outbox(tmp_path)
    with pytest.raises(StorageError, match="disk full"):
        receive_submission(outbox, FullStore(tmp_path / "store", room=room), ROUND, ASSIGNMENT)
    store = FolderStore(tmp_path / "store")
    assert not store.has(f"quarantine/{ROUND}/{ASSIGNMENT}/arrival.json")
    folder = receive_submission(outbox, store, ROUND, ASSIGNMENT)
    assert listed(folder) == sorted([*NAMES, "arrival.json"])


@pytest.mark.parametrize(
    ("round_key", "assignment_id"),
    [("r0001", ASSIGNMENT), ("../..", ASSIGNMENT), (ROUND, "../../etc"), (ROUND, "r0002.A.1")],
)
def test_ids_that_do_not_fit_are_refused(tmp_path, round_key, assignment_id):
    store = FolderStore(tmp_path / "store")
    with pytest.raises(SubmissionError):
        receive_submission(make_outbox(tmp_path), store, round_key, assignment_id)
    with pytest.raises(SubmissionError):
        promote_submission(store, round_key, assignment_id)


def test_an_outbox_that_is_missing_or_a_link_is_refused(tmp_path):
    store = FolderStore(tmp_path / "store")
    with pytest.raises(SubmissionError, match="no outbox folder"):
        receive_submission(tmp_path / "none", store, ROUND, ASSIGNMENT)
    (tmp_path / "link").symlink_to(make_outbox(tmp_path))
    with pytest.raises(SubmissionError, match="no outbox folder"):
        receive_submission(tmp_path / "link", store, ROUND, ASSIGNMENT)


def test_an_empty_outbox_arrives_as_an_empty_submission(tmp_path):
    (tmp_path / "outbox").mkdir()
    store = FolderStore(tmp_path / "store")
    folder = receive_submission(tmp_path / "outbox", store, ROUND, ASSIGNMENT)
    assert listed(folder) == ["arrival.json"]


# --- promotion


def test_an_accepted_submission_stands_under_its_round_and_stays_in_quarantine(tmp_path):
    store = FolderStore(tmp_path / "store")
    quarantine = receive_submission(make_outbox(tmp_path), store, ROUND, ASSIGNMENT)
    folder = promote_submission(store, ROUND, ASSIGNMENT)
    assert folder == tmp_path / "store" / "rounds" / ROUND / "submissions" / ASSIGNMENT
    assert listed(folder) == NAMES
    assert listed(quarantine) == sorted([*NAMES, "arrival.json"])
    for name in NAMES:
        assert (folder / name).samefile(quarantine / name)  # shared, not copied
    assert promote_submission(store, ROUND, ASSIGNMENT) == folder
    assert hidden(store) == []


def test_a_store_without_hard_links_copies(tmp_path, monkeypatch):
    store = FolderStore(tmp_path / "store")
    quarantine = receive_submission(make_outbox(tmp_path), store, ROUND, ASSIGNMENT)

    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    folder = promote_submission(store, ROUND, ASSIGNMENT)
    assert all((folder / n).read_bytes() == (quarantine / n).read_bytes() for n in NAMES)


def test_an_interrupted_promotion_does_not_count_and_is_completed_later(tmp_path):
    store = FolderStore(tmp_path / "store")
    receive_submission(make_outbox(tmp_path), store, ROUND, ASSIGNMENT)
    with pytest.raises(StorageError):
        promote_submission(FullStore(tmp_path / "store", room=3), ROUND, ASSIGNMENT)
    assert not store.has(f"rounds/{ROUND}/submissions/{ASSIGNMENT}/submission.json")
    assert listed(promote_submission(store, ROUND, ASSIGNMENT)) == NAMES


def test_what_is_not_in_quarantine_cannot_be_promoted(tmp_path):
    with pytest.raises(ObjectNotFoundError):
        promote_submission(FolderStore(tmp_path / "store"), ROUND, ASSIGNMENT)
