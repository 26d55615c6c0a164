"""Decisions of sensors, from a home whose records the test writes."""

from datetime import timedelta

import dagster as dg

from synnq_assets.cli.demo.setup import NODES
from synnq_assets.defs.sensors.jobs import dispatch_orders, monitor_jobs
from synnq_assets.defs.sensors.preparation import prepare_campaign
from synnq_assets.defs.sensors.rounds import aggregate_round, open_round, release_round
from synnq_assets.defs.sensors.steps import STEP_TAG
from synnq_assets.records.base import now_at
from synnq_assets.records.jobs import JobHandle
from synnq_assets_tests.builders import build_checkpoint_record
from synnq_assets_tests.defs.by_hand import (
    accept,
    evaluate,
    open_round_by_hand,
    sensor_context,
    start,
)


def tick(sensor, home, instance, cursor=None):
    return sensor(sensor_context(home, instance, cursor))


def steps(result):
    return [request.tags[STEP_TAG] for request in result.run_requests]


def additions(result):
    return {r.partitions_def_name: r.partition_keys for r in result.dynamic_partitions_requests}


def test_a_new_home_is_prepared_source_by_source(home, instance):
    result = tick(prepare_campaign, home, instance)
    assert steps(result) == ["curate:sample-eu"]
    assert additions(result)["source"] == ["sample-eu"]


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
    start(home)
    result = tick(open_round, home, instance)
    assert steps(result) == ["open:r0001"]
    assert additions(result)["round"] == ["r0000", "r0001"]
    assert additions(result)["site"] == sorted(node.node_id for node in NODES)


def test_the_campaign_ends_after_its_last_round(home, instance):
    start(home)
    for key in ("r0001", "r0002"):
        base = open_round_by_hand(home, key)
        parent = home.campaign.find_checkpoint(base.parent_round)
        home.campaign.put_checkpoint(build_checkpoint_record(key, parent), home.coordinator)
        evaluate(home, key)
    assert "last round" in tick(open_round, home, instance).skip_message


def test_a_rolled_back_round_is_nobody_s_parent(home, instance):
    start(home)
    base = open_round_by_hand(home)
    parent = home.campaign.find_checkpoint(base.parent_round)
    home.campaign.put_checkpoint(build_checkpoint_record("r0001", parent), home.coordinator)
    evaluate(home, "r0001", decision="rolled_back")
    assert home.campaign.find_promoted().round == "r0000"
    assert steps(tick(open_round, home, instance)) == ["open:r0002"]
    assert isinstance(tick(release_round, home, instance), dg.SkipReason)


def test_every_order_without_a_job_is_submitted(home, instance):
    start(home)
    open_round_by_hand(home)
    result = tick(dispatch_orders, home, instance)
    assert [r.partition_key for r in result.run_requests] == ["r0001|node-east", "r0001|node-north"]


def test_quorum_closes_a_round_and_freezes_its_participants(home, instance):
    start(home)
    open_round_by_hand(home, nodes=("node-east", "node-north", "node-south"))
    accept(home, "r0001.node-east.1")
    assert "1 accepted of quorum 2" in tick(aggregate_round, home, instance).skip_message
    accept(home, "r0001.node-north.1")
    (request,) = tick(aggregate_round, home, instance).run_requests
    assert request.tags["synnq/assignments"] == "r0001.node-east.1,r0001.node-north.1"
    assert request.tags["synnq/trigger"] == "quorum"


def test_a_refused_submission_does_not_count(home, instance):
    start(home)
    open_round_by_hand(home)
    accept(home, "r0001.node-east.1")
    accept(home, "r0001.node-north.1", decision="refused")
    (request,) = tick(aggregate_round, home, instance).run_requests
    assert request.tags["synnq/trigger"] == "complete"
    assert request.tags["synnq/assignments"] == "r0001.node-east.1"


def test_a_late_submission_goes_into_the_next_round(home, instance):
    start(home)
    base = open_round_by_hand(home)
    parent = home.campaign.find_checkpoint(base.parent_round)
    home.campaign.put_checkpoint(build_checkpoint_record("r0001", parent), home.coordinator)
    evaluate(home, "r0001")
    accept(home, "r0001.node-east.1")  # after the round was closed
    open_round_by_hand(home, "r0002")
    for node in ("node-east", "node-north"):
        accept(home, f"r0002.{node}.1")
    (request,) = tick(aggregate_round, home, instance).run_requests
    assert "r0001.node-east.1" in request.tags["synnq/assignments"]


def put_handle(home, assignment_id):
    """Write down that a job was submitted five minutes ago, of which nothing is to be seen."""
    handle = JobHandle(
        assignment_id=assignment_id,
        node_id=assignment_id.split(".")[1],
        backend="local",
        job_id="x",
        job_dir=str(home.path / "jobs" / "nothing"),
        submitted_at=now_at() - timedelta(minutes=5),
    )
    home.campaign.put_handle(handle, home.coordinator)


def test_a_job_that_never_started_loses_its_shards_whatever_the_cursor_says(home, instance):
    start(home)
    open_round_by_hand(home)
    put_handle(home, "r0001.node-east.1")
    first = tick(monitor_jobs, home, instance)
    again = tick(monitor_jobs, home, instance, cursor=first.cursor)
    wiped = tick(monitor_jobs, home, instance, cursor=None)
    for result in (first, again, wiped):
        assert steps(result) == ["reassign:r0001.node-east.1"]
    assert (len(first.asset_events), len(again.asset_events)) == (1, 0)
