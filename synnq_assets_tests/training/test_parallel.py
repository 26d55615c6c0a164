"""The three parallelisms train the same model: same order, same losses, same weights."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from synnq_assets.modeling.models import read_weights
from synnq_assets.records.jobs import Progress
from synnq_assets.settings.base import Variant
from synnq_assets.training import run_order
from synnq_assets_tests.training.order_folder import OrderFolder, build_recipe, write_order_folder

pytestmark = pytest.mark.slow

VARIANTS: dict[str, dict[str, Any]] = {
    "fsdp2": {"name": "fsdp2"},
    "fsdp2-in-pieces": {
        "name": "fsdp2",
        "params": {"micro_batch_sequences": 3, "checkpoint_activations": True},
    },
    "deepspeed-2": {"name": "deepspeed"},
    "deepspeed-3": {"name": "deepspeed", "params": {"stage": 3, "micro_batch_sequences": 3}},
}


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_two_ranks(job: OrderFolder) -> "subprocess.Popen[str]":
    command = ["-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += [f"--master-port={find_free_port()}", "-m", "synnq_assets.training"]
    return subprocess.Popen(
        [sys.executable, *command, str(job.order_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "SYNNQ_NODE": str(job.node_path)},
        stderr=subprocess.PIPE,
        text=True,
    )


def run_two_ranks(job: OrderFolder) -> None:
    process = start_two_ranks(job)
    _, stderr = process.communicate(timeout=250)
    assert process.returncode == 0, stderr[-3000:]


def fail_to_answer(job: OrderFolder) -> list[float]:
    """Run all 8 steps on two ranks, checkpoint after 5, and fail to write the update.

    Returns the speeds of the first 5 steps; a second run that took its own would have others.
    """
    obstacle = job.root / "submission" / "update.safetensors"
    obstacle.mkdir(parents=True)
    process = start_two_ranks(job)
    process.communicate(timeout=250)
    assert process.returncode != 0
    report = Progress.parse((job.root / "progress.json").read_bytes())
    assert report.failure.startswith("StorageError@")
    assert [path.name for path in (job.root / "work").iterdir()] == ["step-00000005"]
    obstacle.rmdir()
    log = pq.read_table(job.root / "work" / "step-00000005" / "training_log.parquet")
    speeds: list[float] = log["tokens_per_second"].to_pylist()
    assert len(speeds) == 5
    return speeds


def write_job(root: Path, variant: dict[str, Any], **training: Any) -> OrderFolder:
    recipe = build_recipe(parallelism=variant, **training)
    return write_order_folder(root, recipe=recipe)


def read_log(job: OrderFolder) -> dict[str, list[Any]]:
    table = pq.read_table(job.root / "submission" / "training_log.parquet")
    result: dict[str, list[Any]] = table.to_pydict()
    return result


def assert_close(job: OrderFolder, reference: OrderFolder) -> None:
    log, expected = read_log(job), read_log(reference)
    for column in ("step", "epoch", "tokens", "learning_rate"):
        assert log[column] == expected[column]
    assert log["loss"] == pytest.approx(expected["loss"], abs=1e-5)
    assert log["gradient_norm"] == pytest.approx(expected["gradient_norm"], abs=1e-5)
    weights, others = (
        read_weights(j.root / "submission" / "update.safetensors") for j in (job, reference)
    )
    assert weights.keys() == others.keys()
    for name, update in weights.items():
        assert float((update - others[name]).norm() / others[name].norm()) < 0.01, name


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> OrderFolder:
    torch.set_num_threads(1)
    job = write_job(tmp_path_factory.mktemp("single"), {"name": "single"})
    run_order(job.order_path, job.node)
    return job


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_two_ranks_give_the_losses_of_one_process(
    name: str, single: OrderFolder, tmp_path: Path
) -> None:
    job = write_job(tmp_path, VARIANTS[name])
    run_two_ranks(job)
    assert_close(job, single)


@pytest.mark.parametrize("name", ["fsdp2", "deepspeed-2", "deepspeed-3"])
def test_two_ranks_go_on_after_a_failed_submission(
    name: str, single: OrderFolder, tmp_path: Path
) -> None:
    job = write_job(tmp_path, VARIANTS[name])
    speeds = fail_to_answer(job)
    run_two_ranks(job)
    assert read_log(job)["tokens_per_second"][:5] == speeds
    assert_close(job, single)


def test_one_process_finishes_what_two_fsdp2_ranks_began(
    single: OrderFolder, tmp_path: Path
) -> None:
    job = write_job(tmp_path, VARIANTS["fsdp2"])
    speeds = fail_to_answer(job)
    run_order(job.order_path, job.node)
    assert read_log(job)["tokens_per_second"][:5] == speeds
    assert_close(job, single)


def test_a_signal_to_torchrun_checkpoints_both_ranks(tmp_path: Path) -> None:
    training = {"report_every_seconds": 0.01, "checkpoint_every_steps": 1000}
    recipe = build_recipe(parallelism=VARIANTS["fsdp2"], **training)
    job = write_order_folder(tmp_path, recipe=recipe, num_tokens=(60_000,))
    process = start_two_ranks(job)
    progress = job.root / "progress.json"
    while not (progress.exists() and Progress.parse(progress.read_bytes()).step > 0):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    process.communicate(timeout=60)
    report = Progress.parse(progress.read_bytes())
    assert report.phase == "checkpointed"
    assert len(list((job.root / "work").glob("step-*"))) == 1


def test_a_world_of_two_is_refused_by_the_single_process(tmp_path: Path) -> None:
    job = write_job(tmp_path, {"name": "single"})
    process = start_two_ranks(job)
    _, stderr = process.communicate(timeout=250)
    assert process.returncode != 0
    assert "synnq: SettingsError@" in stderr
    logs = [path.read_text() for path in (job.node_path.parent / "logs").iterdir()]
    assert any("parallelism 'single' was started with 2 processes" in log for log in logs)


def test_a_node_may_choose_its_own_parallelism(single: OrderFolder, tmp_path: Path) -> None:
    job = write_job(tmp_path, {"name": "single"})
    node = job.node.model_copy(update={"parallelism": Variant(name="fsdp2")})
    run_order(job.order_path, node)
    assert_close(job, single)
