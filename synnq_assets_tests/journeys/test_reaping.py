"""Which runs are closed as dead, told from real processes and sockets."""

import json
import os
import socket
import subprocess
import sys
import time

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.utils import make_new_run_id

from synnq_assets.defs.reaping import SERVER_TAG, reap_dead_runs

LONG_AGO_SECONDS = 3600.0


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


def add_run(instance, status, *, pid=None, seconds_ago=0.0, socket_path=None):
    """Add a run as the default launcher leaves it."""
    tags = {SERVER_TAG: json.dumps({"host": "localhost", "socket": str(socket_path)})}
    run = dg.DagsterRun(
        job_name="submit",
        run_id=make_new_run_id(),
        status=status,
        tags=tags if socket_path else {},
    )
    instance.add_run(run)
    if pid is not None:
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ENGINE_EVENT.value,
            job_name="submit",
            message=f"Started process for run (pid: {pid}).",
            event_specific_data=EngineEventData.in_process(pid),
        )
        entry = dg.EventLogEntry(
            error_info=None,
            level="debug",
            user_message="",
            run_id=run.run_id,
            timestamp=time.time() - seconds_ago,
            dagster_event=event,
        )
        instance.handle_new_event(entry)
    return run.run_id


def spawn():
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )


def end(process):
    process.stdin.close()
    process.wait()


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING], ids=lambda s: s.value
)
def test_a_run_whose_process_ended_is_closed(instance, status):
    process = spawn()
    run_id = add_run(instance, status, pid=process.pid)
    assert reap_dead_runs(instance) == []
    end(process)
    assert reap_dead_runs(instance) == [run_id]
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert reap_dead_runs(instance) == []


def test_a_process_that_nobody_waited_for_is_dead(instance):
    process = spawn()
    run_id = add_run(instance, dg.DagsterRunStatus.STARTED, pid=process.pid)
    process.stdin.close()
    deadline = time.monotonic() + 30
    while reap_dead_runs(instance) != [run_id]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.wait()


def test_a_later_process_with_the_same_pid_is_another(instance):
    """After a restart of the machine, pids begin again."""
    process = spawn()
    run_id = add_run(
        instance, dg.DagsterRunStatus.STARTED, pid=process.pid, seconds_ago=LONG_AGO_SECONDS
    )
    assert reap_dead_runs(instance) == [run_id]
    end(process)


def test_a_run_that_its_code_server_did_not_live_to_start_is_closed(instance, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        run_id = add_run(instance, dg.DagsterRunStatus.STARTING, socket_path=path)
        assert reap_dead_runs(instance) == []
    assert reap_dead_runs(instance) == [run_id]  # the file is still there, nobody listens
    path.unlink()
    run_id = add_run(instance, dg.DagsterRunStatus.STARTING, socket_path=path)
    assert reap_dead_runs(instance) == [run_id]


def test_a_run_that_was_not_handed_over_or_has_ended_is_left_alone(instance):
    add_run(instance, dg.DagsterRunStatus.STARTING)
    process = spawn()
    end(process)
    add_run(instance, dg.DagsterRunStatus.SUCCESS, pid=process.pid)
    add_run(instance, dg.DagsterRunStatus.STARTED, pid=os.getpid())
    assert reap_dead_runs(instance) == []
