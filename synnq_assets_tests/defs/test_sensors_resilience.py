"""What sensors do after a lost database, a killed run, or a record that no longer verifies."""

import dagster as dg

from synnq_assets.cli.demo.setup import NODES, create_demo_home
from synnq_assets.defs.federation import round_base
from synnq_assets.defs.sensors.jobs import dispatch_orders, monitor_jobs
from synnq_assets.defs.sensors.preparation import prepare_campaign
from synnq_assets.defs.sensors.rounds import aggregate_round, open_round, release_round
from synnq_assets.defs.sensors.steps import STEP_TAG
from synnq_assets.federation import Registry
from synnq_assets.settings import resolve_settings
from synnq_assets_tests.builders import build_checkpoint_record
from synnq_assets_tests.defs.by_hand import (
    accept,
    damage,
    evaluate,
    finish_cell,
    open_round_by_hand,
    plan,
    resources,
    sensor_context,
    start,
)
from synnq_assets_tests.defs.test_sensors import put_handle

TRIO = ("node-east", "node-north", "node-south")


def evaluate_tick(sensor, home, instance):
    """Tick as the daemon does, which refuses a run for a partition that does not exist."""
    return sensor.evaluate_tick(sensor_context(home, instance))


def steps(tick):
    return [request.tags[STEP_TAG] for request in tick.run_requests]


def logged(capfd):
    return capfd.readouterr().err


def curate(home):
    home.store.put_bytes("corpora/sample-eu/0123/report.json", b"{}")


def test_cells_follow_from_the_plan_where_the_planning_run_was_killed(home, instance):
    curate(home)
    plan(home, "de.health", "fi.law", "fr.law")
    tick = evaluate_tick(prepare_campaign, home, instance)
    added = {r.partitions_def_name: r.partition_keys for r in tick.dynamic_partitions_requests}
    assert added["cell"] == ["de.health", "fi.law", "fr.law"]
    (seal,) = [request for request in tick.run_requests if request.tags[STEP_TAG] == "seal"]
    assert seal.tags["dagster/asset_partition_range_start"] == "de.health"
    assert seal.tags["dagster/asset_partition_range_end"] == "fr.law"


def test_a_range_of_cells_follows_the_order_that_dagster_has(home, instance):
    curate(home)
    plan(home, "de.health", "fi.law", "fr.law")
    finish_cell(home, "fr.law")
    instance.add_dynamic_partitions("cell", ["fr.law", "fi.law"])  # de.health will come last
    tick = evaluate_tick(prepare_campaign, home, instance)
    (seal,) = [request for request in tick.run_requests if request.tags[STEP_TAG] == "seal"]
    assert seal.tags["dagster/asset_partition_range_start"] == "fi.law"
    assert seal.tags["dagster/asset_partition_range_end"] == "de.health"


def test_a_round_waits_for_every_cell_of_the_plan_known_to_dagster_or_not(home, instance):
    start(home)
    (home.store.root / "shards/lineage/de.health.parquet").unlink()
    tick = evaluate_tick(open_round, home, instance)
    assert tick.skip_message == "shards are not all sealed yet"
    finish_cell(home, "de.health")
    assert steps(evaluate_tick(open_round, home, instance)) == ["open:r0001"]


def test_after_the_loss_of_dagster_s_database_every_sensor_goes_on(home, instance):
    start(home)
    open_round_by_hand(home, nodes=TRIO)
    assert len(steps(evaluate_tick(dispatch_orders, home, instance))) == 3
    put_handle(home, "r0001.node-south.1")
    assert steps(evaluate_tick(monitor_jobs, home, instance)) == ["reassign:r0001.node-south.1"]
    for node in TRIO[:2]:
        accept(home, f"r0001.{node}.1")
    tick = evaluate_tick(aggregate_round, home, instance)
    assert steps(tick) == ["aggregate:r0001"]
    added = {r.partitions_def_name: r.partition_keys for r in tick.dynamic_partitions_requests}
    assert added == {
        "source": ["sample-eu"],
        "cell": ["de.health"],
        "round": ["r0000", "r0001"],
        "site": sorted(node.node_id for node in NODES),
    }
    parent = home.campaign.find_checkpoint("r0000")
    home.campaign.put_checkpoint(build_checkpoint_record("r0001", parent), home.coordinator)
    evaluate(home, "r0001")
    assert steps(evaluate_tick(release_round, home, instance)) == ["release:r0001"]


