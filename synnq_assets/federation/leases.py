"""When a job counts as lost: its scheduler says so, or it has been silent for a lease."""

from datetime import datetime, timedelta

from synnq_assets.records.jobs import JobHandle, JobStatus, Progress

PENDING_STATES = frozenset({"pending", "unknown"})


def find_lost_reason(
    handle: JobHandle,
    status: JobStatus,
    progress: Progress | None,
    *,
    lease_seconds: float,
    now: datetime,
) -> str | None:
    """Return why the job's shards should go to another node; None while the lease holds.

    A job that waits in a queue keeps its lease: only the round's deadline ends the wait. A running
    job renews it with its start (each, where it is started again) and with every progress report.
    """
    if status.state in {"failed", "cancelled", "lost"}:
        return f"job {status.state}: {status.reason}"
    if status.state == "succeeded" or status.state in PENDING_STATES:
        return None
    begun_at = status.started_at or handle.submitted_at
    renewed_at = max(begun_at, progress.reported_at) if progress else begun_at
    silent_seconds = (now - renewed_at).total_seconds()
    if now - renewed_at > timedelta(seconds=lease_seconds):
        return f"no progress report for {silent_seconds:.0f} s, the lease is {lease_seconds:g} s"
    return None
