"""What a round produced, and what was decided about it."""

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import AssignmentId, NodeId, RoundKey, Sha256
from synnq_assets.records.orders import CheckpointRef, FileDigest


class Contribution(Record):
    """One submission's share of a global checkpoint, by factor. Weights of a round sum to 1."""

    node_id: NodeId
    assignment_id: AssignmentId
    submission_sha256: Sha256
    weight: NonNegativeFloat
    tokens_factor: NonNegativeFloat
    decay_factor: NonNegativeFloat
    domain_factor: NonNegativeFloat
    score_factor: NonNegativeFloat
    update_norm: NonNegativeFloat  # L2 norm before layer-wise clipping
    clipped_share: NonNegativeFloat  # share of tensors whose norm was clipped
    cosine_to_mean: float
    staleness_rounds: NonNegativeInt


class CheckpointRecord(Record):
    """A global checkpoint: where it came from, what went in, by which rule."""

    kind: ClassVar[str] = "checkpoint-record"

    federation: NodeId
    round: RoundKey
    parent_round: RoundKey | None  # None for the initial checkpoint
    parent_checkpoint_sha256: Sha256 | None
    checkpoint: CheckpointRef
    outer_files: tuple[FileDigest, ...]  # outer optimizer state; empty for the initial checkpoint
    contributions: tuple[Contribution, ...]
    rule: str
    outer_optimizer: str
    settings_sha256: Sha256
    tokens_total: NonNegativeInt  # trained tokens (with epochs) behind this checkpoint
    update_norm: NonNegativeFloat
    created_at: UtcTime


class EvaluationRecord(Record):
    """The figures of one checkpoint, and whether it becomes the global model."""

    kind: ClassVar[str] = "evaluation-record"

    round: RoundKey
    checkpoint_sha256: Sha256
    parent_round: RoundKey | None
    figures: dict[str, float]  # "perplexity/de", "f1/language", "bias/gap", …
    headline_perplexity: NonNegativeFloat
    headline_f1: NonNegativeFloat
    parent_perplexity: NonNegativeFloat | None
    tolerance: NonNegativeFloat  # relative rise of perplexity that is still promoted
    decision: Literal["promoted", "rolled_back"]
    reason: str
    evaluated_at: UtcTime
