"""Interrupted, killed or out of disk: the order goes on, and ends with the same weights."""

import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from synnq_assets.errors import RecordError, TrainingError
from synnq_assets.records.jobs import Progress
from synnq_assets.training import RequeueError, run_order
from synnq_assets_tests.training.order_folder import OrderFolder, build_recipe, write_order_folder

RECIPE = build_recipe(checkpoint_every_steps=10, report_every_seconds=0.001)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> OrderFolder:
    job = write_order_folder(
        tmp_path_factory.mktemp("uninterrupted"), recipe=RECIPE, num_tokens=(9000, 1000)
    )
    run_order(job.order_path, job.node)
    return job


@pytest.fixture
def job(uninterrupted: OrderFolder, tmp_path: Path) -> OrderFolder:
    """The same order, not yet run."""
    ignore = shutil.ignore_patterns("submission", "progress.json")
    shutil.copytree(uninterrupted.root, tmp_path / "job", ignore=ignore)
    return OrderFolder(
        tmp_path / "job",
        uninterrupted.order,
        uninterrupted.recipe,
        uninterrupted.coordinator,
        uninterrupted.signing_key,
        uninterrupted.sealing_key,
        uninterrupted.node_path,
    )


@contextmanager
def signal_at_step(job: OrderFolder, step: int, number: signal.Signals) -> Iterator[None]:
    """Send this process a signal once the progress file has reached a step."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.001):
            with suppress(OSError, RecordError):
                if Progress.parse((job.root / "progress.json").read_bytes()).step >= step:
                    os.kill(os.getpid(), number)
                    return

    before = signal.signal(number, signal.SIG_IGN)  # a signal that comes late must not end pytest
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        time.sleep(0.01)
        signal.signal(number, before)


def read_speeds(path: Path) -> list[float]:
    speeds: list[float] = pq.read_table(path)["tokens_per_second"].to_pylist()
    return speeds


def assert_same_result(job: OrderFolder, other: OrderFolder) -> None:
    logs = []
    for root in (job.root, other.root):
        log = pq.read_table(root / "submission" / "training_log.parquet")
        logs.append(log.drop_columns(["tokens_per_second"]))
    assert logs[0].equals(logs[1])
    updates = [(o.root / "submission" / "update.safetensors").read_bytes() for o in (job, other)]
    assert updates[0] == updates[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signalled_job_checkpoints_and_ends_with_the_same_weights(
    job: OrderFolder, uninterrupted: OrderFolder, number: signal.Signals
) -> None:
    with (
        signal_at_step(job, 13, number),
        pytest.raises(RequeueError, match=r"checkpointed at step \d+ of"),
    ):
        run_order(job.order_path, job.node)
    checkpoints = list((job.root / "work").iterdir())
    assert len(checkpoints) == 1
    step = int(checkpoints[0].name.removeprefix("step-"))
    assert step >= 13
    report = Progress.parse((job.root / "progress.json").read_bytes())
    assert report.phase == "checkpointed"
    speeds = read_speeds(checkpoints[0] / "training_log.parquet")
    run_order(job.order_path, job.node)
    assert_same_result(job, uninterrupted)
    # The first steps were not taken again: their speeds are those of the first attempt.
    assert read_speeds(job.root / "submission" / "training_log.parquet")[:step] == speeds
    assert not (job.root / "work").exists()


def test_a_checkpoint_of_another_order_is_not_resumed(
    job: OrderFolder, uninterrupted: OrderFolder
) -> None:
    with signal_at_step(job, 3, signal.SIGTERM), pytest.raises(RequeueError):
        run_order(job.order_path, job.node)
    job.sign_order(nonce="6" * 64)  # everything else is the same, so the result must be as well
    run_order(job.order_path, job.node)
    assert_same_result(job, uninterrupted)


def test_a_damaged_checkpoint_is_named(job: OrderFolder) -> None:
    with signal_at_step(job, 3, signal.SIGTERM), pytest.raises(RequeueError):
        run_order(job.order_path, job.node)
    (path,) = (job.root / "work").glob("step-*/strategy/state.pt")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        TrainingError, match=r"is damaged .*; remove .*work to start this order anew"
    ):
        run_order(job.order_path, job.node)


def test_a_file_size_limit_leaves_the_last_checkpoint_intact(
    job: OrderFolder, uninterrupted: OrderFolder
) -> None:
    with signal_at_step(job, 13, signal.SIGTERM), pytest.raises(RequeueError):
        run_order(job.order_path, job.node)
    (checkpoint,) = (job.root / "work").iterdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(TrainingError, match="cannot write a checkpoint at step 20"):
            run_order(job.order_path, job.node)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((job.root / "work").iterdir()) == [checkpoint]
    run_order(job.order_path, job.node)
    assert_same_result(job, uninterrupted)


def test_a_full_disk_leaves_the_last_checkpoint_intact(
    job: OrderFolder, uninterrupted: OrderFolder
) -> None:
    work = job.root / "work"
    work.mkdir()
    # A checkpoint has about 1.5 MB: one fits, a second one beside it does not.
    command = ["mount", "-t", "tmpfs", "-o", "size=2200k", "none", str(work)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(TrainingError, match=r"step 20 .*; the one before is intact: make room"):
            run_order(job.order_path, job.node)
        assert [path.name for path in work.iterdir()] == ["step-00000010"]
        report = Progress.parse((job.root / "progress.json").read_bytes())
        assert report.failure.startswith("TrainingError@")
        subprocess.run(["mount", "-o", "remount,size=20m", str(work)], check=True)
        run_order(job.order_path, job.node)
        assert_same_result(job, uninterrupted)
    finally:
        subprocess.run(["umount", str(work)], check=True)
