"""Runs whose process is gone, closed so that their step is asked for again.

The default launcher does not watch its processes: after a SIGKILL of the code server a run would
stay STARTED for ever, and hide that its step never ended.
"""

import re
from pathlib import Path

import dagster as dg

_PID = re.compile(r"\(pid: (\d+)\)")


def find_pid(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """Return the process id that the launcher or the executor logged for a run."""
    for record in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = record.dagster_event
        if match := _PID.search(event.message or "" if event else ""):
            return int(match[1])
    return None


def reap_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process no longer exists on this machine; return their ids."""
    if type(instance.run_launcher).__name__ != "DefaultRunLauncher":
        return []  # other launchers watch their own runs
    reaped = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        pid = find_pid(instance, run.run_id)
        if pid is not None and not Path(f"/proc/{pid}").exists():
            instance.report_run_failed(run, message="the run's process is gone")
            reaped.append(run.run_id)
    return reaped
