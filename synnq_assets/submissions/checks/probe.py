"""A small step along the update does not hurt on held-out text; how much it helps is the score.

Loss is taken of the base checkpoint and of base + probe_step * update, on rows that no node has
seen. The score is 1 where the loss does not rise, and falls to 0 at the largest accepted rise.

The whole model is held in memory once; where that is too much, the recipe sets `intake.probe` to
false, and every score is 1.

Source: the proxy step and loss score of Gauntlet, arXiv:2505.21684.
"""

import math
from typing import Any, ClassVar

import numpy as np

from synnq_assets.errors import SubmissionError
from synnq_assets.storage.files import describe_file
from synnq_assets.storage.tensors import Array
from synnq_assets.submissions.checks.base import Check, Outcome, passed, refused
from synnq_assets.submissions.intake import Case


class ProbeCheck(Check):
    """Measure the held-out loss before and after a share of the update."""

    name: ClassVar[str] = "probe"
    needs: ClassVar[tuple[str, ...]] = ("finite",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        if not case.intake.settings.probe:
            return passed(skipped=True, score=1.0)
        rows_BT = read_probe(case)
        before, after = _measure(case, rows_BT)
        rise = (after - before) / before if before > 0 else 0.0
        limit = case.intake.settings.max_probe_loss_rise
        found: dict[str, float | int] = {
            "base_loss": before,
            "probe_loss": after,
            "loss_rise": rise,
            "score": score_rise(rise, limit),
            "num_tokens": int(rows_BT.size),
        }
        if not math.isfinite(after):
            return refused("the held-out loss is not finite after a step along the update", **found)
        if rise > limit:
            return refused(
                f"the held-out loss rises by {rise:.2%} along the update; at most {limit:.2%} is "
                "accepted",
                **found,
            )
        return passed(**found)


def score_rise(rise: float, limit: float) -> float:
    """Return 1 where the loss does not rise, falling linearly to 0 at the limit."""
    if rise <= 0:
        return 1.0
    return max(0.0, 1.0 - rise / limit) if limit > 0 and math.isfinite(rise) else 0.0


def read_probe(case: Case) -> Array:
    """Return as many rows as the settings ask for.

    Raises:
        SubmissionError: the probe is missing, not rows of token ids, or of another vocabulary.
    """
    path = case.intake.probe
    try:
        rows: Array = np.load(str(path), allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise SubmissionError(f"cannot read probe {path}: {error}") from error
    if rows.ndim != 2 or rows.dtype.kind not in "ui" or rows.shape[0] < 1 or rows.shape[1] < 2:
        raise SubmissionError(f"probe {path} must be rows of token ids, [B, T] with T >= 2")
    num_rows = max(1, case.intake.settings.probe_tokens // rows.shape[1])
    chosen = np.asarray(rows[:num_rows])
    if int(chosen.max()) >= case.intake.recipe.tokenizer.vocab_size:
        raise SubmissionError(f"probe {path} holds token ids beyond the recipe's vocabulary")
    return chosen


def verify_base(case: Case) -> None:
    """Compare the base checkpoint that is about to be loaded with the one that the order names.

    Raises:
        SubmissionError: it is another; no submission can be judged by it.
    """
    path = case.intake.base_model
    try:
        found = describe_file(path)
    except OSError as error:
        raise SubmissionError(f"cannot read base checkpoint {path}: {error.strerror}") from error
    if found.sha256 not in {file.sha256 for file in case.intake.order.base.files}:
        raise SubmissionError(
            f"base checkpoint {path} is not the one that the order names; restore it from a backup"
        )


def _measure(case: Case, rows_BT: Array) -> tuple[float, float]:
    from synnq_assets.modeling.models import build_model, load_weights, mean_loss, read_weights

    verify_base(case)
    model: Any = build_model(case.intake.recipe)
    load_weights(model, read_weights(case.intake.base_model))
    before = mean_loss(model, rows_BT)
    _add_update(model, case)
    return before, mean_loss(model, rows_BT)


def _add_update(model: Any, case: Case) -> None:
    import torch

    with case.open_update() as update, torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.from_numpy(update.read_float32(name)).reshape(parameter.shape)
            parameter.add_(values, alpha=case.intake.settings.probe_step)
