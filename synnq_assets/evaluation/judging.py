"""The gate: does a checkpoint become the global model, or does its round roll back?"""

import math
import sys
from typing import Literal

from synnq_assets.errors import EvaluationError
from synnq_assets.evaluation.figures import FINGERPRINT, EvaluationFigures, select_unmeasurable
from synnq_assets.records.base import now_at
from synnq_assets.records.rounds import EvaluationRecord
from synnq_assets.settings.recipe import EvaluationSettings

UNMEASURABLE = sys.float_info.max  # stands for a perplexity that is NaN or infinite in a record


def judge_checkpoint(
    *,
    round_key: str,
    checkpoint_sha256: str,
    figures: EvaluationFigures,
    parent: EvaluationRecord | None,
    settings: EvaluationSettings,
) -> EvaluationRecord:
    """Decide on one checkpoint.

    Rolled back if any figure is not finite, or if the headline perplexity exceeds the parent's by
    more than the relative tolerance; promoted otherwise, and always where there is no parent.

    Args:
        round_key: round that made the checkpoint.
        checkpoint_sha256: its digest.
        figures: what was measured.
        parent: record of the checkpoint that the round started from; None for the first.
        settings: the tolerance.

    Returns:
        A record without the figures that are not finite (JSON has no form for them); the reason
        names them.

    Raises:
        EvaluationError: parent and checkpoint answered different suites; evaluate the parent again
            on this suite and judge against that record.
    """
    _verify_same_suite(figures, parent)
    decision, reason = _decide(figures, parent, settings.rollback_tolerance)
    perplexity, f1 = figures.headline_perplexity, figures.headline_f1
    return EvaluationRecord(
        round=round_key,
        checkpoint_sha256=checkpoint_sha256,
        parent_round=parent.round if parent else None,
        figures={name: value for name, value in figures.figures.items() if math.isfinite(value)},
        headline_perplexity=perplexity if math.isfinite(perplexity) else UNMEASURABLE,
        headline_f1=f1 if math.isfinite(f1) else 0.0,
        parent_perplexity=parent.headline_perplexity if parent else None,
        tolerance=settings.rollback_tolerance,
        decision=decision,
        reason=reason,
        evaluated_at=now_at(),
    )


def _verify_same_suite(figures: EvaluationFigures, parent: EvaluationRecord | None) -> None:
    known = parent.figures.get(FINGERPRINT) if parent else None
    own = figures.figures.get(FINGERPRINT)
    if parent and known is not None and own is not None and known != own:
        raise EvaluationError(
            f"parent {parent.round} was measured on another suite; evaluate its checkpoint on this "
            "suite and judge against that record"
        )


def _decide(
    figures: EvaluationFigures, parent: EvaluationRecord | None, tolerance: float
) -> tuple[Literal["promoted", "rolled_back"], str]:
    odd = select_unmeasurable(figures.figures)
    if not (math.isfinite(figures.headline_perplexity) and math.isfinite(figures.headline_f1)):
        odd = odd or ["headline"]
    if odd:
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        return "rolled_back", f"not a finite number: {', '.join(odd[:3])}{more}"
    perplexity = figures.headline_perplexity
    if parent is None:
        return "promoted", f"headline perplexity {perplexity:.4f}; no parent to compare with"
    before = parent.headline_perplexity
    limit = before * (1 + tolerance)
    figure = f"headline perplexity {perplexity:.4f}, parent {parent.round} {before:.4f}"
    if perplexity > limit:
        return "rolled_back", f"{figure}: above the limit of {limit:.4f} (tolerance {tolerance:g})"
    return "promoted", f"{figure}: within the limit of {limit:.4f} (tolerance {tolerance:g})"
