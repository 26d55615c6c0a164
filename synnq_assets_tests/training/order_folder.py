"""A complete job folder with real keys, seals and signatures, and random tokens.

job = write_order_folder(tmp_path)
run_order(job.order_path, job.node)
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from synnq_assets.records.base import canonical_json, now_at, sha256_hex
from synnq_assets.records.orders import CheckpointRef, LrSegment, Order, OrderShard, digest_files
from synnq_assets.settings import NodeSettings, Recipe, load_node_settings, load_recipe
from synnq_assets.storage.files import describe_file
from synnq_assets.storage.tokens import TokenShard, encode_tokens
from synnq_assets.trust import SealingKey, SigningKey, sign_record
from synnq_assets.trust.sealing import (
    build_shard_context,
    commit_plaintext,
    generate_data_key,
    seal_bytes,
    wrap_data_key,
)

TOKENIZER_SHA256 = sha256_hex(b"a tokenizer")
AGREEMENT_SHA256 = sha256_hex(b"an agreement")
NODE_ID = "torino-01"


@dataclass(frozen=True)
class OrderFolder:
    """What a test needs to know about the folder."""

    root: Path
    order: Order
    recipe: Recipe
    coordinator: SigningKey
    signing_key: SigningKey  # the node's
    sealing_key: SealingKey  # the node's
    node_path: Path

    @property
    def order_path(self) -> Path:
        return self.root / "order.json"

    @property
    def node(self) -> NodeSettings:
        return load_node_settings(self.node_path)

    def sealed_path(self, k: int) -> Path:
        return self.root / "inputs" / "shards" / f"{self.order.shards[k].shard_id}.sealed"

    def sign_order(self, key: SigningKey | None = None, **changes: Any) -> Order:
        """Replace order.json by a changed order, signed by the coordinator or by another key."""
        order = Order.from_json_value(
            json.loads(self.order.model_copy(update=changes).canonical_bytes())
        )
        self.order_path.write_bytes(sign_record(order, key or self.coordinator))
        return order


def build_recipe(name: str = "smoke", **training: Any) -> Recipe:
    """Return a shipped recipe with some training settings changed."""
    raw = load_recipe(name, {}).model_dump(mode="json")
    raw["training"].update(training)
    raw["privacy"]["min_loss_sequences"] = 1  # a row is a step, so that tests can look at each
    return Recipe.model_validate(raw)


def write_order_folder(
    root: Path,
    *,
    recipe: Recipe | None = None,
    num_tokens: tuple[int, ...] = (500, 300),
    learning_rate: float = 0.003,
    seed: int = 7,
) -> OrderFolder:
    """Write keys, node.yaml, base checkpoint, sealed shards, recipe and signed order."""
    recipe = recipe or build_recipe()
    coordinator, signing, sealing = (
        SigningKey.generate(),
        SigningKey.generate(),
        SealingKey.generate(),
    )
    node_path = _write_node(root / "node", recipe, coordinator, signing, sealing)
    job_dir = root / "job"
    job_dir.mkdir(parents=True)
    (job_dir / "recipe.json").write_bytes(canonical_json(recipe.model_dump(mode="json")))
    assignment_id = f"r0001.{NODE_ID}.1"
    shards = tuple(
        _write_shard(job_dir, recipe, sealing, assignment_id, count, seed=seed + k)
        for k, count in enumerate(num_tokens)
    )
    now = now_at()
    order = Order(
        federation=recipe.federation,
        round="r0001",
        assignment_id=assignment_id,
        node_id=NODE_ID,
        agreement_sha256=AGREEMENT_SHA256,
        base=_write_base(job_dir, recipe, seed),
        shards=shards,
        tokenizer_sha256=TOKENIZER_SHA256,
        recipe_sha256=sha256_hex((job_dir / "recipe.json").read_bytes()),
        epochs=recipe.training.epochs,
        lr=LrSegment(fractions=(0.0, 1.0), learning_rates=(learning_rate, learning_rate / 2)),
        optimizer_state="reset",
        seed=seed,
        image_sha256=None,
        issued_at=now,
        deadline_at=now + timedelta(hours=1),
        nonce="5" * 64,
    )
    folder = OrderFolder(job_dir, order, recipe, coordinator, signing, sealing, node_path)
    folder.sign_order()
    return folder


def _write_node(
    folder: Path,
    recipe: Recipe,
    coordinator: SigningKey,
    signing: SigningKey,
    sealing: SealingKey,
) -> Path:
    folder.mkdir(parents=True)
    signing.write(folder / "signing.pem")
    sealing.write(folder / "sealing.pem")
    settings = {
        "node_id": NODE_ID,
        "federation": recipe.federation,
        "organisation": "Test site",
        "signing_key": "signing.pem",
        "sealing_key": "sealing.pem",
        "coordinator_public_key": coordinator.public_key,
        "agreement_sha256": AGREEMENT_SHA256,
        "exposure_file": "exposure.txt",
    }
    (folder / "node.yaml").write_text(yaml.safe_dump(settings))
    return folder / "node.yaml"


def _write_shard(
    job_dir: Path,
    recipe: Recipe,
    sealing: SealingKey,
    assignment_id: str,
    num_tokens: int,
    *,
    seed: int,
) -> OrderShard:
    vocab_size, cell = recipe.tokenizer.vocab_size, "de.law"
    generator = np.random.default_rng(seed)
    # Squared: some tokens are commoner than others, so that there is something to learn.
    tokens = (generator.random(num_tokens) ** 3 * (vocab_size - 1)).astype(np.uint16) + 1
    offsets = np.array([0, num_tokens // 2, num_tokens], dtype=np.int64)
    tokens[offsets[1:] - 1] = 0
    plaintext = encode_tokens(
        TokenShard(cell, TOKENIZER_SHA256, tokens, offsets), vocab_size=vocab_size
    )
    shard_id, data_key = sha256_hex(b"shard" + bytes([seed])), generate_data_key()
    path = job_dir / "inputs" / "shards" / f"{shard_id}.sealed"
    context = build_shard_context(recipe.federation, shard_id, assignment_id, NODE_ID)
    seal_bytes(plaintext, data_key, context, path)
    sealed = describe_file(path)
    return OrderShard(
        shard_id=shard_id,
        cell=cell,
        num_tokens=num_tokens,
        ciphertext_sha256=sealed.sha256,
        ciphertext_bytes=sealed.num_bytes,
        plaintext_commitment=commit_plaintext(data_key, plaintext),
        wrapped_key=wrap_data_key(data_key, sealing.public_key, context),
    )


def _write_base(job_dir: Path, recipe: Recipe, seed: int) -> CheckpointRef:
    from synnq_assets.modeling.models import build_model, named_weights, write_weights

    path = job_dir / "inputs" / "checkpoint" / "model.safetensors"
    weights = named_weights(build_model(recipe, seed=seed))
    write_weights(path, weights, metadata={"format": "pt"})
    files = (describe_file(path),)
    return CheckpointRef(round="r0000", checkpoint_sha256=digest_files(files), files=files)
