"""The training log holds the registered figures and nothing else, as many steps as ordered."""

from collections import Counter
from typing import ClassVar

import numpy as np

from synnq_assets.submissions.bounds import count_epoch_steps
from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case


class TrainingLogCheck(Check):
    """Read the Parquet file; its steps must ascend."""

    name: ClassVar[str] = "training_log"
    needs: ClassVar[tuple[str, ...]] = ("files",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        log, order, training = case.log, case.intake.order, case.intake.recipe.training
        problems = []
        if not (np.diff(log.step) > 0).all():
            problems.append("steps do not ascend")
        if log.num_steps.min() < 1:
            problems.append("a row has no step")
        largest = training.sequence_tokens * training.batch_sequences
        if log.tokens.min() < 1 or (log.tokens > largest * log.num_steps.clip(1)).any():
            problems.append(f"a step must train 1 to {largest} tokens")
        if log.shard.max() >= len(order.shards):
            problems.append(f"a shard is beyond the order's {len(order.shards)}")
        found: Counter[tuple[int, int]] = Counter()
        for shard, epoch, steps in zip(log.shard, log.epoch, log.num_steps, strict=True):
            found[int(shard), int(epoch)] += int(steps)
        expected = {
            (place, epoch): count_epoch_steps(shard, training)
            for place, shard in enumerate(order.shards)
            for epoch in range(1, order.epochs + 1)
        }
        if found != expected:
            problems.append(
                f"took {found.total()} steps, the order takes {sum(expected.values())}: a fixed "
                "number of each shard in each epoch"
            )
        return decide(
            problems,
            num_rows=len(log),
            num_steps=found.total(),
            num_shards=len(set(log.shard.tolist())),
            num_epochs=int(log.epoch.max()),
        )
