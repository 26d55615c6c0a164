"""Decisions of sensors, from a home whose records the test writes."""

import dagster as dg
import pytest

from synnq_assets.cli.demo.setup import NODES, create_demo_home
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.sensors.jobs import dispatch_orders, monitor_jobs
from synnq_assets.defs.sensors.preparation import prepare_campaign
from synnq_assets.defs.sensors.rounds import aggregate_round, open_round, release_round
from synnq_assets.defs.sensors.steps import STEP_TAG
from synnq_assets.federation import Registry
from synnq_assets.records.base import now_at
from synnq_assets.records.federation import AllocatedShards, Allocation
from synnq_assets.records.orders import Order, OrderShard
from synnq_assets.records.rounds import EvaluationRecord
from synnq_assets.records.submissions import Verdict
from synnq_assets.settings import resolve_settings
from synnq_assets_tests.builders import (
    build_checkpoint_record,
    build_checkpoint_ref,
    build_manifest,
    build_segment,
    digest_of,
)


@pytest.fixture
def home(tmp_path):
    home = create_demo_home(tmp_path / "home", resolve_settings("local", "smoke"))
    Registry(home.ledger).load()
    return home


@pytest.fixture
def instance():
    with dg.instance_for_test() as instance:
        yield instance


def tick(sensor, home, instance, cursor=None):
    from synnq_assets.definitions import defs

    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        repository_def=defs.get_repository_def(),
        resources={"home": HomeResource(path=str(home.path))},
    )
    return sensor(context)


def steps(result):
    return [request.tags[STEP_TAG] for request in result.run_requests]


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


def start(home, instance):
    """Bring a home to where its first round may open, without running anything."""
    home.campaign.put_checkpoint(build_checkpoint_record("r0000"), home.coordinator)
    evaluate(home, "r0000")
    instance.add_dynamic_partitions("cell", ["de.health"])
    home.store.put_bytes("shards/lineage/de.health.parquet", b"rows")


def open_by_hand(home, round_key="r0001", nodes=("node-east", "node-north")):
    from synnq_assets.federation import build_round_base

    parent = home.campaign.find_promoted()
    base = build_round_base(
        home.settings, round_key=round_key, parent=parent, roster=nodes, tokens_planned=100
    )
    home.campaign.put_base(base, home.coordinator)
    for node in nodes:
        home.campaign.put_order(build_order(home, base, node), home.coordinator)
    rows = tuple(
        AllocatedShards(
            node_id=node, shard_ids=(), num_tokens=0, expected_seconds=0.0, expected_joules=0.0
        )
        for node in nodes
    )
    allocation = Allocation(
        round=round_key,
        nodes=rows,
        excluded={},
        num_unallocated=0,
        makespan_seconds=0.0,
        objective=0.0,
        solver="by hand",
    )
    home.campaign.put_allocation(allocation, home.coordinator)
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


def accept(home, assignment_id, decision="accepted"):
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
        ),
        home.coordinator,
    )


def test_a_new_home_is_prepared_source_by_source(home, instance):
    result = tick(prepare_campaign, home, instance)
    assert steps(result) == ["curate:sample-eu"]
    assert result.dynamic_partitions_requests[0].partition_keys == ["sample-eu"]


def test_the_same_tick_asks_for_the_same_run(home, instance):
    one, two = (tick(prepare_campaign, home, instance) for _ in range(2))
    assert [r.run_key for r in one.run_requests] == [r.run_key for r in two.run_requests]


def test_a_failed_step_is_asked_for_again_until_it_failed_too_often(home, instance):
    from dagster._core.test_utils import create_run_for_test

    keys = set()
    for _ in range(home.settings.recipe.rounds.max_attempts):
        (request,) = tick(prepare_campaign, home, instance).run_requests
        keys.add(request.run_key)
        create_run_for_test(
            instance, tags={STEP_TAG: "curate:sample-eu"}, status=dg.DagsterRunStatus.FAILURE
        )
    assert len(keys) == 3
    assert tick(prepare_campaign, home, instance).run_requests == []


