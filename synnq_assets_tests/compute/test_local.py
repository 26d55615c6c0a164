"""What is particular to processes on this machine: pids, signals, time limits, starting again."""

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from synnq_assets.compute import LocalBackend, find_last_attempt, suspend_jobs
from synnq_assets.compute import local as local_module
from synnq_assets.federation import find_lost_reason
from synnq_assets.records.base import now_at
from synnq_assets_tests.compute.test_backend_contract import stage, wait_for

BACKEND = LocalBackend()
COUNTING = (  # saves where it is on SIGTERM, and ends at its second start
    "echo start >> work/starts; [ -e work/state ] && exit 0; "
    'trap "echo saved > work/state; exit 75" TERM; touch work/ready; while :; do sleep 0.05; done'
)


def submit(tmp_path, script, **options):
    return BACKEND.submit(stage(tmp_path, "sh", "-c", script, **options))


def await_file(path: Path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def list_session(pid: int):
    """Return the processes of a session that still run."""
    alive = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == pid and process.status() != "zombie":
                alive.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return alive


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (255, "exit code 255: OrderError@0123456789ab"),
        (200, "exit code 200: OrderError@0123456789ab"),
        (137, "ended by SIGKILL"),
        (124, "exit code 124: OrderError@0123456789ab"),  # not at the time limit
    ],
)
def test_any_exit_code_is_described(tmp_path, code, reason):
    handle = submit(tmp_path, f"echo synnq: OrderError@0123456789ab >&2; exit {code}")
    status = wait_for(BACKEND, handle, "failed")
    assert (status.exit_code, status.reason) == (code, reason)


def test_one_damaged_folder_stops_no_other(tmp_path):
    good = submit(tmp_path / "good", "true")
    bad = submit(tmp_path / "bad", "true").model_copy(update={"assignment_id": "r0001.node-b.1"})
    wait_for(BACKEND, bad, "succeeded")
    (Path(bad.job_dir) / "run.1" / "exit_code").write_text("one")
    wait_for(BACKEND, good, "succeeded")
    statuses = BACKEND.poll([bad, good])
    assert statuses[bad.assignment_id].state == "unknown"
    assert "cannot tell" in statuses[bad.assignment_id].reason
    assert statuses[good.assignment_id].state == "succeeded"


def test_a_job_is_ended_at_its_time_limit_whoever_watches(tmp_path):
    handle = submit(tmp_path, "sleep 300 & sleep 300", walltime_seconds=1)
    job_dir = Path(handle.job_dir)
    await_file(job_dir / "run.1" / "pid")
    session = int((job_dir / "run.1" / "pid").read_text().split()[0])
    await_file(job_dir / "run.1" / "exit_code")
    assert wait_for(BACKEND, handle, "failed").reason == "it ran past its time limit of 1 s"
    deadline = time.monotonic() + 10
    while list_session(session):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_suspended_job_goes_on_from_where_it_was_at_the_next_look(tmp_path):
    handle = submit(tmp_path, COUNTING)
    job_dir = Path(handle.job_dir)
    await_file(job_dir / "work" / "ready")
    suspend_jobs([job_dir])
    assert find_last_attempt(job_dir).find_pid() is None
    assert find_last_attempt(job_dir).find_exit()[0] == 75
    time.sleep(0.3)
    assert find_last_attempt(job_dir).number == 1  # nothing starts it but a look
    assert wait_for(BACKEND, handle, "succeeded").exit_code == 0
    assert (job_dir / "work" / "starts").read_text() == "start\n" * 2
    assert find_last_attempt(job_dir).number == 2


def test_a_payload_that_asks_for_it_is_started_again(tmp_path):
    handle = submit(tmp_path, "[ -e work/state ] && exit 0; touch work/state; exit 75")
    wait_for(BACKEND, handle, "succeeded")
    assert find_last_attempt(Path(handle.job_dir)).number == 2


def test_a_payload_that_asks_too_often_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(local_module, "MAX_ATTEMPTS", 3)
    handle = submit(tmp_path, "echo start >> work/starts; exit 75")
    status = wait_for(BACKEND, handle, "failed")
    assert status.reason == "it stopped unfinished 3 times"
    assert (Path(handle.job_dir) / "work" / "starts").read_text() == "start\n" * 3


@pytest.mark.parametrize("reaction", ["exit 143", ":"], ids=["dies of it", "does not listen"])
def test_a_suspended_job_is_started_again_however_it_ended(tmp_path, reaction):
    script = (
        "[ -e work/ready ] && exit 0; "
        f'trap "{reaction}" TERM; touch work/ready; while :; do sleep 0.05; done'
    )
    handle = submit(tmp_path, script)
    await_file(Path(handle.job_dir) / "work" / "ready")
    suspend_jobs([Path(handle.job_dir)], grace_seconds=1.0)
    assert find_last_attempt(Path(handle.job_dir)).find_pid() is None
    wait_for(BACKEND, handle, "succeeded")


def test_a_cancelled_job_is_not_started_again(tmp_path):
    handle = submit(tmp_path, COUNTING)
    job_dir = Path(handle.job_dir)
    await_file(job_dir / "work" / "ready")
    suspend_jobs([job_dir])
    BACKEND.cancel(handle)
    for _ in range(3):
        assert BACKEND.poll([handle])[handle.assignment_id].state == "cancelled"
    local_module._start(stage(tmp_path, "touch", "work/late"), 2)  # a start that was on its way
    await_file(job_dir / "run.2" / "exit_code")
    assert not (job_dir / "work" / "late").exists()


def test_a_job_that_is_started_again_has_a_new_lease(tmp_path):
    handle = submit(tmp_path, "[ -e work/state ] && sleep 60; touch work/state; exit 75")
    handle = handle.model_copy(update={"submitted_at": now_at().replace(year=2020)})
    status = wait_for(BACKEND, handle, "running")
    assert find_lost_reason(handle, status, None, lease_seconds=30, now=now_at()) is None
    BACKEND.cancel(handle)


@pytest.fixture
def stranger():
    """A process of somebody else, in a session of its own."""
    process = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_stranger_with_a_pid_of_ours_is_left_alone(tmp_path, stranger):
    handle = submit(tmp_path, "sleep 60")
    job_dir = Path(handle.job_dir)
    wait_for(BACKEND, handle, "running")
    attempt = find_last_attempt(job_dir)
    assert attempt.kill()
    wait_for(BACKEND, handle, "lost")
    _, started = (attempt.folder / "pid").read_text().split()
    (attempt.folder / "pid").write_text(f"{stranger.pid} {int(started) + 1000}")  # given anew
    assert not attempt.kill()
    suspend_jobs([job_dir])
    BACKEND.cancel(handle)
    assert BACKEND.poll([handle])[handle.assignment_id].state == "lost"
    assert stranger.poll() is None


def test_a_job_that_is_just_starting_is_stopped_too(tmp_path):
    """Between the attempt's folder and its pid lie a few milliseconds."""
    handle = submit(tmp_path, "sleep 60")
    wait_for(BACKEND, handle, "running")
    folder = Path(handle.job_dir) / "run.1"
    shutil.move(folder / "pid", folder / "held")
    late = threading.Timer(0.4, shutil.move, (folder / "held", folder / "pid"))
    late.start()
    suspend_jobs([Path(handle.job_dir)])
    late.join()
    assert find_last_attempt(Path(handle.job_dir)).find_exit()[0] == 128 + signal.SIGTERM
