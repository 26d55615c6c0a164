"""From an order to a submission: verify, open, train, answer. Imports no torch until it trains."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synnq_assets.records.base import now_at
from synnq_assets.records.orders import Order
from synnq_assets.settings.node import Launch, NodeSettings, read_launch
from synnq_assets.settings.recipe import Recipe
from synnq_assets.storage.tokens import TokenShard
from synnq_assets.training.believing import believe_order
from synnq_assets.training.folder import JobFolder
from synnq_assets.training.interrupts import RequeueError, StopFlag
from synnq_assets.training.opening import open_shards, record_exposure
from synnq_assets.training.progress import Reporter
from synnq_assets.training.verifying import (
    MODEL_FILE,
    is_answered,
    parse_claimed_assignment,
    read_recipe,
    verify_base,
    verify_deadline,
)
from synnq_assets.trust.keyfiles import node_key_file
from synnq_assets.trust.keys import SigningKey

if TYPE_CHECKING:
    import torch

    from synnq_assets.training.checkpoints import RunState

Transform = Callable[[dict[str, "torch.Tensor"]], dict[str, "torch.Tensor"]]


@dataclass(frozen=True)
class _Job:
    """What every part of a run needs to know."""

    folder: JobFolder
    node: NodeSettings
    launch: Launch
    reporter: Reporter
    stop: StopFlag


def run_order(
    order_path: Path, node: NodeSettings, *, transform_update: Transform | None = None
) -> Path:
    """Carry out an order; return the submission folder. Calling again is harmless.

    Args:
        order_path: `order.json` in its job folder, on the compute side.
        node: this node's own settings.
        transform_update: test seam for adversarial nodes: changes the float32 update on the first
            rank just before it is rounded and signed. None in every honest node.

    Raises:
        OrderError: the order, its recipe or its base checkpoint cannot be trusted.
        ShardError: a shard is missing, damaged or not what the order says.
        TrainingError: training cannot go on; the last checkpoint is intact.
        RequeueError: a signal asked to stop; start the same order again to go on.
        SynnqError: settings, keys or the disk fail; the message says which.
    """
    folder, launch = JobFolder(order_path.resolve()), read_launch()
    data = folder.read_order()
    assignment_id = parse_claimed_assignment(data)
    reporter = Reporter(folder.progress_path, assignment_id, is_enabled=launch.rank == 0)
    with StopFlag() as stop:
        try:
            _run(_Job(folder, node, launch, reporter, stop), data, transform_update)
        except RequeueError:
            reporter.report("checkpointed")
            raise
        except Exception as error:
            reporter.report_failure(error)
            raise
    return folder.submission_dir


def _run(job: _Job, data: bytes, transform: Transform | None) -> None:
    job.reporter.report("verifying")
    # The signing key is read now, not after days of training.
    signing_key = SigningKey.read(node_key_file(job.node, "signing"))
    is_first = job.launch.rank == 0
    order = believe_order(data, job.folder, job.node, signing_key.public_key, remember=is_first)
    if not is_answered(job.folder, order, signing_key):
        verify_deadline(order, now_at())
        recipe = read_recipe(job.folder.recipe_path, order)
        job.reporter.follow(recipe)
        if job.launch.rank == 0:
            verify_base(job.folder, order)
        job.reporter.report("opening")
        vocab_size = recipe.tokenizer.vocab_size
        shards = open_shards(order, job.folder, job.node, vocab_size=vocab_size)
        if job.launch.rank == 0 and job.node.exposure_file is not None:
            record_exposure(job.node.exposure_file, [shard.shard_id for shard in order.shards])
        state = _train(job, order, recipe, shards, transform)
        if job.launch.rank == 0:
            _sign(job, order, recipe, state, signing_key)
    if job.launch.rank == 0:
        shutil.rmtree(job.folder.work_dir, ignore_errors=True)
    job.reporter.report("done")


def _train(
    job: _Job,
    order: Order,
    recipe: Recipe,
    shards: tuple[TokenShard, ...],
    transform: Transform | None,
) -> "RunState":
    import torch

    from synnq_assets.training.answering import write_files
    from synnq_assets.training.checkpoints import CheckpointStore, RunState
    from synnq_assets.training.loop import TrainingLoop, build_schedule
    from synnq_assets.training.parallel import ModelSource
    from synnq_assets.training.ranks import open_ranks
    from synnq_assets.training.strategies import find_strategy

    settings = recipe.training
    schedule = build_schedule(order, shards, settings)
    variant = job.node.parallelism or settings.parallelism
    strategy_type = find_strategy(variant)
    torch.set_num_threads(job.node.threads)
    job.reporter.report("building")
    with open_ranks(job.launch, needs_group=strategy_type.needs_group) as ranks:
        source = ModelSource(recipe, job.folder.checkpoint_dir / MODEL_FILE)
        strategy = strategy_type(source, settings, ranks, variant.params)
        store = CheckpointStore(job.folder.work_dir, order.digest(), strategy, ranks)
        state = store.load_latest() or RunState(started_at=now_at())
        job.reporter.report("training")
        TrainingLoop(
            order, shards, schedule, settings, strategy, ranks, store, job.reporter, job.stop
        ).run(state)
        job.reporter.report("writing")
        write_files(job.folder, recipe, strategy, state, transform)
        ranks.wait()
    return state


def _sign(job: _Job, order: Order, recipe: Recipe, state: "RunState", key: SigningKey) -> None:
    from synnq_assets.training.answering import write_manifest
    from synnq_assets.training.logs import build_metrics, build_windows

    metrics = build_metrics(
        order,
        build_windows(state.rows, recipe),
        wall_seconds=state.wall_seconds,
        energy_joules=state.energy_joules,
        world_size=job.launch.world_size,
    )
    write_manifest(job.folder, order, metrics, state.started_at, key)
