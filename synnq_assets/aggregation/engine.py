"""One round: weights, two streamed passes over the files, and the next checkpoint.

Every file is hashed before it counts, through the descriptor that it is then read from. Pass 1
measures every update (norms per tensor, Gram matrix). Pass 2 reads base, momentum and updates
again, block by block: clip, combine by the rule, outer step, write. What is held at a time is one
block of each file, whatever the model's size. All sums run in canonical order and float64; results
are rounded to float32 once. So the same inputs give the same bytes, in whichever order they
arrived.

Shapes: T tensors, N submissions, B elements of a tile.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synnq_assets.aggregation.candidates import Candidate, PinnedFile, order_candidates
from synnq_assets.aggregation.clipping import build_clip_factors
from synnq_assets.aggregation.geometry import (
    TILE_ELEMENTS,
    Float64,
    UpdateGeometry,
    measure_updates,
)
from synnq_assets.aggregation.inputs import Float32, RoundInputs, open_inputs
from synnq_assets.aggregation.outer import OuterOptimizer, build_outer
from synnq_assets.aggregation.result import AggregationResult, MemoryMeter, build_contributions
from synnq_assets.aggregation.rules import Rule, build_rule
from synnq_assets.aggregation.weights import Weight, weigh_candidates
from synnq_assets.errors import AggregationError, StorageError
from synnq_assets.settings.recipe import AggregationSettings
from synnq_assets.storage.files import describe_file, sync_folder
from synnq_assets.storage.tensors import TensorWriter

MODEL_FILE = "model.safetensors"
OUTER_FILE = "outer.safetensors"
OUTER_FORMAT = "synnq-outer-1"


@dataclass(frozen=True)
class _Roster:
    """Who takes part, by which rule. Weightless submissions are listed, but not combined."""

    rule: Rule
    outer: OuterOptimizer
    candidates: tuple[Candidate, ...]  # in canonical order
    weights: tuple[Weight, ...]

    @property
    def active(self) -> list[int]:
        return [i for i, weight in enumerate(self.weights) if weight.weight > 0]

    @property
    def weights_N(self) -> Float64:  # noqa: N802 - shape suffix
        return np.array([self.weights[i].weight for i in self.active])


class _Plan:
    """What pass 2 needs, for the active submissions."""

    def __init__(
        self, roster: _Roster, inputs: RoundInputs, factors_TN: Float64, block_elements: int
    ) -> None:
        self.rule, self.outer = roster.rule, roster.outer
        self.inputs = inputs
        self.factors_TN = factors_TN  # of all submissions
        self.block_elements = block_elements
        self.memory = MemoryMeter()
        self.updates = tuple(inputs.updates[i] for i in roster.active)
        self.weights_N = roster.weights_N
        self.active_factors_TN = factors_TN[:, roster.active]


def aggregate_round(
    *,
    base: PinnedFile,
    outer_state: PinnedFile | None,
    candidates: Sequence[Candidate],
    settings: AggregationSettings,
    out_dir: Path,
) -> AggregationResult:
    """Write the next global checkpoint into `out_dir`: both files, or neither.

    Args:
        base: `model.safetensors` (F32) of the parent checkpoint.
        outer_state: `outer.safetensors` of the parent; None starts with zero momentum.
        candidates: accepted submissions, in any order.
        settings: rule, outer optimiser, weights and block size.
        out_dir: gets `model.safetensors`, and `outer.safetensors` where the optimiser has a state.

    Raises:
        SettingsError: unknown rule or optimiser, or their parameters are wrong.
        AggregationError: no candidate, all weights zero, the rule's condition fails, a file is not
            the one that was recorded, or files disagree in schema, hold NaN or infinity, or end
            too early. The parent is untouched.
        StorageError: the disk refuses; nothing was published.
    """
    started = time.perf_counter()
    roster = _call_roster(candidates, settings)
    with ExitStack() as stack:
        inputs = open_inputs(stack, base, outer_state, roster.candidates, roster.outer)
        geometry = measure_updates(inputs.updates, inputs.names, settings.block_elements)
        plan = _Plan(roster, inputs, _clip(geometry, roster, settings), settings.block_elements)
        update_norm = _publish(plan, out_dir)
    files = (describe_file(out_dir / MODEL_FILE),)
    outer_files = (describe_file(out_dir / OUTER_FILE),) if roster.outer.has_state else ()
    seconds = time.perf_counter() - started
    norms = zip(inputs.names, geometry.norms_TN.tolist(), strict=True)
    return AggregationResult(
        contributions=build_contributions(
            roster.candidates, roster.weights, geometry, plan.factors_TN
        ),
        files=files,
        outer_files=outer_files,
        update_norm=update_norm,
        rule=roster.rule.name,
        outer=roster.outer.name,
        cosines=tuple(tuple(row) for row in geometry.cosines.tolist()),
        node_order=tuple(candidate.node_id for candidate in roster.candidates),
        tensor_norms={name: tuple(row) for name, row in norms},
        num_elements=inputs.num_elements,
        seconds=seconds,
        peak_memory_bytes=plan.memory.peak_bytes,
        elements_per_second=inputs.num_elements / seconds,
    )


def _call_roster(candidates: Sequence[Candidate], settings: AggregationSettings) -> _Roster:
    rule, outer = build_rule(settings.rule), build_outer(settings.outer)
    ordered = order_candidates(candidates)
    weights = weigh_candidates(ordered, settings)
    roster = _Roster(rule, outer, ordered, weights)
    rule.verify_condition(roster.weights_N)
    return roster


def _clip(geometry: UpdateGeometry, roster: _Roster, settings: AggregationSettings) -> Float64:
    """Return the factors [T, N] of all submissions; the median is that of the active ones."""
    active = roster.active
    factors_TN = np.ones_like(geometry.norms_TN)
    if settings.clip_to_median_norm:
        factors_TN[:, active] = build_clip_factors(geometry.norms_TN[:, active])
    return factors_TN


@contextmanager
def _building_folder(out_dir: Path) -> Iterator[Path]:
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".building-", dir=out_dir))
    except OSError as error:
        raise StorageError(f"cannot write below {out_dir}: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(plan: _Plan, out_dir: Path) -> float:
    """Write both files beside their place, then rename them; return the combined update's norm."""
    with _building_folder(out_dir) as folder:
        update_norm = _write_checkpoint(plan, folder)
        try:
            for name in (OUTER_FILE, MODEL_FILE):  # the model last: with it, the pair is complete
                if (folder / name).exists():
                    os.replace(folder / name, out_dir / name)
            sync_folder(out_dir)
        except OSError as error:
            raise StorageError(f"cannot publish into {out_dir}: {error.strerror}") from error
    return update_norm


