"""The loss fell, and the manifest's metrics are those of the log and of the order.

The rise is that of each shard's last epoch against its first: the same text twice. First against
last steps would compare one shard with another, and refuse a node whose second shard is harder.
Where there is one epoch, it is the last tenth of the steps against the first.

The curve is the node's own statement; the probe is the coordinator's.
"""

import math
from typing import ClassVar

import numpy as np

from synnq_assets.submissions.bounds import bound_learning_rate_sum, count_steps
from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case
from synnq_assets.submissions.logs import TrainingLog

TOLERANCE = 1e-6  # relative; both sides sum the same float64 figures, perhaps in another order


class CurveCheck(Check):
    """Compare metrics, log and order, then look at the loss."""

    name: ClassVar[str] = "curve"
    needs: ClassVar[tuple[str, ...]] = ("training_log",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        log, limit = case.log, case.intake.settings.max_loss_rise
        measured = measure_log(log)
        initial, final = measure_rise(log, case.intake.order.epochs)
        rise = final / initial - 1 if initial > 0 else 0.0
        problems = _compare_metrics(case, measured) + _compare_order(case, log)
        if rise > limit:
            problems.append(
                f"loss rose by {rise:.1%} (from {initial:.3f} to {final:.3f}); at most "
                f"{limit:.1%} is accepted"
            )
        num_tokens = int(log.tokens.sum())
        return decide(
            problems,
            initial_loss=measured["initial_loss"],
            final_loss=measured["final_loss"],
            first_epoch_loss=initial,
            last_epoch_loss=final,
            loss_rise=rise,
            max_gradient_norm=float(measured["max_gradient_norm"]),
            num_steps=len(log),
            num_tokens_processed=num_tokens,
            processed_share=num_tokens / (case.intake.order.num_tokens * case.intake.order.epochs),
        )


def measure_log(log: TrainingLog) -> dict[str, float]:
    """Return the metrics that follow from a log, by their names in the manifest."""
    tenth = max(1, len(log) // 10)
    return {
        "num_steps": len(log),
        "num_tokens_processed": int(log.tokens.sum()),
        "initial_loss": math.fsum(log.loss[:tenth]) / tenth,
        "final_loss": math.fsum(log.loss[-tenth:]) / tenth,
        "mean_gradient_norm": math.fsum(log.gradient_norm) / len(log),
        "max_gradient_norm": float(log.gradient_norm.max()),
        "learning_rate_sum": math.fsum(log.learning_rate),
    }


def measure_rise(log: TrainingLog, epochs: int) -> tuple[float, float]:
    """Return (loss before, loss after) in nats per token: of the first and the last epoch."""
    if epochs == 1:
        measured = measure_log(log)
        return measured["initial_loss"], measured["final_loss"]
    first, last = log.epoch == 1, log.epoch == epochs
    return (
        float(np.average(log.loss[first], weights=log.tokens[first])),
        float(np.average(log.loss[last], weights=log.tokens[last])),
    )


def _compare_metrics(case: Case, measured: dict[str, float]) -> list[str]:
    claimed = case.submission.metrics
    return [
        f"{name} is {getattr(claimed, name)} in the manifest, {value} in the log"
        for name, value in measured.items()
        if not math.isclose(getattr(claimed, name), value, rel_tol=TOLERANCE, abs_tol=1e-12)
    ]


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
    if math.fsum(log.learning_rate) > allowed * (1 + TOLERANCE):
        problems.append("learning rates are above the order's")
    return problems
