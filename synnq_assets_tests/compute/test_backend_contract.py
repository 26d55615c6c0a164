import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synnq_assets.compute import (
    BACKENDS,
    StagedInputs,
    build_backend,
    find_last_attempt,
    read_progress,
    stage_job,
)
from synnq_assets.errors import ComputeError
from synnq_assets.records.jobs import JobSpec
from synnq_assets.settings import load_profile


@pytest.fixture(params=sorted(BACKENDS))
def backend(request):
    return BACKENDS[request.param]()


def stage(tmp_path, *argv, walltime_seconds=60):
    job_dir = tmp_path / "r0001.node-a.1"
    stage_job(job_dir, StagedInputs(order=b"{}", recipe=b"{}", checkpoint_files={}, shard_files={}))
    return JobSpec(
        assignment_id="r0001.node-a.1",
        node_id="node-a",
        argv=argv,
        environment={"WHO": "node-a"},
        job_dir=str(job_dir),
        walltime_seconds=walltime_seconds,
    )


def wait_for(backend, handle, *states):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = backend.poll([handle])[handle.assignment_id]
        if status.state in states:
            return status
        time.sleep(0.05)
    raise AssertionError(f"still {status}")


def test_a_job_runs_in_its_folder_with_its_environment(tmp_path, backend):
    handle = backend.submit(stage(tmp_path, "sh", "-c", "echo $WHO > work/who"))
    assert wait_for(backend, handle, "succeeded").exit_code == 0
    assert (Path(handle.job_dir) / "work" / "who").read_text() == "node-a\n"


def test_a_failed_job_says_why(tmp_path, backend):
    handle = backend.submit(stage(tmp_path, "sh", "-c", "echo disk on fire >&2; exit 3"))
    status = wait_for(backend, handle, "failed")
    assert (status.exit_code, status.reason) == (3, "exit code 3: no code; see its own log")


def test_a_command_that_does_not_exist_fails(tmp_path, backend):
    handle = backend.submit(stage(tmp_path, "no-such-command"))
    assert wait_for(backend, handle, "failed").exit_code == 127


def test_submitting_twice_runs_once(tmp_path, backend):
    spec = stage(tmp_path, "sh", "-c", "echo x >> work/runs; sleep 0.3")
    handles = [backend.submit(spec) for _ in range(5)]
    wait_for(backend, handles[-1], "succeeded")
    assert (Path(spec.job_dir) / "work" / "runs").read_text() == "x\n"


def test_a_killed_job_is_lost(tmp_path, backend):
    handle = backend.submit(stage(tmp_path, "sleep", "60"))
    wait_for(backend, handle, "running")
    assert find_last_attempt(Path(handle.job_dir)).kill()
    assert "left no exit code" in wait_for(backend, handle, "lost").reason


def test_cancelling_lets_the_job_checkpoint_first(tmp_path, backend):
    script = (
        'trap "echo saved > work/state; exit 75" TERM; touch work/ready; '
        "while :; do sleep 0.05; done"
    )
    handle = backend.submit(stage(tmp_path, "sh", "-c", script))
    while not (Path(handle.job_dir) / "work" / "ready").exists():
        time.sleep(0.02)
    backend.cancel(handle)
    status = wait_for(backend, handle, "cancelled")
    assert (status.exit_code, status.reason) == (75, "it was cancelled")
    assert (Path(handle.job_dir) / "work" / "state").read_text() == "saved\n"
    backend.cancel(handle)  # a job that has ended is left alone


def test_a_job_outlives_the_process_that_submitted_it(tmp_path, backend):
    spec = stage(tmp_path, "sh", "-c", "sleep 1; echo done > submission/submission.json")
    code = (
        "import sys\n"
        "from synnq_assets.compute import BACKENDS\n"
        "from synnq_assets.records.jobs import JobSpec\n"
        "handle = BACKENDS[sys.argv[1]]().submit(JobSpec.parse(sys.argv[2].encode()))\n"
        "print(handle.canonical_bytes().decode())\n"
        "import os, signal; sys.stdout.flush(); os.killpg(0, signal.SIGKILL)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, backend.name, spec.canonical_bytes().decode()],
        capture_output=True,
        start_new_session=True,
    )
    assert result.returncode == -signal.SIGKILL
    from synnq_assets.records.jobs import JobHandle

    handle = JobHandle.parse(result.stdout.strip())
    wait_for(backend, handle, "succeeded")
    assert (backend.fetch(handle) / "submission.json").read_text() == "done\n"


def test_fetching_nothing_is_an_error(tmp_path, backend):
    handle = backend.submit(stage(tmp_path, "true"))
    wait_for(backend, handle, "succeeded")
    with pytest.raises(ComputeError, match="left no submission"):
        backend.fetch(handle)


def test_an_unstaged_job_is_refused(tmp_path, backend):
    spec = stage(tmp_path, "true").model_copy(update={"job_dir": str(tmp_path / "nowhere")})
    with pytest.raises(ComputeError, match="not a staged job folder"):
        backend.submit(spec)


def test_progress_is_none_before_the_first_report_and_when_unreadable(tmp_path):
    assert read_progress(tmp_path) is None
    (tmp_path / "progress.json").write_text("{")
    assert read_progress(tmp_path) is None


def test_a_profile_without_a_backend_says_what_there_is():
    with pytest.raises(ComputeError, match="asks for the slurm backend.*available: local"):
        build_backend(load_profile("lumi-g", {}))