def _write_checkpoint(plan: _Plan, folder: Path) -> float:
    base = plan.inputs.base.file
    schema = {name: ("F32", base.tensors[name].shape) for name in plan.inputs.names}
    squared = 0.0
    with ExitStack() as stack:
        model = stack.enter_context(TensorWriter(folder / MODEL_FILE, schema, base.metadata))
        state = None
        if plan.outer.has_state:
            metadata = {"format": OUTER_FORMAT, "outer": plan.outer.name}
            state = stack.enter_context(TensorWriter(folder / OUTER_FILE, schema, metadata))
        for t, name in enumerate(plan.inputs.names):
            for begin, end in base.iter_blocks(name, plan.block_elements):
                weights_B, momentum_B, block_squared = _step_block(plan, t, begin, end)
                model.append(name, weights_B)
                if state is not None:
                    state.append(name, momentum_B)
                squared += block_squared
                plan.memory.sample()
    return float(np.sqrt(squared))


def _step_block(plan: _Plan, t: int, begin: int, end: int) -> tuple[Float32, Float32, float]:
    """Return (weights, momentum, squared norm of the combined update) of one block."""
    name = plan.inputs.names[t]
    base = plan.inputs.base.read(name, begin, end)
    state = plan.inputs.momentum
    momentum = np.zeros_like(base) if state is None else state.read(name, begin, end)
    updates = [update.read(name, begin, end) for update in plan.updates]
    new_weights, new_momentum = np.empty_like(base), np.empty_like(base)
    squared = 0.0
    for tile in (slice(k, k + TILE_ELEMENTS) for k in range(0, len(base), TILE_ELEMENTS)):
        scaled_NB = np.stack([update[tile] for update in updates], dtype=np.float64)
        scaled_NB *= plan.active_factors_TN[t][:, None]
        update_B = plan.rule.combine(scaled_NB, plan.weights_N)
        weights_B, momentum_B = plan.outer.step(
            base[tile].astype(np.float64), momentum[tile].astype(np.float64), update_B
        )
        new_weights[tile] = _round(weights_B, name)
        new_momentum[tile] = _round(momentum_B, name)
        squared += float(np.add.reduce(update_B * update_B))
    return new_weights, new_momentum, squared


def _round(values_B: Float64, name: str) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        rounded = values_B.astype(np.float32)
    if not np.isfinite(rounded).all():
        raise AggregationError(
            f"{name}: the next checkpoint would hold NaN or infinity; look at the parent "
            "checkpoint and at the outer learning rate"
        )
    return rounded
