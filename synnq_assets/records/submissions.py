"""What a node answers to an order, and what the coordinator makes of it."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import AssignmentId, CellKey, NodeId, RoundKey, Sha256
from synnq_assets.records.orders import FileDigest


class TrainingMetrics(Record):
    """Aggregates of one training job, from the windows of its log; no text.

    Losses and gradient norms are None where no window holds enough sequences.
    """

    num_tokens: PositiveInt  # unique tokens
    num_tokens_processed: PositiveInt  # with epochs
    num_steps: PositiveInt
    initial_loss: NonNegativeFloat | None  # nats per token, mean over the first tenth of windows
    final_loss: NonNegativeFloat | None  # nats per token, mean over the last tenth of windows
    mean_gradient_norm: NonNegativeFloat | None
    max_gradient_norm: NonNegativeFloat | None  # largest mean of a window
    learning_rate_sum: NonNegativeFloat  # over optimizer steps; bounds how far weights can move
    tokens_per_second: NonNegativeFloat
    wall_seconds: NonNegativeFloat
    energy_joules: NonNegativeFloat | None  # None where the machine offers no counter
    world_size: PositiveInt


class PrivacyClaim(Record):
    """A node's statement about differential privacy of its training; self-declared."""

    unit: Literal["example", "document"]
    mechanism: Literal["dp-sgd"]
    noise_multiplier: NonNegativeFloat
    clip_norm: NonNegativeFloat
    sampling_rate: NonNegativeFloat
    num_steps: PositiveInt
    epsilon: NonNegativeFloat
    delta: NonNegativeFloat
    accountant: Literal["rdp", "pld"]


class Submission(Record):
    """The signed manifest of a submission folder."""

    kind: ClassVar[str] = "submission"

    federation: NodeId
    round: RoundKey
    assignment_id: AssignmentId
    node_id: NodeId
    agreement_sha256: Sha256
    order_sha256: Sha256  # of the order record's canonical bytes
    base_checkpoint_sha256: Sha256
    shard_ids: tuple[Sha256, ...]
    files: tuple[FileDigest, ...]  # update.safetensors, training_log.parquet, diagnostics.parquet
    tensor_schema_sha256: Sha256
    metrics: TrainingMetrics
    privacy_claim: PrivacyClaim | None
    payload_version: str
    image_sha256: Sha256 | None
    started_at: UtcTime
    finished_at: UtcTime
    nonce: Sha256


Figure = float | int | str | bool


class CheckResult(Record):
    """One intake check: passed or not, why, and the figures behind it."""

    name: str
    passed: bool
    reason: str  # one sentence; "ok" where it passed
    figures: dict[str, Figure]


class Verdict(Record):
    """The coordinator's decision on one submission, with every check."""

    kind: ClassVar[str] = "verdict"

    round: RoundKey  # the round the order belongs to
    assignment_id: AssignmentId
    node_id: NodeId
    submission_sha256: Sha256  # of the received envelope's bytes
    decision: Literal["accepted", "refused"]
    score: float = Field(ge=0.0, le=1.0)  # factor in the aggregation weight
    num_tokens: NonNegativeInt  # assigned tokens, never the node's own claim
    cell_tokens: dict[CellKey, PositiveInt]
    checks: tuple[CheckResult, ...]
    decided_at: UtcTime
    audit_index: NonNegativeInt = 0  # of the intent to judge: keys count as they stood then

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was refused; empty where accepted."""
        return tuple(f"{check.name}: {check.reason}" for check in self.checks if not check.passed)

    @property
    def update_sha256(self) -> str | None:
        """SHA-256 of the update as the duplicate check measured it; None where none was read."""
        for check in self.checks:
            if check.name == "duplicate":
                found = check.figures.get("update_sha256")
                return found if isinstance(found, str) and found != "none" else None
        return None
