"""The answer to an order: the weight update, the logs, and the signed manifest, written last.

The update is local weights minus base weights, subtracted in float32 and rounded to bf16; adding it
to the base gives the node's weights. All ranks take part in gathering; the first one writes.
"""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from synnq_assets import __version__
from synnq_assets.errors import TrainingError
from synnq_assets.modeling.models import MODEL_FILE, write_weights
from synnq_assets.records.base import UtcTime, now_at
from synnq_assets.records.orders import Order
from synnq_assets.records.submissions import Submission, TrainingMetrics
from synnq_assets.settings.recipe import Recipe
from synnq_assets.storage.files import describe_file, write_atomically
from synnq_assets.storage.tensors import TensorFile, TensorWriter, digest_schema, float32_to_bf16
from synnq_assets.training.checkpoints import RunState
from synnq_assets.training.folder import JobFolder
from synnq_assets.training.logs import (
    DIAGNOSTICS,
    TRAINING_LOG,
    build_windows,
    write_diagnostics,
    write_training_log,
)
from synnq_assets.training.parallel import Strategy
from synnq_assets.trust.envelopes import sign_record
from synnq_assets.trust.keys import SigningKey

UPDATE = "update.safetensors"
Transform = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


def iterate_update(strategy: Strategy, base: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield local minus base in float32, by name; every rank must exhaust it.

    Raises:
        TrainingError: a weight is no longer finite.
    """
    with TensorFile(base) as file:
        for name, local in strategy.iterate_weights():
            values = torch.from_numpy(file.read_float32(name).copy()).reshape(local.shape)
            update = local - values
            if not bool(torch.isfinite(update).all()):
                raise TrainingError(f"weight {name} is not finite after training; nothing is sent")
            yield name, update


def write_update(
    path: Path,
    updates: Iterator[tuple[str, torch.Tensor]],
    base: Path,
    transform: Transform | None,
) -> None:
    """Write the update as BF16 safetensors, one tensor in memory at a time.

    Raises:
        StorageError: the disk is full or refuses; nothing is left.
    """
    metadata = {"format": "pt"}
    if transform is not None:
        write_weights(path, transform(dict(updates)), dtype="BF16", metadata=metadata)
        return
    with TensorFile(base) as file:
        schema = {name: ("BF16", info.shape) for name, info in file.tensors.items()}
    with TensorWriter(path, schema, metadata) as writer:
        for name, update in updates:
            writer.append(name, float32_to_bf16(update.numpy()))


def build_submission(
    order: Order, folder: Path, metrics: TrainingMetrics, started_at: UtcTime
) -> Submission:
    """Return the manifest of the files in a submission folder."""
    with TensorFile(folder / UPDATE) as file:
        schema_sha256 = digest_schema(file.schema)
    return Submission(
        federation=order.federation,
        round=order.round,
        assignment_id=order.assignment_id,
        node_id=order.node_id,
        agreement_sha256=order.agreement_sha256,
        order_sha256=order.digest(),
        base_checkpoint_sha256=order.base.checkpoint_sha256,
        shard_ids=tuple(shard.shard_id for shard in order.shards),
        files=tuple(describe_file(folder / name) for name in (UPDATE, TRAINING_LOG, DIAGNOSTICS)),
        tensor_schema_sha256=schema_sha256,
        metrics=metrics,
        privacy_claim=None,
        payload_version=__version__,
        image_sha256=order.image_sha256,
        started_at=started_at,
        finished_at=now_at(),
        nonce=secrets.token_hex(32),
    )


def write_files(
    folder: JobFolder,
    recipe: Recipe,
    strategy: Strategy,
    state: RunState,
    transform: Transform | None,
) -> None:
    """Write update and logs; every rank must call, the first one writes.

    Raises:
        PrivacyError: a log holds what may not leave this node.
        StorageError: the disk is full or refuses.
        TrainingError: a weight is not finite.
    """
    base = folder.checkpoint_dir / MODEL_FILE
    updates = iterate_update(strategy, base)
    if not strategy.ranks.is_first:
        for _ in updates:
            pass
        return
    write_update(folder.submission_dir / UPDATE, updates, base, transform)
    windows = build_windows(state.rows, recipe)
    write_training_log(folder.submission_dir / TRAINING_LOG, windows)
    write_diagnostics(folder.submission_dir / DIAGNOSTICS, state.diagnostics)


def write_manifest(
    folder: JobFolder, order: Order, metrics: TrainingMetrics, started_at: UtcTime, key: SigningKey
) -> None:
    """Sign the manifest; with it the submission is complete."""
    submission = build_submission(order, folder.submission_dir, metrics, started_at)
    write_atomically(folder.submission_path, sign_record(submission, key))