def test_what_dagster_knows_already_is_not_added_again(home, instance):
    start(home)
    tick = evaluate_tick(dispatch_orders, home, instance)
    for request in tick.dynamic_partitions_requests:
        instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
    assert evaluate_tick(dispatch_orders, home, instance).dynamic_partitions_requests == []


def test_a_damaged_order_does_not_hold_up_the_others(home, instance, capfd):
    start(home)
    open_round_by_hand(home, nodes=TRIO)
    damage(home, "rounds/r0001/orders/r0001.node-east.1.json")
    submitted = steps(evaluate_tick(dispatch_orders, home, instance))
    assert submitted == ["submit:r0001.node-north.1", "submit:r0001.node-south.1"]
    assert "rounds/r0001/orders/r0001.node-east.1.json is left out: not" in logged(capfd)


def test_a_damaged_job_record_does_not_hold_up_the_others(home, instance, capfd):
    start(home)
    open_round_by_hand(home, nodes=TRIO)
    for node in TRIO:
        put_handle(home, f"r0001.{node}.1")
    damage(home, "rounds/r0001/jobs/r0001.node-north.1.json")
    assert steps(evaluate_tick(monitor_jobs, home, instance)) == [
        "reassign:r0001.node-east.1",
        "reassign:r0001.node-south.1",
    ]
    assert "r0001.node-north.1 is left out" in logged(capfd)
    assert steps(evaluate_tick(dispatch_orders, home, instance)) == []


def test_a_damaged_loss_does_not_hold_up_the_others(home, instance, capfd):
    start(home)
    open_round_by_hand(home, nodes=TRIO)
    put_handle(home, "r0001.node-north.1")
    home.store.put_bytes("rounds/r0001/lost/r0001.node-east.1.json", b"{}")
    assert steps(evaluate_tick(monitor_jobs, home, instance)) == ["reassign:r0001.node-north.1"]
    assert "r0001.node-east.1 is left out" in logged(capfd)


def test_a_damaged_verdict_does_not_hold_up_the_others(home, instance, capfd):
    start(home)
    open_round_by_hand(home, nodes=TRIO)
    for node in TRIO:
        accept(home, f"r0001.{node}.1")
    damage(home, "rounds/r0001/verdicts/r0001.node-east.1.json")
    (request,) = evaluate_tick(aggregate_round, home, instance).run_requests
    assert request.tags["synnq/assignments"] == "r0001.node-north.1,r0001.node-south.1"
    assert "r0001.node-east.1.json is left out" in logged(capfd)


def test_a_damaged_node_record_leaves_that_node_out_and_no_older_version_steps_in(home, instance):
    start(home)
    Registry(home.ledger).set_status(
        "node-east", "suspended", home.coordinator, at=home.audit.size()
    )
    damage(home, "registry/nodes/node-east/0002.json")
    assert steps(evaluate_tick(open_round, home, instance)) == ["open:r0001"]
    instance.add_dynamic_partitions("round", ["r0001"])
    result = dg.materialize(
        [round_base], partition_key="r0001", instance=instance, resources=resources(home)
    )
    assert result.success
    assert home.campaign.find_base("r0001").roster == ("node-north", "node-south", "node-west")


def test_a_scheduler_that_cannot_be_asked_is_logged_and_changes_nothing(tmp_path, instance, capfd):
    home = create_demo_home(tmp_path / "home", resolve_settings("lumi-g", "smoke"))
    start(home)
    open_round_by_hand(home)
    put_handle(home, "r0001.node-east.1")
    tick = evaluate_tick(monitor_jobs, home, instance)
    assert tick.run_requests == []
    assert "the scheduler was not asked" in logged(capfd)
