import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_comparison_with_a_central_trainer_prints_one_object_and_learns():
    command = ["synnq_assets_tests.benchmarks.federated_vs_central", "--recipe", "smoke"]
    result = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=280
    )
    assert result.returncode == 0, result.stderr[-2000:]
    figures = json.loads(result.stdout)
    losses = figures["federated_loss_per_round"]
    assert losses[-1] < losses[0]
    assert figures["central_loss"] < losses[0]
    assert figures["accepted_per_round"] == [4, 4]
