"""Runs whose process is gone, closed so that their step is asked for again.

The default launcher does not watch its processes: after a SIGKILL of the code server a run would
stay STARTED for ever, and hide that its step never ended.
"""

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg
import psutil

_PID = re.compile(r"\(pid: (\d+)\)")
SERVER_TAG = ".dagster/grpc_info"  # written by the default launcher: the run's code server
GONE = "the run's process is gone"
CLOCK_SLACK_SECONDS = 10.0  # what the clock may have been set by since the run started
CONNECT_SECONDS = 2.0


@dataclass(frozen=True)
class Worker:
    """The process of a run, as the event log knows it."""

    pid: int
    logged_at: float  # seconds since the epoch, by which it was alive

    def is_alive(self) -> bool:
        """Return whether it still runs; a later process that took over its pid is another."""
        try:
            process = psutil.Process(self.pid)
            started_at, is_zombie = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        return not is_zombie and bool(started_at <= self.logged_at + CLOCK_SLACK_SECONDS)


def find_worker(instance: dg.DagsterInstance, run_id: str) -> Worker | None:
    """Return the process that logged itself for a run; None before it did."""
    for record in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = record.dagster_event
        if match := _PID.search(event.message or "" if event else ""):
            return Worker(int(match[1]), record.timestamp)
    return None


def is_server_gone(tags: Mapping[str, str]) -> bool:
    """Return whether the code server that was to start a run certainly no longer listens."""
    if SERVER_TAG not in tags:
        return False  # not handed over yet
    info = json.loads(tags[SERVER_TAG])
    family, address = (
        (socket.AF_UNIX, info["socket"])
        if info.get("socket")
        else (socket.AF_INET, (info["host"], info["port"]))
    )
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            return False
    return False


def reap_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process no longer exists on this machine; return their ids.

    A run that was closed wrongly does no harm: its process leaves when it finds itself closed, or
    finds the step's record, which is written once.
    """
    if type(instance.run_launcher).__name__ != "DefaultRunLauncher":
        return []  # other launchers watch their own runs
    statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    reaped = []
    for run in instance.get_runs(dg.RunsFilter(statuses=statuses)):
        worker = find_worker(instance, run.run_id)
        is_gone = is_server_gone(run.tags) if worker is None else not worker.is_alive()
        held = instance.get_run_by_id(run.run_id)  # it may have ended while we looked
        if is_gone and held is not None and not held.is_finished:
            instance.report_run_failed(held, message=GONE)
            reaped.append(run.run_id)
    return reaped
