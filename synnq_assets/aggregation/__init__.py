"""Aggregation: accepted updates in, the next global checkpoint out.

In: the base checkpoint, the outer optimiser's state, and one `Candidate` per accepted submission,
every file with the digest that its signed record gives.
Out: `model.safetensors` and `outer.safetensors`, and an `AggregationResult` with every weight,
norm and cosine. Tensor by tensor from files, never all submissions in memory; the same inputs in
any order give the same bytes.

    candidates.py  what a submission brings, and the canonical order
    weights.py     tokens x time decay x domain balance x score
    caps.py        no organisation above its cap
    inputs.py      the files, opened side by side, digests and schemas compared
    geometry.py    pass 1: norms per tensor and the Gram matrix
    clipping.py    layer-wise clipping to the median norm
    rules/         robust rules: mean, trimmed mean, median
    outer/         outer optimisers: average, Nesterov
    engine.py      pass 2, and the round as a whole
    result.py      what is reported
"""

from synnq_assets.aggregation.candidates import Candidate, PinnedFile
from synnq_assets.aggregation.engine import aggregate_round
from synnq_assets.aggregation.outer import OUTER, build_outer
from synnq_assets.aggregation.result import AggregationResult, describe_tolerance
from synnq_assets.aggregation.rules import RULES, build_rule

__all__ = [
    "OUTER",
    "RULES",
    "AggregationResult",
    "Candidate",
    "PinnedFile",
    "aggregate_round",
    "build_outer",
    "build_rule",
    "describe_tolerance",
]
