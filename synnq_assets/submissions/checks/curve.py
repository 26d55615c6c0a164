"""The loss fell, and the manifest's metrics are those of the log and of the order.

The rise is that of each shard's last epoch against its first: the same text twice. First against
last steps would compare one shard with another, and refuse a node whose second shard is harder.
Where there is one epoch, it is the last tenth of the log's rows against the first. Rows that tell
no loss, being of too few sequences, are left out; where none tells one, only counts are compared.

The curve is the node's own statement; the probe is the coordinator's.
"""

import math
from collections import Counter
from typing import ClassVar

import numpy as np

from synnq_assets.privacy import count_sequences
from synnq_assets.submissions.bounds import bound_learning_rate_sum, count_steps
from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case
from synnq_assets.submissions.logs import TrainingLog

TOLERANCE = 1e-6  # relative; both sides sum the same float64 figures, perhaps in another order
NOT_TOLD = "not told"


class CurveCheck(Check):
    """Compare metrics, log and order, then look at the loss."""

    name: ClassVar[str] = "curve"
    needs: ClassVar[tuple[str, ...]] = ("training_log",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        log, limit = case.log, case.intake.settings.max_loss_rise
        measured = measure_log(log)
        initial, final = measure_rise(log, case.intake.order.epochs)
        rise = final / initial - 1 if initial and final is not None else 0.0
        problems = [
            *_compare_metrics(case, measured),
            *_compare_order(case, log),
            *_find_withheld(case, log),
        ]
        if rise > limit:
            problems.append(
                f"loss rose by {rise:.1%} (from {initial:.3f} to {final:.3f}); at most "
                f"{limit:.1%} is accepted"
            )
        num_tokens = int(log.tokens.sum())
        told = {
            "initial_loss": measured["initial_loss"],
            "final_loss": measured["final_loss"],
            "first_epoch_loss": initial,
            "last_epoch_loss": final,
            "max_gradient_norm": measured["max_gradient_norm"],
        }
        return decide(
            problems,
            **{name: NOT_TOLD if value is None else value for name, value in told.items()},
            loss_rise=rise,
            num_steps=int(log.num_steps.sum()),
            num_tokens_processed=num_tokens,
            processed_share=num_tokens / (case.intake.order.num_tokens * case.intake.order.epochs),
        )


def measure_log(log: TrainingLog) -> dict[str, float | None]:
    """Return the metrics that follow from a log, by their names in the manifest."""
    losses = log.loss[np.isfinite(log.loss)]
    is_told = np.isfinite(log.gradient_norm)
    norms, steps = log.gradient_norm[is_told], log.num_steps[is_told]
    tenth = max(1, len(losses) // 10)
    return {
        "num_steps": int(log.num_steps.sum()),
        "num_tokens_processed": int(log.tokens.sum()),
        "initial_loss": math.fsum(losses[:tenth]) / tenth if len(losses) else None,
        "final_loss": math.fsum(losses[-tenth:]) / tenth if len(losses) else None,
        "mean_gradient_norm": math.fsum(norms * steps) / int(steps.sum()) if len(norms) else None,
        "max_gradient_norm": float(norms.max()) if len(norms) else None,
        "learning_rate_sum": math.fsum(log.learning_rate * log.num_steps),
    }


def measure_rise(log: TrainingLog, epochs: int) -> tuple[float | None, float | None]:
    """Return (loss before, loss after) in nats per token: of the first and the last epoch."""
    if epochs == 1:
        measured = measure_log(log)
        return measured["initial_loss"], measured["final_loss"]
    return _mean_loss(log, 1), _mean_loss(log, epochs)


def _mean_loss(log: TrainingLog, epoch: int) -> float | None:
    chosen = (log.epoch == epoch) & np.isfinite(log.loss)
    if not chosen.any():
        return None
    return float(np.average(log.loss[chosen], weights=log.tokens[chosen]))


def _find_withheld(case: Case, log: TrainingLog) -> list[str]:
    """Return whether a row keeps its figures back, although its epoch holds enough sequences."""
    recipe = case.intake.recipe
    tokens: Counter[tuple[int, int]] = Counter()
    for shard, epoch, count in zip(log.shard, log.epoch, log.tokens, strict=True):
        tokens[int(shard), int(epoch)] += int(count)
    is_told = np.isfinite(log.loss) & np.isfinite(log.gradient_norm)
    withheld = {(int(log.shard[k]), int(log.epoch[k])) for k in np.flatnonzero(~is_told)}
    num_kept = sum(
        count_sequences(tokens[key], recipe.training.sequence_tokens)
        >= recipe.privacy.min_loss_sequences
        for key in withheld
    )
    return [f"{num_kept} epochs keep back losses that could be told"] if num_kept else []


def _compare_metrics(case: Case, measured: dict[str, float | None]) -> list[str]:
    claimed = case.submission.metrics
    return [
        f"{name} is {getattr(claimed, name)} in the manifest, {value} in the log"
        for name, value in measured.items()
        if not _is_same(getattr(claimed, name), value)
    ]


def _is_same(claimed: float | None, measured: float | None) -> bool:
    if claimed is None or measured is None:
        return claimed is measured
    return math.isclose(claimed, measured, rel_tol=TOLERANCE, abs_tol=1e-12)


def _compare_order(case: Case, log: TrainingLog) -> list[str]:
    order = case.intake.order
    problems = []
    if case.submission.metrics.num_tokens != order.num_tokens:
        problems.append(
            f"claims {case.submission.metrics.num_tokens} tokens, the order has {order.num_tokens}"
        )
    if int(log.tokens.sum()) > order.num_tokens * order.epochs:
        problems.append("processed more tokens than the order's shards and epochs hold")
    num_steps = count_steps(order, case.intake.recipe.training)
    allowed = bound_learning_rate_sum(order.lr, num_steps)
    if math.fsum(log.learning_rate * log.num_steps) > allowed * (1 + TOLERANCE):
        problems.append("learning rates are above the order's")
    return problems
