"""Copies, locks, and what the store lets nobody write to."""

import os
import resource
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from synnq_assets.errors import StorageError
from synnq_assets.storage import FolderStore, TensorFile, TensorWriter
from synnq_assets.storage.files import copy_file, hash_file, hold_lock


def test_a_copy_shares_nothing_with_its_source(tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"x" * 3_000_000)
    source.chmod(0o444)
    copy_file(source, copy)
    assert hash_file(copy) == hash_file(source)
    assert not copy.samefile(source)
    with copy.open("r+b") as file:
        file.write(b"changed")
    assert source.read_bytes() == b"x" * 3_000_000
    with pytest.raises(FileExistsError):
        copy_file(source, copy)


def test_a_blob_is_read_only_however_it_came(tmp_path):
    store = FolderStore(tmp_path / "store")
    (tmp_path / "outside").write_bytes(b"1")
    built = store.reserve("c/built")
    built.write_bytes(b"2")
    store.put_bytes("a/bytes", b"0")
    store.put_file("b/outside", tmp_path / "outside")
    store.put_file("c/built", built)
    for key in ("a/bytes", "b/outside", "c/built"):
        assert store.local_path(key).stat().st_mode & 0o777 == 0o444
    assert os.access(tmp_path / "outside", os.W_OK)


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    inside, most = 0, 0

    def enter():
        nonlocal inside, most
        with hold_lock(tmp_path / "locks" / "one"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_a_holder_that_is_killed_lets_go(tmp_path):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from synnq_assets.storage.files import hold_lock\n"
        "with hold_lock(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "lock"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    with hold_lock(path):
        assert path.exists()


def test_a_lock_that_cannot_be_created_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot open lock"), hold_lock(tmp_path / "file" / "x"):
        pass


def test_a_header_that_does_not_fit_is_a_typed_error_and_leaves_nothing(tmp_path):
    schema = {f"t{k:04}": ("F32", (1,)) for k in range(500)}  # a header of 30 kB
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with (
            pytest.raises(StorageError, match=r"cannot write .*m.safetensors: File too large"),
            TensorWriter(tmp_path / "m.safetensors", schema),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_of_an_open_file_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "m.safetensors"
    with TensorWriter(path, {"a": ("F32", (600_000,))}) as writer:
        writer.append("a", np.ones(600_000, np.float32))
    with TensorFile(path) as file:
        assert file.hash_content() == hash_file(path)[0]
