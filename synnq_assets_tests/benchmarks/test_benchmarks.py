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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_canary_is_found_where_none_may_be():
    command = ["synnq_assets_tests.benchmarks.canaries", "--canaries", "400"]
    result = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=880
    )
    figures = json.loads(result.stdout)
    assert {name: place["canaries"] for name, place in figures["found"].items()} == dict.fromkeys(
        ("store", "accepted_submission", "audit_database", "tiles", "dagster", "progress"), 0
    )
    assert all(place["bytes"] > 0 for place in figures["found"].values())
    # The search finds them where they are, and all that was planted got as far as it could.
    assert all(place["canaries"] > 0 for place in figures["by_design"].values())
    assert figures["by_design"]["corpora"]["canaries"] == 400
    assert figures["captured_logs"] > 0
    assert figures["both_logs_agree"]
    verdicts = figures["verdicts"]
    accepted = sorted(name for name, reasons in verdicts.items() if reasons == ["accepted"])
    assert accepted == ["r0001.node-east.1", "r0001.node-east.11"]  # stray files stay behind
    assert len(verdicts) == 11
    kinds = [reason.split(": ")[2].split("@")[0] for reason in figures["failed_jobs"].values()]
    assert sorted(kinds) == [
        "KeyError",
        "RuntimeError",
        "TrainingError",
        "no code; see its own log",
    ]
    assert result.returncode == 0
