"""What a compute backend is asked to run, and what it says about it."""

from typing import ClassVar, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import AssignmentId, NodeId

JobState = Literal["pending", "running", "succeeded", "failed", "cancelled", "lost", "unknown"]
TERMINAL_STATES: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "lost"})


class JobSpec(Record):
    """One job, apart from where it runs. Paths are on the compute side."""

    assignment_id: AssignmentId
    node_id: NodeId
    argv: tuple[str, ...]
    environment: dict[str, str]
    job_dir: str  # absolute; holds order.json, inputs/, submission/
    walltime_seconds: PositiveInt
    num_hosts: PositiveInt = 1
    ranks_per_host: PositiveInt = 1


class JobHandle(Record):
    """How to find a submitted job again, also from another process."""

    kind: ClassVar[str] = "job-handle"

    assignment_id: AssignmentId
    node_id: NodeId
    backend: str
    job_id: str
    job_dir: str
    submitted_at: UtcTime


class JobStatus(Record):
    """One observation of a job."""

    kind: ClassVar[str] = "job-status"

    job_id: str
    state: JobState
    exit_code: int | None
    reason: str
    observed_at: UtcTime
    started_at: UtcTime | None = None  # of the present attempt; None where it is not known

    @property
    def is_terminal(self) -> bool:
        """Whether the job will not change any more."""
        return self.state in TERMINAL_STATES


class Progress(Record):
    """The payload's own report, for people and for the lease."""

    kind: ClassVar[str] = "progress"

    assignment_id: AssignmentId
    phase: Literal["verifying", "opening", "training", "writing", "done", "failed"]
    step: NonNegativeInt
    num_steps: NonNegativeInt
    loss: float | None
    tokens_per_second: PositiveFloat | None
    message: str
    reported_at: UtcTime
