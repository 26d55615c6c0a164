"""A small federation for the tests of this room: one model, one node, honest work."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synnq_assets.records.base import sha256_hex
from synnq_assets.records.federation import NodeProfile, NodeRecord
from synnq_assets.records.orders import CheckpointRef, LrSegment, Order, OrderShard, digest_files
from synnq_assets.records.submissions import Submission, TrainingMetrics
from synnq_assets.settings import Recipe
from synnq_assets.storage.files import describe_file, write_atomically
from synnq_assets.storage.tensors import TensorFile, TensorWriter, digest_schema, float32_to_bf16
from synnq_assets.submissions import Intake, judge_submission
from synnq_assets.trust import Keyring, SigningKey, sign_record
from synnq_assets.trust.keyring import KeyEntry
from synnq_assets.trust.keys import SealingKey

ISSUED_AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
NODE = "uni-torino"
ASSIGNMENT = f"r0002.{NODE}.1"
FILES = ("update.safetensors", "training_log.parquet", "diagnostics.parquet")
Tensors = Mapping[str, np.ndarray]


def digest(text: str) -> str:
    return sha256_hex(text.encode())


def make_node(key: SigningKey, node_id: str = NODE, **changes: Any) -> NodeRecord:
    profile = NodeProfile(
        node_id=node_id,
        site="local",
        accelerator="cpu",
        architectures=("*",),
        memory_gib=8.0,
        num_hosts=1,
        num_accelerators=1,
        tokens_per_second=1000.0,
        power_watts=100.0,
        power_cap_watts=200.0,
        thermal_limit_celsius=90.0,
        temperature_celsius=40.0,
        container_runtime="none",
    )
    fields = {
        "node_id": node_id,
        "organisation": "Università di Torino",
        "signing_public_key": key.public_key,
        "sealing_public_key": SealingKey.generate().public_key,
        "profile": profile,
        "agreement_sha256": digest("agreement"),
        "status": "active",
        "enrolled_at": ISSUED_AT - timedelta(days=1),
    }
    return NodeRecord(**{**fields, **changes})


def make_order(base_model: Path, recipe: Recipe, **changes: Any) -> Order:
    """Two shards of 1025 and 513 tokens: 32 and 16 windows, 4 and 2 steps an epoch."""
    file = describe_file(base_model, name="model.safetensors")
    shards = tuple(
        OrderShard(
            shard_id=digest(cell),
            cell=cell,
            num_tokens=num_tokens,
            ciphertext_sha256=digest("c" + cell),
            ciphertext_bytes=5000,
            plaintext_commitment=digest("p" + cell),
            wrapped_key="AAAA",
        )
        for cell, num_tokens in (("de.law", 1025), ("it.news", 513))
    )
    fields = {
        "federation": recipe.federation,
        "round": "r0002",
        "assignment_id": ASSIGNMENT,
        "node_id": NODE,
        "agreement_sha256": digest("agreement"),
        "base": CheckpointRef(
            round="r0001", checkpoint_sha256=digest_files((file,)), files=(file,)
        ),
        "shards": shards,
        "tokenizer_sha256": digest("tokenizer"),
        "recipe_sha256": digest("recipe"),
        "epochs": 2,
        "lr": LrSegment(fractions=(0.0, 0.5, 1.0), learning_rates=(0.002, 0.004, 0.001)),
        "optimizer_state": "reset",
        "seed": 1,
        "image_sha256": None,
        "issued_at": ISSUED_AT,
        "deadline_at": ISSUED_AT + timedelta(hours=2),
        "nonce": digest("nonce"),
    }
    return Order(**{**fields, **changes})


@dataclass(frozen=True)
class Work:
    """What a node has to show: its update, its log and its diagnostics."""

    update: Tensors
    log: Mapping[str, list[Any]]
    diagnostics: Mapping[str, list[Any]] = field(
        default_factory=lambda: {
            "seconds": [0.0, 1.0],
            "cpu_percent": [50.0, 60.0],
            "memory_bytes": [2**30, 2**30],
            "gpu_percent": pa.array([None, None], pa.float64()),
            "gpu_watts": pa.array([None, None], pa.float64()),
        }
    )


def measure_metrics(order: Order, log: Mapping[str, list[Any]]) -> TrainingMetrics:
    """As the payload sums a log up."""
    losses = [loss for loss in log["loss"] if loss is not None]
    rows = zip(log["gradient_norm"], log["num_steps"], strict=True)
    norms = [(norm, steps) for norm, steps in rows if norm is not None]
    rates = zip(log["learning_rate"], log["num_steps"], strict=True)
    tenth = max(1, len(losses) // 10)
    return TrainingMetrics(
        num_tokens=order.num_tokens,
        num_tokens_processed=sum(log["tokens"]),
        num_steps=sum(log["num_steps"]),
        initial_loss=sum(losses[:tenth]) / tenth if losses else None,
        final_loss=sum(losses[-tenth:]) / tenth if losses else None,
        mean_gradient_norm=sum(n * k for n, k in norms) / sum(k for _, k in norms)
        if norms
        else None,
        max_gradient_norm=max(n for n, _ in norms) if norms else None,
        learning_rate_sum=sum(rate * steps for rate, steps in rates),
        tokens_per_second=1000.0,
        wall_seconds=10.0,
        energy_joules=None,
        world_size=1,
    )


def write_update(path: Path, update: Tensors, *, dtype: str = "BF16") -> None:
    schema = {name: (dtype, values.shape) for name, values in update.items()}
    with TensorWriter(path, schema) as writer:
        for name in sorted(update):
            values = np.asarray(update[name], dtype=np.float32)
            writer.append(name, float32_to_bf16(values) if dtype == "BF16" else values)


def write_work(folder: Path, work: Work) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_update(folder / "update.safetensors", work.update)
    write_table(folder / "training_log.parquet", work.log)
    write_table(folder / "diagnostics.parquet", work.diagnostics)


def write_table(path: Path, columns: Mapping[str, Any]) -> None:
    """As the payload writes: no note of who wrote it where."""
    typed = {
        name: pa.array(values, pa.float64()) if set(map(type, values)) == {type(None)} else values
        for name, values in columns.items()
    }
    pq.write_table(pa.table(typed), path, store_schema=False)


def build_submission(folder: Path, order: Order, work: Work, **changes: Any) -> Submission:
    """The manifest of a folder, as honest as the folder is."""
    try:
        with TensorFile(folder / "update.safetensors") as file:
            schema_sha256 = digest_schema(file.schema)
    except Exception:
        schema_sha256 = digest("no schema")
    fields = {
        "federation": order.federation,
        "round": order.round,
        "assignment_id": order.assignment_id,
        "node_id": order.node_id,
        "agreement_sha256": order.agreement_sha256,
        "order_sha256": order.digest(),
        "base_checkpoint_sha256": order.base.checkpoint_sha256,
        "shard_ids": tuple(shard.shard_id for shard in order.shards),
        "files": tuple(describe_file(folder / name) for name in FILES if (folder / name).is_file()),
        "tensor_schema_sha256": schema_sha256,
        "metrics": measure_metrics(order, work.log),
        "privacy_claim": None,
        "payload_version": "0.1.0",
        "image_sha256": None,
        "started_at": ISSUED_AT + timedelta(minutes=5),
        "finished_at": ISSUED_AT + timedelta(minutes=30),
        "nonce": digest("answer"),
    }
    return Submission(**{**fields, **changes})


@dataclass(frozen=True)
class World:
    """Everything around one submission; tests replace what they need to be wrong."""

    recipe: Recipe
    key: SigningKey
    other_key: SigningKey
    keyring: Keyring
    node: NodeRecord
    order: Order
    base_model: Path
    probe: Path
    work: Work

    def submit(
        self, folder: Path, *, work: Work | None = None, key: SigningKey | None = None, **changes
    ) -> Path:
        """Write a complete submission, honest but for what is given."""
        work = work or self.work
        write_work(folder, work)
        self.sign(folder, work=work, key=key, **changes)
        return folder

    def sign(self, folder: Path, *, work=None, key: SigningKey | None = None, **changes) -> None:
        """(Re)write the manifest over the files as they are."""
        submission = build_submission(folder, self.order, work or self.work, **changes)
        write_atomically(folder / "submission.json", sign_record(submission, key or self.key))

    def intake(self, folder: Path, *, probe: bool = False, **changes: Any) -> Intake:
        fields = {
            "folder": folder,
            "order": self.order,
            "node": self.node,
            "keyring": self.keyring,
            "base_model": self.base_model,
            "settings": self.recipe.intake.model_copy(update={"probe": probe}),
            "recipe": self.recipe,
            "known_digests": {},
            "probe": self.probe if probe else None,
            "received_at": ISSUED_AT + timedelta(minutes=31),
            "audit_index": 5,
        }
        return Intake(**{**fields, **changes})

    def judge(self, folder: Path, **changes: Any):
        return judge_submission(self.intake(folder, **changes))

    def scaled(self, factor: float) -> Work:
        """The honest work with its update multiplied."""
        update = {name: factor * values for name, values in self.work.update.items()}
        return replace(self.work, update=update)


def make_keyring(*, coordinator: SigningKey, nodes: Mapping[str, SigningKey]) -> Keyring:
    keyring = Keyring.with_root("coordinator", coordinator.public_key)
    for node_id, key in nodes.items():
        keyring.add(KeyEntry(node_id, "node", key.public_key))
    return keyring
