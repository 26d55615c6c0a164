"""What a round's aggregation reports: who contributed how much, and at what cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from synnq_assets.aggregation.candidates import Candidate
from synnq_assets.aggregation.geometry import Float64, UpdateGeometry
from synnq_assets.aggregation.rules import build_rule
from synnq_assets.aggregation.weights import Weight
from synnq_assets.records.orders import FileDigest
from synnq_assets.records.rounds import Contribution
from synnq_assets.settings.base import Variant


@dataclass(frozen=True)
class AggregationResult:
    """The figures of one aggregation. All tables follow the canonical order of submissions.

    Attributes:
        contributions: weight and factors of each submission; weights sum to one.
        files: `model.safetensors`.
        outer_files: `outer.safetensors`; empty where the optimiser keeps no state.
        update_norm: L2 norm of the combined update, before the outer step.
        rule: name of the robust rule.
        outer: name of the outer optimiser.
        cosines: between every pair of updates, before clipping.
        node_order: node of each row and column.
        tensor_norms: per tensor, the L2 norm of each submission's update, before clipping.
        num_elements: parameters of the model.
        seconds: wall time, hashing of the results included.
        peak_memory_bytes: largest resident memory of this process seen while it aggregated.
        elements_per_second: parameters of the model over `seconds`.
    """

    contributions: tuple[Contribution, ...]
    files: tuple[FileDigest, ...]
    outer_files: tuple[FileDigest, ...]
    update_norm: float
    rule: str
    outer: str
    cosines: tuple[tuple[float, ...], ...]
    node_order: tuple[str, ...]
    tensor_norms: dict[str, tuple[float, ...]]
    num_elements: int
    seconds: float
    peak_memory_bytes: int
    elements_per_second: float


class MemoryMeter:
    """The largest resident memory among the samples that were taken."""

    def __init__(self) -> None:
        """Take the first sample."""
        self._process: Any = psutil.Process()
        self.peak_bytes = 0
        self.sample()

    def sample(self) -> None:
        """Look once."""
        self.peak_bytes = max(self.peak_bytes, int(self._process.memory_info().rss))


def build_contributions(
    candidates: Sequence[Candidate],
    weights: Sequence[Weight],
    geometry: UpdateGeometry,
    factors_TN: Float64,
) -> tuple[Contribution, ...]:
    """Return one contribution per candidate; all arguments in canonical order."""
    weights_N = np.array([weight.weight for weight in weights])
    cosines_N = geometry.cosines_to_mean(weights_N)
    clipped_N = np.mean(factors_TN < 1.0, axis=0)
    norms_N = geometry.norms
    return tuple(
        Contribution(
            node_id=candidate.node_id,
            assignment_id=candidate.assignment_id,
            submission_sha256=candidate.submission_sha256,
            weight=weight.weight,
            tokens_factor=weight.tokens,
            decay_factor=weight.decay,
            domain_factor=weight.domain,
            score_factor=weight.score,
            update_norm=float(norms_N[i]),
            clipped_share=float(clipped_N[i]),
            cosine_to_mean=float(cosines_N[i]),
            staleness_rounds=candidate.staleness_rounds,
        )
        for i, (candidate, weight) in enumerate(zip(candidates, weights, strict=True))
    )


def describe_tolerance(rule: Variant, contributions: Sequence[Contribution]) -> str:
    """Return how many bad submissions the rule withstood in a round, of those that weighed in."""
    weights_N = np.array([item.weight for item in contributions if item.weight > 0])
    if len(weights_N) == 0:
        return "-"
    return f"{build_rule(rule).count_tolerated(weights_N)} faulty of {len(weights_N)}"
