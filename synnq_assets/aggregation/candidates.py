"""What one accepted submission brings to a round, and the order in which all are summed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synnq_assets.errors import AggregationError


@dataclass(frozen=True)
class PinnedFile:
    """Where a file lies, and the SHA-256 that a signed record gives of it."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Candidate:
    """One accepted submission.

    Attributes:
        node_id: who trained it.
        assignment_id: the order that it answers.
        submission_sha256: of the received envelope; fixes its place in the canonical order.
        update: `update.safetensors` on the coordinator; local - base, to be added to the base.
        num_tokens: unique tokens of the order, never the node's own claim.
        cell_tokens: tokens per cell ("de.law") of the order.
        score: of intake, in [0, 1].
        staleness_rounds: rounds that were closed since the order's base checkpoint.
        age_seconds: since the submission was received.
        organisation: who runs the node; "" stands for the node itself.
        weight_cap: largest share of the round's weights that its organisation may have.
    """

    node_id: str
    assignment_id: str
    submission_sha256: str
    update: PinnedFile
    num_tokens: int
    cell_tokens: Mapping[str, int]
    score: float
    staleness_rounds: int
    age_seconds: float
    organisation: str = ""
    weight_cap: float = 1.0


def _verify_figures(candidate: Candidate) -> None:
    figures = {
        "num_tokens": candidate.num_tokens,
        "score": candidate.score,
        "staleness_rounds": candidate.staleness_rounds,
        "age_seconds": candidate.age_seconds,
        **{f"cell_tokens[{cell}]": tokens for cell, tokens in candidate.cell_tokens.items()},
    }
    for name, value in figures.items():
        if not math.isfinite(value) or value < 0:
            raise AggregationError(
                f"{candidate.assignment_id}: {name} is {value}; it must be finite and not negative"
            )


def order_candidates(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates by submission digest: one order, whoever arrived first.

    Raises:
        AggregationError: none, one twice (by submission or assignment), or an impossible figure.
    """
    if not candidates:
        raise AggregationError("no accepted submission to aggregate; wait, or close the round")
    for what in ("submission_sha256", "assignment_id"):
        values = [getattr(candidate, what) for candidate in candidates]
        twice = {value for value in values if values.count(value) > 1}
        if twice:
            raise AggregationError(f"{what} {min(twice)} would be counted twice; keep one of them")
    for candidate in candidates:
        _verify_figures(candidate)
    return tuple(sorted(candidates, key=lambda candidate: candidate.submission_sha256))
