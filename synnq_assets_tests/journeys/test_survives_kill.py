"""SIGKILL of daemon, web server, code servers and run workers in the middle of a round."""

import os
import signal
import time
from dataclasses import dataclass, field

import dagster as dg
import psutil
import pyarrow.parquet as pq
import pytest

from synnq_assets.cli.services import Services
from synnq_assets.compute import find_last_attempt, read_progress
from synnq_assets.defs.reaping import find_worker
from synnq_assets.defs.trust import compare_with_events
from synnq_assets.records.submissions import Submission
from synnq_assets.trust import Home
from synnq_assets.trust.envelopes import peek_record
from synnq_assets_tests.journeys.running import (
    campaign_environment,
    create_campaign,
    finish_campaign,
    list_materializations,
    list_runs,
    open_instance,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
ROUNDS = pytest.mark.parametrize(
    "round_key",
    [
        pytest.param("r0001", id="while submitting"),
        pytest.param("r0002", id="while training"),
    ],
)


@dataclass
class Journey:
    """One campaign that was killed once in each of its rounds, and what was seen then."""

    home: Home
    stranded: dict[str, list[str]] = field(default_factory=dict)  # round -> runs without process
    pids: dict[str, str] = field(default_factory=dict)  # job -> process, at the kill


def list_job_dirs(home: Home, round_key: str):
    return sorted(path.parent for path in home.path.glob(f"jobs/{round_key}.*/run.1"))


def is_submitting(home: Home) -> bool:
    """A first job has begun; its handle is not written yet, or only just."""
    return bool(list_job_dirs(home, "r0001"))


def is_training(home: Home) -> bool:
    reports = (read_progress(job_dir) for job_dir in list_job_dirs(home, "r0002"))
    return any(report is not None and report.phase == "training" for report in reports)


def kill_services(services: Services) -> int:
    """Kill all that daemon and web server started; jobs are in sessions of their own."""
    sessions = {child.pid for child in services.children.values()}
    num_killed = 0
    while True:
        alive = 0
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) in sessions and process.status() != "zombie":
                    os.kill(process.pid, signal.SIGKILL)
                    alive += 1
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        num_killed += alive
        if not alive:
            break
        time.sleep(0.05)
    for child in services.children.values():
        child.wait()
    return num_killed


def await_jobs(home: Home, round_key: str) -> None:
    """Jobs outlive their submitter: wait until those that had begun ended by themselves."""
    deadline = time.monotonic() + 600
    while any(not find_last_attempt(path).find_exit() for path in list_job_dirs(home, round_key)):
        assert time.monotonic() < deadline, "a job did not end"
        time.sleep(0.2)


def run_until_killed(journey: Journey, round_key: str, condition) -> None:
    home = journey.home
    services = Services(home, port=0)
    services.__enter__()
    try:
        wait_until(lambda: condition(home), services, look_seconds=0.005)
    except BaseException:
        services.stop()
        raise
    assert kill_services(services) >= 4  # daemon, web server, a code server each
    with open_instance(home) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
        journey.stranded[round_key] = [run.run_id for run in runs]
    await_jobs(home, round_key)
    for job_dir in list_job_dirs(home, round_key):
        journey.pids[job_dir.name] = (job_dir / "run.1" / "pid").read_text()


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    path = tmp_path_factory.mktemp("killed") / "home"
    with campaign_environment():
        journey = Journey(create_campaign(path))
        run_until_killed(journey, "r0001", is_submitting)
        run_until_killed(journey, "r0002", is_training)
        with Services(journey.home, port=0) as services:
            finish_campaign(journey.home, services)
    return journey


@ROUNDS
def test_every_submission_is_collected_once(journey, round_key):
    campaign = journey.home.campaign
    orders = campaign.list_orders(round_key)
    assert len(orders) == 4
    with open_instance(journey.home) as instance:
        for order in orders:
            runs = list_runs(instance, f"collect:{order.assignment_id}")
            assert runs.count(dg.DagsterRunStatus.SUCCESS) == 1
            partition_key = f"{round_key}|{order.node_id}"
            assert len(list_materializations(instance, "verified_submission", partition_key)) == 1
            verdict = campaign.find_verdict(order.assignment_id)
            assert verdict is not None
            assert verdict.decision == "accepted"


@ROUNDS
def test_every_round_is_aggregated_once_from_all_its_submissions(journey, round_key):
    campaign = journey.home.campaign
    with open_instance(journey.home) as instance:
        assert list_runs(instance, f"aggregate:{round_key}") == [dg.DagsterRunStatus.SUCCESS]
        assert len(list_materializations(instance, "global_checkpoint", round_key)) == 1
    contributions = campaign.find_checkpoint(round_key).contributions
    ordered = [order.assignment_id for order in campaign.list_orders(round_key)]
    assert sorted(item.assignment_id for item in contributions) == sorted(ordered)


@ROUNDS
def test_every_job_ran_once(journey, round_key):
    seen = 0
    for order in journey.home.campaign.list_orders(round_key):
        job_dir = journey.home.path / "jobs" / order.assignment_id
        assert (job_dir / "run.1" / "exit_code").read_text().strip() == "0"
        assert find_last_attempt(job_dir).number == 1
        log = pq.read_table(job_dir / "submission" / "training_log.parquet")
        steps = log["step"].to_pylist()
        assert steps == sorted(set(steps))  # a row for each window of steps, none of them twice
        answer = peek_record((job_dir / "submission" / "submission.json").read_bytes(), Submission)
        assert sum(log["num_steps"].to_pylist()) == answer.metrics.num_steps
        if order.assignment_id in journey.pids:
            seen += 1
            assert (job_dir / "run.1" / "pid").read_text() == journey.pids[order.assignment_id]
    assert seen >= 1
    assert not list((journey.home.path / "jobs").glob(f"{round_key}.*.2"))


def test_runs_without_a_process_are_closed_and_say_why(journey):
    assert journey.stranded["r0001"]  # the run that had just started the first job
    with open_instance(journey.home) as instance:
        for run_id in [run_id for runs in journey.stranded.values() for run_id in runs]:
            run = instance.get_run_by_id(run_id)
            assert run.status == dg.DagsterRunStatus.FAILURE
            failures = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
            assert "the run's process is gone" in failures[-1].message
        assert not instance.get_runs_count(dg.RunsFilter(statuses=UNDER_WAY))
        closed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        assert {run.run_id for run in closed} == {
            r for ids in journey.stranded.values() for r in ids
        }


def test_the_runs_logged_their_process(journey):
    """What the reaping reads is Dagster's own message; a new version may word it otherwise."""
    with open_instance(journey.home) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        assert runs
        assert all(find_worker(instance, run.run_id) is not None for run in runs)


def test_the_audit_log_is_whole_and_agrees_with_dagster(journey):
    home = journey.home
    home.audit.verify(home.log_verifier)
    with open_instance(home) as instance:
        assert compare_with_events(home, instance) == []
