"""Windows, epochs and steps: which tokens a step sees, whatever runs it.

A shard is cut into windows of S targets: window k reads tokens [kS, kS+S) and predicts
[kS+1, kS+S+1); its documents lie back to back, each closed by end-of-text. The last window may be
short; nothing is dropped. A step takes windows of one shard; windows and turns are shuffled by a
seed that depends only on the order, so that every parallelism and every restart trains on the same
batches.

Shapes: B rows of a batch, S sequence tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synnq_assets.storage.tensors import Array

IGNORED = -100  # label of a position that has no target; torch's default ignore_index
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PlannedStep:
    """One optimizer step: which windows of which shard."""

    index: int  # from 0, over the whole order
    epoch: int  # from 1, within the shard
    shard_index: int
    windows: Ids  # [B] window numbers


@dataclass(frozen=True)
class Schedule:
    """All steps of an order. Within an epoch the shards take turns, dealt by the order's seed.

    Shard after shard, each for all its epochs, would leave the model tuned to the last shard's
    language; the tokens and epochs per shard are the same.
    """

    shard_tokens: tuple[int, ...]  # tokens per shard
    sequence_tokens: int
    batch_sequences: int
    epochs: int
    seed: int

    def count_windows(self, shard_index: int) -> int:
        """Windows of a shard: its targets (tokens less one) over S, rounded up."""
        return -(-(self.shard_tokens[shard_index] - 1) // self.sequence_tokens)

    def _steps_per_epoch(self, shard_index: int) -> int:
        return -(-self.count_windows(shard_index) // self.batch_sequences)

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole order."""
        per_epoch = sum(self._steps_per_epoch(k) for k in range(len(self.shard_tokens)))
        return self.epochs * per_epoch

    def iterate(self, first: int = 0) -> Iterator[PlannedStep]:
        """Yield the steps from number `first` on."""
        index = 0
        for epoch in range(1, self.epochs + 1):
            turns = self._deal_turns(epoch)
            if index + len(turns) > first:
                yield from self._iterate_epoch(epoch, turns, index, first)
            index += len(turns)

    def _deal_turns(self, epoch: int) -> Ids:
        """Return which shard each step of an epoch takes its windows from."""
        steps = [self._steps_per_epoch(k) for k in range(len(self.shard_tokens))]
        turns = np.repeat(np.arange(len(steps)), steps)
        return np.random.default_rng([self.seed, epoch]).permutation(turns)

    def _iterate_epoch(
        self, epoch: int, turns: Ids, begin: int, first: int
    ) -> Iterator[PlannedStep]:
        shuffled: dict[int, Ids] = {}
        taken: dict[int, int] = {}
        for index, turn in enumerate(turns.tolist(), begin):
            if turn not in shuffled:
                shuffled[turn] = self._shuffle(turn, epoch)
            chunk = taken[turn] = taken.get(turn, -1) + 1
            if index >= first:
                window = chunk * self.batch_sequences
                windows = shuffled[turn][window : window + self.batch_sequences]
                yield PlannedStep(index, epoch, turn, windows)

    def _shuffle(self, shard_index: int, epoch: int) -> Ids:
        generator = np.random.default_rng([self.seed, shard_index, epoch])
        return generator.permutation(self.count_windows(shard_index))


@dataclass(frozen=True)
class Batch:
    """Rows of one step, or one rank's share of them."""

    inputs_BS: Ids
    labels_BS: Ids  # IGNORED where there is no target
    num_targets: int  # of the whole step, over all ranks


def build_batch(tokens: Array, windows: Ids, sequence_tokens: int) -> Batch:
    """Cut windows out of a shard.

    Shapes: tokens [num_tokens], windows [B] -> inputs and labels [B, S].
    """
    positions = windows[:, None] * sequence_tokens + np.arange(sequence_tokens + 1)
    is_inside = positions < len(tokens)
    ids = tokens[np.minimum(positions, len(tokens) - 1)].astype(np.int64)
    labels = np.where(is_inside[:, 1:], ids[:, 1:], IGNORED)
    inputs = np.where(is_inside[:, :-1], ids[:, :-1], 0)
    return Batch(inputs, labels, int(is_inside[:, 1:].sum()))


def select_rank_rows(batch: Batch, rank: int, world_size: int) -> Batch:
    """Return one rank's rows. All ranks get equally many: missing rows carry no target."""
    num_rows = -(-len(batch.inputs_BS) // world_size)
    rows = slice(rank * num_rows, (rank + 1) * num_rows)
    inputs, labels = batch.inputs_BS[rows], batch.labels_BS[rows]
    missing = ((0, num_rows - len(inputs)), (0, 0))
    return Batch(
        np.pad(inputs, missing), np.pad(labels, missing, constant_values=IGNORED), batch.num_targets
    )
