"""The training log holds the expected figures and nothing else, step by step as ordered."""

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
        largest = training.sequence_tokens * training.batch_sequences
        if log.tokens.min() < 1 or log.tokens.max() > largest:
            problems.append(f"a step must train 1 to {largest} tokens")
        strangers = set(log.shard_ids) - {shard.shard_id for shard in order.shards}
        if strangers:
            problems.append(f"{len(strangers)} values of shard_id are not shards of the order")
        taken = Counter(zip(log.shard.tolist(), log.epoch.tolist(), strict=True))
        found = {(log.shard_ids[k], epoch): count for (k, epoch), count in taken.items()}
        expected = {
            (shard.shard_id, epoch): count_epoch_steps(shard, training)
            for shard in order.shards
            for epoch in range(1, order.epochs + 1)
        }
        if not strangers and found != expected:
            problems.append(
                f"took {len(log)} steps, the order takes {sum(expected.values())}: a fixed "
                "number of each shard in each epoch"
            )
        return decide(
            problems,
            num_rows=len(log),
            num_shards=len(log.shard_ids),
            num_epochs=int(log.epoch.max()),
        )
