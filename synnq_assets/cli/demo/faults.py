"""The fault of round 2: a node dies while it trains."""

from synnq_assets.cli.demo.setup import KILL_ROUND, KILLED_NODE
from synnq_assets.compute import find_last_attempt, read_progress
from synnq_assets.trust import Home

KILL_AFTER_SHARE = 0.1  # of its steps


def kill_node_in_round(home: Home) -> bool:
    """Kill the chosen node's job once it has trained a little; return whether it was done now.

    The whole process group is killed, as a power cut would.
    """
    job_dir = home.path / "jobs" / f"{KILL_ROUND}.{KILLED_NODE}.1"
    mark = job_dir / "work" / "killed"
    attempt, progress = find_last_attempt(job_dir), read_progress(job_dir)
    if mark.exists() or attempt is None or progress is None or progress.phase != "training":
        return False
    if progress.reported_at < attempt.started_at:  # of an attempt before
        return False
    if progress.step < KILL_AFTER_SHARE * progress.num_steps or not attempt.kill():
        return False
    mark.touch()
    home.audit.log_event(
        "demo_fault", f"{KILL_ROUND}.{KILLED_NODE}.1", actor="demo", fault="killed"
    )
    return True
