"""What a stranger may put into an outbox: each thing is left behind with its reason, soon."""

import os
import socket
import stat
import threading
import time
import tracemalloc

import pytest

from synnq_assets.errors import ObjectConflictError, SubmissionError
from synnq_assets.storage import FolderStore
from synnq_assets.submissions import receive_submission

from .makers import ASSIGNMENT
from .test_arrival import NAMES, ROUND, arrival, hidden, listed, make_outbox

UPDATE = "update.safetensors"
pytestmark = pytest.mark.timeout(20)


def receive(tmp_path, outbox):
    return receive_submission(outbox, FolderStore(tmp_path / "store"), ROUND, ASSIGNMENT)


def left_behind(tmp_path, outbox):
    return arrival(receive(tmp_path, outbox))["left_behind"]


def test_ten_thousand_strangers_are_counted_and_a_few_of_them_named(tmp_path):
    outbox = make_outbox(tmp_path)
    for number in range(10_500):
        os.mknod(outbox / f"stray-{number:05}-{'x' * 200}")
    tracemalloc.start()
    began = time.monotonic()
    folder = receive(tmp_path, outbox)
    seconds, (_, peak_bytes) = time.monotonic() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert listed(folder) == sorted([*NAMES, "arrival.json"])
    note = arrival(folder)["left_behind"]
    assert note.pop("(others)").startswith("at least 99")
    assert not note
    assert (folder / "arrival.json").stat().st_size < 5_000
    assert seconds < 5
    assert peak_bytes < 20 << 20


def test_strangers_are_counted_and_not_named(tmp_path):
    outbox = make_outbox(tmp_path)
    for number in range(17):
        (outbox / f"stray-{number:02}").touch()
    assert left_behind(tmp_path, outbox) == {"(others)": "17 that are not part of a submission"}


def test_a_pipe_is_left_behind_without_waiting_for_a_writer(tmp_path):
    outbox = make_outbox(tmp_path)
    (outbox / UPDATE).unlink()
    os.mkfifo(outbox / UPDATE)
    assert left_behind(tmp_path, outbox) == {UPDATE: "is not a regular file"}


def test_a_socket_is_left_behind(tmp_path, monkeypatch):
    outbox = make_outbox(tmp_path)
    (outbox / UPDATE).unlink()
    monkeypatch.chdir(outbox)  # the path of a socket has at most 108 characters
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(UPDATE)
        assert left_behind(tmp_path, outbox) == {UPDATE: "is not a regular file"}


def test_a_device_is_left_behind_unread(tmp_path):
    outbox = make_outbox(tmp_path)
    (outbox / UPDATE).unlink()
    try:
        os.mknod(outbox / UPDATE, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # as /dev/zero
    except PermissionError:
        pytest.skip("only root may create a device")
    assert left_behind(tmp_path, outbox) == {UPDATE: "is not a regular file"}


def test_a_file_that_grows_while_it_is_copied_is_refused_and_leaves_nothing(tmp_path):
    outbox = make_outbox(tmp_path)
    os.truncate(outbox / UPDATE, 64 << 20)
    stop, begun = threading.Event(), threading.Event()

    def grow():
        with (outbox / UPDATE).open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"more")
                begun.set()

    writer = threading.Thread(target=grow)
    writer.start()
    begun.wait()
    try:
        with pytest.raises(SubmissionError, match="changed while it was received; try again"):
            receive(tmp_path, outbox)
    finally:
        stop.set()
        writer.join()
    store = FolderStore(tmp_path / "store")
    assert list(store.iter_keys("quarantine")) == []
    assert UPDATE not in [path.name for path in hidden(store)]
    assert listed(receive(tmp_path, outbox)) == sorted([*NAMES, "arrival.json"])


@pytest.mark.parametrize("offered", ["pipe", "terabyte"])
def test_offering_something_endless_again_changes_nothing(tmp_path, offered):
    outbox = make_outbox(tmp_path)
    folder = receive(tmp_path, outbox)
    (outbox / "submission.json").unlink()
    if offered == "pipe":
        os.mkfifo(outbox / "submission.json")
    else:
        (outbox / "submission.json").touch()
        os.truncate(outbox / "submission.json", 1 << 40)
    assert receive(tmp_path, outbox) == folder
    assert (folder / "submission.json").read_bytes() == b"submission.json" * 100


def test_a_refused_second_submission_leaves_no_copy_of_itself(tmp_path):
    outbox = make_outbox(tmp_path)
    receive(tmp_path, outbox)
    (outbox / "submission.json").write_bytes(b"a second thought")
    with pytest.raises(ObjectConflictError, match="the first one counts"):
        receive(tmp_path, outbox)
    assert hidden(FolderStore(tmp_path / "store")) == []
