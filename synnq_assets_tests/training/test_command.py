"""The command as a batch script calls it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synnq_assets.errors import SettingsError
from synnq_assets.privacy.failures import explain_place
from synnq_assets.records.jobs import Progress
from synnq_assets.settings.node import Launch, read_launch
from synnq_assets.training.__main__ import main
from synnq_assets.trust import SigningKey
from synnq_assets_tests.training.order_folder import OrderFolder, build_recipe, write_order_folder

WITHOUT_DAGSTER = """
import runpy, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].startswith("dagster"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
import synnq_assets.training.__main__
assert "torch" not in sys.modules, "importing the payload's command imports torch"
sys.exit(synnq_assets.training.__main__.main(sys.argv[1:]))
"""


def run_python(*argv: str, node: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "SYNNQ_NODE"}
    environment |= {"OMP_NUM_THREADS": "1"} | ({"SYNNQ_NODE": str(node)} if node else {})
    return subprocess.run(
        [sys.executable, *argv], env=environment, capture_output=True, text=True, timeout=200
    )


def test_the_payload_runs_where_dagster_does_not_exist(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, num_tokens=(40,))
    result = run_python("-c", WITHOUT_DAGSTER, str(job.order_path), node=job.node_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert (job.root / "submission" / "submission.json").is_file()


def test_an_operators_mistake_is_one_code_and_exit_code_2(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, num_tokens=(40,))
    job.sign_order(SigningKey.generate())
    result = run_python(
        "-m", "synnq_assets.training", str(job.order_path), "--node", str(job.node_path)
    )
    assert result.returncode == 2
    assert re.fullmatch(r"synnq: OrderError@[0-9a-f]{12}\n", result.stderr)
    (place,) = explain_place(result.stderr.strip().partition("@")[2])
    assert place.startswith("synnq_assets.training.")
    (log,) = (job.node_path.parent / "logs").iterdir()
    assert "OrderError: the order is not signed by the coordinator" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_without_a_node_file_the_command_says_how_to_give_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("SYNNQ_NODE", raising=False)
    monkeypatch.setenv("SYNNQ_NODE_LOGS", str(tmp_path))
    assert main(["order.json"]) == 2
    assert capsys.readouterr().err.startswith("synnq: SettingsError@")
    (log,) = tmp_path.iterdir()
    assert "which node is this? Give --node NODE.yaml or set SYNNQ_NODE" in log.read_text()


def wait_for_step(job: OrderFolder, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(6000):
        assert process.poll() is None, "the payload ended before it was interrupted"
        path = job.root / "progress.json"
        if path.exists() and Progress.parse(path.read_bytes()).step > 0:
            return
        time.sleep(0.01)
    raise AssertionError("the payload made no step")


@pytest.mark.slow
def test_sigterm_ends_with_exit_code_75(tmp_path: Path) -> None:
    recipe = build_recipe(report_every_seconds=0.01)
    job = write_order_folder(tmp_path, recipe=recipe, num_tokens=(60_000,))
    process = subprocess.Popen(
        [sys.executable, "-m", "synnq_assets.training", str(job.order_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "SYNNQ_NODE": str(job.node_path)},
        stderr=subprocess.PIPE,
    )
    wait_for_step(job, process)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75
    assert stderr.startswith(b"synnq: RequeueError@")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "rank 2 .* outside a world of 2"),
        ({"RANK": "-1", "LOCAL_RANK": "-1"}, "rank -1"),
        ({"WORLD_SIZE": "two"}, "must be integers"),
    ],
)
def test_a_launch_that_cannot_be_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_launch(environment)


def test_a_launch_is_read_as_torchrun_sets_it() -> None:
    assert read_launch({}) == Launch(0, 0, 1)
    environment = {"RANK": "9", "LOCAL_RANK": "1", "WORLD_SIZE": "16"}
    assert read_launch(environment) == Launch(rank=9, local_rank=1, world_size=16)