def test_a_round_opens_once_its_parent_was_judged(home, instance):
    assert isinstance(tick(open_round, home, instance), dg.SkipReason)
    start(home, instance)
    result = tick(open_round, home, instance)
    assert steps(result) == ["open:r0001"]
    sites = [r.partition_keys for r in result.dynamic_partitions_requests]
    assert sites == [["r0001"], sorted(node.node_id for node in NODES)]


def test_the_campaign_ends_after_its_last_round(home, instance):
    start(home, instance)
    for key in ("r0001", "r0002"):
        base = open_by_hand(home, key)
        parent = home.campaign.find_checkpoint(base.parent_round)
        home.campaign.put_checkpoint(build_checkpoint_record(key, parent), home.coordinator)
        evaluate(home, key)
    assert "last round" in tick(open_round, home, instance).skip_message


def test_a_rolled_back_round_is_nobody_s_parent(home, instance):
    start(home, instance)
    base = open_by_hand(home)
    parent = home.campaign.find_checkpoint(base.parent_round)
    home.campaign.put_checkpoint(build_checkpoint_record("r0001", parent), home.coordinator)
    evaluate(home, "r0001", decision="rolled_back")
    assert home.campaign.find_promoted().round == "r0000"
    assert steps(tick(open_round, home, instance)) == ["open:r0002"]
    assert isinstance(tick(release_round, home, instance), dg.SkipReason)


def test_every_order_without_a_job_is_submitted(home, instance):
    start(home, instance)
    open_by_hand(home)
    result = tick(dispatch_orders, home, instance)
    assert [r.partition_key for r in result.run_requests] == ["r0001|node-east", "r0001|node-north"]


def test_quorum_closes_a_round_and_freezes_its_participants(home, instance):
    start(home, instance)
    open_by_hand(home, nodes=("node-east", "node-north", "node-south"))
    accept(home, "r0001.node-east.1")
    assert "1 accepted of quorum 2" in tick(aggregate_round, home, instance).skip_message
    accept(home, "r0001.node-north.1")
    (request,) = tick(aggregate_round, home, instance).run_requests
    assert request.tags["synnq/assignments"] == "r0001.node-east.1,r0001.node-north.1"
    assert request.tags["synnq/trigger"] == "quorum"


def test_a_refused_submission_does_not_count(home, instance):
    start(home, instance)
    open_by_hand(home)
    accept(home, "r0001.node-east.1")
    accept(home, "r0001.node-north.1", decision="refused")
    (request,) = tick(aggregate_round, home, instance).run_requests
    assert request.tags["synnq/trigger"] == "complete"
    assert request.tags["synnq/assignments"] == "r0001.node-east.1"


def test_a_late_submission_goes_into_the_next_round(home, instance):
    start(home, instance)
    base = open_by_hand(home)
    parent = home.campaign.find_checkpoint(base.parent_round)
    home.campaign.put_checkpoint(build_checkpoint_record("r0001", parent), home.coordinator)
    evaluate(home, "r0001")
    accept(home, "r0001.node-east.1")  # after the round was closed
    open_by_hand(home, "r0002")
    for node in ("node-east", "node-north"):
        accept(home, f"r0002.{node}.1")
    (request,) = tick(aggregate_round, home, instance).run_requests
    assert "r0001.node-east.1" in request.tags["synnq/assignments"]


def test_a_job_that_never_started_loses_its_shards_whatever_the_cursor_says(home, instance):
    from datetime import timedelta

    from synnq_assets.records.jobs import JobHandle

    start(home, instance)
    open_by_hand(home)
    handle = JobHandle(
        assignment_id="r0001.node-east.1",
        node_id="node-east",
        backend="local",
        job_id="x",
        job_dir=str(home.path / "jobs" / "nothing"),
        submitted_at=now_at() - timedelta(minutes=5),
    )
    home.campaign.put_handle(handle, home.coordinator)
    first = tick(monitor_jobs, home, instance)
    again = tick(monitor_jobs, home, instance, cursor=first.cursor)
    wiped = tick(monitor_jobs, home, instance, cursor=None)
    for result in (first, again, wiped):
        assert steps(result) == ["reassign:r0001.node-east.1"]
    assert (len(first.asset_events), len(again.asset_events)) == (1, 0)
