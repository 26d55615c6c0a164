"""A campaign whose records the tests write, without running what would come before."""

import dagster as dg
from dagster._core.execution.build_resources import wrap_resources_for_execution

from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.shards import PLAN, TOKENIZER
from synnq_assets.federation import Registry, build_round_base
from synnq_assets.records.base import now_at
from synnq_assets.records.federation import AllocatedShards, Allocation
from synnq_assets.records.orders import Order, OrderShard
from synnq_assets.records.rounds import EvaluationRecord
from synnq_assets.records.submissions import Verdict
from synnq_assets.shards import ShardPlan
from synnq_assets.shards.content import digest_config
from synnq_assets.shards.seal import ShardKeys, body_context, steward_context
from synnq_assets.storage.files import hash_file
from synnq_assets.trust import Home
from synnq_assets.trust.sealing import commit_plaintext, seal_bytes, wrap_data_key
from synnq_assets_tests.builders import (
    build_checkpoint_record,
    build_checkpoint_ref,
    build_manifest,
    build_segment,
    digest_of,
)

DATA_KEY = b"k" * 32


def reopen(path):
    """Open a home as another process does."""
    home = Home.open(path)
    Registry(home.ledger).load()
    return home


def resources(home):
    return {"home": HomeResource(path=str(home.path))}


def sensor_context(home, instance, cursor=None):
    from synnq_assets.definitions import defs

    return dg.SensorEvaluationContext(
        instance_ref=instance.get_ref(),
        instance=instance,
        cursor=cursor,
        repository_def=defs.get_repository_def(),
        resources=wrap_resources_for_execution(resources(home)),
    )


def plan(home, *cells):
    """Write the plan, as a run that was killed right afterwards leaves it."""
    settings = home.settings.recipe.shards
    written = ShardPlan(
        cells=dict.fromkeys(cells, ()),
        holdout={},
        holdout_tokens={},
        rolled_up={},
        passed_up_tokens={},
        tokenizer_sha256=digest_of("tokenizer"),
        config_sha256=digest_config(settings),
        settings=settings,
    )
    home.store.put_bytes(TOKENIZER, b"{}")
    home.store.put_bytes(PLAN, written.to_bytes())


def finish_cell(home, cell):
    home.store.put_bytes(f"shards/lineage/{cell}.parquet", b"rows")


def publish_shard(home, name, **values):
    """Write a shard, its signed manifest and its data key, which is what an order is made from."""
    shard_id, plaintext = digest_of(name), f"the tokens of {name}".encode()
    keys = ShardKeys(shard_id)
    wrapped = wrap_data_key(DATA_KEY, home.steward_sealing.public_key, steward_context(shard_id))
    home.store.put_bytes(keys.data_key, wrapped.encode())
    body = home.store.reserve(keys.body)
    seal_bytes(plaintext, DATA_KEY, body_context(shard_id), body)
    home.store.put_file(keys.body, body)
    ciphertext_sha256, ciphertext_bytes = hash_file(home.store.local_path(keys.body))
    manifest = build_manifest(
        name,
        ciphertext_sha256=ciphertext_sha256,
        ciphertext_bytes=ciphertext_bytes,
        plaintext_commitment=commit_plaintext(DATA_KEY, plaintext),
        **values,
    )
    home.ledger.put(keys.manifest, manifest, home.steward)
    return shard_id


def start(home):
    """Bring a home to where its first round may open."""
    home.campaign.put_checkpoint(build_checkpoint_record("r0000"), home.coordinator)
    evaluate(home, "r0000")
    plan(home, "de.health")
    finish_cell(home, "de.health")


def evaluate(home, round_key, decision="promoted", perplexity=10.0):
    record = home.campaign.find_checkpoint(round_key)
    home.campaign.put_evaluation(
        EvaluationRecord(
            round=round_key,
            checkpoint_sha256=record.checkpoint.checkpoint_sha256,
            parent_round=record.parent_round,
            figures={},
            headline_perplexity=perplexity,
            headline_f1=0.5,
            parent_perplexity=None,
            tolerance=0.1,
            decision=decision,
            reason="by hand",
            evaluated_at=now_at(),
        ),
        home.coordinator,
    )


def put_base(home, round_key="r0001", nodes=("node-east", "node-north"), **changes):
    parent = home.campaign.find_promoted()
    base = build_round_base(
        home.settings, round_key=round_key, parent=parent, roster=nodes, tokens_planned=100
    ).model_copy(update=changes)
    home.campaign.put_base(base, home.coordinator)
    return base


def build_allocation(round_key, shards):
    """Return the allocation of node -> shard ids."""
    rows = tuple(
        AllocatedShards(
            node_id=node,
            shard_ids=tuple(shard_ids),
            num_tokens=1000 * len(shard_ids),
            expected_seconds=0.0,
            expected_joules=0.0,
        )
        for node, shard_ids in shards.items()
    )
    return Allocation(
        round=round_key,
        nodes=rows,
        excluded={},
        num_unallocated=0,
        makespan_seconds=0.0,
        objective=0.0,
        solver="by hand",
    )


def open_round_by_hand(home, round_key="r0001", nodes=("node-east", "node-north")):
    """Open a round with one shard and one order a node."""
    base = put_base(home, round_key, nodes)
    allocation = build_allocation(
        round_key, {node: [digest_of(f"{round_key}{node}")] for node in nodes}
    )
    home.campaign.put_allocation(allocation, home.coordinator)
    for node in nodes:
        home.campaign.put_order(build_order(home, base, node), home.coordinator)
    return base


def build_order(home, base, node, attempt=1):
    manifest = build_manifest(f"{base.round}{node}")
    return Order(
        federation=base.federation,
        round=base.round,
        assignment_id=f"{base.round}.{node}.{attempt}",
        node_id=node,
        agreement_sha256=digest_of("agreement"),
        base=build_checkpoint_ref("r0000", "r0000"),
        shards=(
            OrderShard(
                shard_id=manifest.shard_id,
                cell=manifest.cell,
                num_tokens=manifest.num_tokens,
                ciphertext_sha256=manifest.ciphertext_sha256,
                ciphertext_bytes=manifest.ciphertext_bytes,
                plaintext_commitment=manifest.plaintext_commitment,
                wrapped_key="QUJD",
            ),
        ),
        tokenizer_sha256=digest_of("tokenizer"),
        recipe_sha256=home.settings.recipe_sha256,
        epochs=1,
        lr=build_segment(),
        optimizer_state="reset",
        seed=0,
        image_sha256=None,
        issued_at=now_at(),
        deadline_at=base.deadline_at,
        nonce=digest_of("nonce"),
    )


def accept(home, assignment_id, decision="accepted", audit_index=0):
    round_key, node_id, _ = assignment_id.split(".")
    home.campaign.put_verdict(
        Verdict(
            round=round_key,
            assignment_id=assignment_id,
            node_id=node_id,
            submission_sha256=digest_of(assignment_id),
            decision=decision,
            score=1.0,
            num_tokens=1000,
            cell_tokens={"de.health": 1000},
            checks=(),
            decided_at=now_at(),
            audit_index=audit_index,
        ),
        home.coordinator,
    )


def damage(home, key):
    """Overwrite one stored record, as a failing disk or an intruder does."""
    (home.store.root / key).write_bytes(b"{}")
