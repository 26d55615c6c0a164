"""No tensor moved further than the order's learning rates can move it.

AdamW changes a weight by at most lr * c per step, with c from `bound_adam_step`, and its decoupled
decay takes at most lr * decay of the weight itself. Over a job, by the triangle inequality,

    rms(update) <= sum(lr) * (c + decay * rms(base))

for every tensor, with the learning rates and steps of the order. Honest updates stay well below,
since gradients change sign; an update that was scaled up does not. bf16 adds its rounding.

Sources: Kingma and Ba 2015, arXiv:1412.6980, section 2.1; Loshchilov and Hutter 2019 (AdamW),
arXiv:1711.05101.
"""

from typing import ClassVar

from synnq_assets.records.submissions import Figure
from synnq_assets.submissions.bounds import bound_adam_step, bound_learning_rate_sum, count_steps
from synnq_assets.submissions.checks.base import Check, Outcome, passed, refused
from synnq_assets.submissions.intake import Case, measure_tensor

BF16_ROUNDING = 2.0**-8


class StepBoundCheck(Check):
    """Find the tensor that moved furthest, relative to what it may."""

    name: ClassVar[str] = "step_bound"
    needs: ClassVar[tuple[str, ...]] = ("finite",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        training, order = case.intake.recipe.training, case.intake.order
        num_steps = count_steps(order, training)
        rate_sum = bound_learning_rate_sum(order.lr, num_steps)
        per_step = bound_adam_step(training.beta1, training.beta2)
        limit = case.intake.settings.max_step_ratio
        worst, worst_share, worst_ratio = "", -1.0, 0.0
        with case.open_base() as base:
            for name, figures in case.tensor_figures.items():
                decay = training.weight_decay * measure_tensor(base, name).rms
                allowed = limit * rate_sum * (per_step + decay) * (1 + BF16_ROUNDING)
                share = figures.rms / allowed if allowed > 0 else float(figures.rms > 0) * 1e9
                if share > worst_share:
                    worst, worst_share = name, share
                    worst_ratio = figures.rms / rate_sum if rate_sum > 0 else 0.0
        found: dict[str, Figure] = {
            "tensor": worst,
            "step_ratio": worst_ratio,
            "share_of_bound": worst_share,
            "learning_rate_sum": rate_sum,
            "num_steps": num_steps,
        }
        if worst_share > 1:
            return refused(
                f"{worst} moved {worst_share:.2f} times as far as the order's learning rates allow",
                **found,
            )
        return passed(**found)
