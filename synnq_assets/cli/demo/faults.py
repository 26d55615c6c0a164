"""The fault of round 2: a node dies while it trains."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from synnq_assets.cli.demo.setup import KILL_ROUND, KILLED_NODE
from synnq_assets.compute import read_progress
from synnq_assets.trust import Home

KILL_AFTER_SHARE = 0.1  # of its steps


def kill_job(job_dir: Path) -> bool:
    """Kill a job's whole process group, as a power cut would; return whether there was one."""
    try:
        pid = int((job_dir / "pid").read_text().split()[0])
        os.killpg(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    return True


def kill_node_in_round(home: Home) -> bool:
    """Kill the chosen node's job once it has trained a little; return whether it was done now."""
    job_dir = home.path / "jobs" / f"{KILL_ROUND}.{KILLED_NODE}.1"
    progress = read_progress(job_dir)
    mark = job_dir / "work" / "killed"
    if (
        mark.exists()
        or progress is None
        or progress.phase != "training"
        or (job_dir / "exit_code").exists()
    ):
        return False
    if progress.step < KILL_AFTER_SHARE * progress.num_steps:
        return False
    if not kill_job(job_dir):
        return False
    mark.touch()
    home.audit.log_event(
        "demo_fault", f"{KILL_ROUND}.{KILLED_NODE}.1", actor="demo", fault="killed"
    )
    return True


def kill_all_jobs(home: Home) -> None:
    """End every job that is still running."""
    for job_dir in (home.path / "jobs").iterdir():
        if not (job_dir / "exit_code").exists():
            with suppress(OSError):
                kill_job(job_dir)
