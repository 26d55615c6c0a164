"""The training loop: steps, log, reports, checkpoints. Every rank runs it in step."""

import math
import time
from dataclasses import dataclass

from synnq_assets.errors import TrainingError
from synnq_assets.records.orders import Order
from synnq_assets.settings.node import read_visible_devices
from synnq_assets.settings.recipe import TrainingSettings
from synnq_assets.storage.tokens import TokenShard
from synnq_assets.training.batches import PlannedStep, Schedule, build_batch, select_rank_rows
from synnq_assets.training.checkpoints import CheckpointStore, RunState
from synnq_assets.training.counters import EnergyMeter, NoCounters, find_counters
from synnq_assets.training.diagnostics import Sampler
from synnq_assets.training.interrupts import RequeueError, StopFlag
from synnq_assets.training.logs import LogRow
from synnq_assets.training.parallel import Strategy
from synnq_assets.training.progress import Reporter
from synnq_assets.training.ranks import Ranks


def build_schedule(
    order: Order, shards: tuple[TokenShard, ...], settings: TrainingSettings
) -> Schedule:
    """Return the order's steps.

    Raises:
        TrainingError: the shards hold not one target.
    """
    schedule = Schedule(
        shard_tokens=tuple(shard.num_tokens for shard in shards),
        sequence_tokens=settings.sequence_tokens,
        batch_sequences=settings.batch_sequences,
        epochs=order.epochs,
        seed=order.seed,
    )
    if schedule.num_steps == 0:
        raise TrainingError("the order's shards hold no token to predict; nothing to train")
    return schedule


@dataclass
class TrainingLoop:
    """All that the loop works with."""

    order: Order
    shards: tuple[TokenShard, ...]
    schedule: Schedule
    settings: TrainingSettings
    strategy: Strategy
    ranks: Ranks
    store: CheckpointStore
    reporter: Reporter
    stop: StopFlag

    def run(self, state: RunState) -> None:
        """Train from `state` to the end of the order, and leave the figures in it.

        Raises:
            TrainingError: the loss or gradient is no longer finite, or a checkpoint failed.
            RequeueError: a signal asked to stop; a checkpoint was written.
        """
        is_reader = self.ranks.launch.local_rank == 0
        counters = find_counters(read_visible_devices()) if is_reader else NoCounters()
        clock = _Clock(state, EnergyMeter(counters), self.ranks)
        with Sampler(counters, state.diagnostics, offset_seconds=state.wall_seconds) as sampler:
            for planned in self.schedule.iterate(state.step):
                row, is_stopped = self._run_step(planned)
                state.rows.append(row)
                clock.report(self.reporter, self.schedule.num_steps)
                is_last = state.step == self.schedule.num_steps
                is_stopped = is_stopped and not is_last
                if is_stopped or state.step % self.settings.checkpoint_every_steps == 0:
                    clock.update()
                    state.diagnostics = sampler.rows
                    self.store.save(state)
                if is_stopped:
                    raise RequeueError(
                        f"asked to stop; checkpointed at step {state.step} of "
                        f"{self.schedule.num_steps}: start the job again to go on"
                    )
        state.diagnostics = sampler.rows
        clock.update()

    def _run_step(self, planned: PlannedStep) -> tuple[LogRow, bool]:
        began = time.perf_counter()
        learning_rate = self.order.lr.at(planned.index / self.schedule.num_steps)
        batch = build_batch(
            self.shards[planned.shard_index].tokens, planned.windows, self.settings.sequence_tokens
        )
        launch = self.ranks.launch
        own = select_rank_rows(batch, launch.rank, launch.world_size)
        result = self.strategy.step(own, learning_rate)
        loss_sum, num_stopped = self.ranks.sum([result.loss_sum, float(self.stop.is_raised)])
        loss = loss_sum / batch.num_targets
        verify_finite(planned.index, loss, result.gradient_norm)
        row = LogRow(
            step=planned.index,
            epoch=planned.epoch,
            shard=planned.shard_index,
            tokens=batch.num_targets,
            loss=loss,
            gradient_norm=result.gradient_norm,
            learning_rate=learning_rate,
            tokens_per_second=batch.num_targets / (time.perf_counter() - began),
        )
        return row, num_stopped > 0


def verify_finite(step: int, loss: float, gradient_norm: float) -> None:
    """Refuse to go on from a step whose figures are NaN or infinite.

    Raises:
        TrainingError: they are; the last checkpoint is from before.
    """
    if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
        raise TrainingError(
            f"training diverged at step {step}: loss {loss}, gradient norm {gradient_norm}; "
            "lower the learning rate, or look for a damaged base checkpoint"
        )


class _Clock:
    """Time and energy of this attempt, on top of what the attempts before took."""

    def __init__(self, state: RunState, meter: EnergyMeter, ranks: Ranks) -> None:
        self._state, self._meter, self._ranks = state, meter, ranks
        self._before = (state.wall_seconds, state.energy_joules)
        self._num_tokens = 0
        self._begin = time.monotonic()

    def update(self) -> None:
        """Bring the state's seconds and joules up to date; every rank must call.

        One rank a host reads its counter. If a host has none, the job's energy is unknown.
        """
        self._state.wall_seconds = self._before[0] + time.monotonic() - self._begin
        is_reader = self._ranks.launch.local_rank == 0
        joules = self._meter.read_joules() if is_reader else 0.0
        total, num_unknown = self._ranks.sum([joules or 0.0, float(joules is None)])
        before = self._before[1]
        self._state.energy_joules = None if num_unknown or before is None else before + total

    def report(self, reporter: Reporter, num_steps: int) -> None:
        """Report the last step, with the throughput of this attempt."""
        last = self._state.rows[-1]
        self._num_tokens += last.tokens
        reporter.report_step(
            self._state.step,
            num_steps,
            loss=last.loss,
            tokens=last.tokens,
            tokens_per_second=self._num_tokens / (time.monotonic() - self._begin),
        )
