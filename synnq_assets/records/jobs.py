"""What a compute backend is asked to run, and what it says about it."""

from typing import Annotated, ClassVar, Literal

from pydantic import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
)

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import AssignmentId, NodeId

JobState = Literal["pending", "running", "succeeded", "failed", "cancelled", "lost", "unknown"]
Phase = Literal[
    "verifying",
    "opening",
    "building",
    "training",
    "checkpointed",  # it was asked to stop, and is to be started again
    "writing",
    "done",
    "failed",
]
# An error's class and the place it came from (privacy/failures.py); never its text.
FailureCode = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]{2,39}@[0-9a-f]{12}$")]
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
    """The payload's own report, for people and for the lease: ids, enums and finite figures."""

    kind: ClassVar[str] = "progress"

    assignment_id: AssignmentId
    phase: Phase
    step: NonNegativeInt
    num_steps: NonNegativeInt
    loss: NonNegativeFloat | None  # over at least `privacy.min_loss_sequences` sequences
    tokens_per_second: PositiveFloat | None
    failure: FailureCode | None
    reported_at: UtcTime
