"""The audit log against Dagster's events: what only one of them shows is found."""

from dataclasses import replace

import dagster as dg
import pytest

from synnq_assets.cli.demo.setup import create_demo_home
from synnq_assets.defs.federation import node_profiles
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.trust import (
    ShownEvent,
    agrees_with_dagster,
    audit_log,
    compare_with_events,
    find_difference,
    is_same_partition,
    iter_events,
    read_partition,
)
from synnq_assets.federation import Registry
from synnq_assets.settings import resolve_settings

RESULT = ("result", "node_profiles")


@pytest.fixture
def home(tmp_path):
    return create_demo_home(tmp_path / "home", resolve_settings("local", "smoke"))


@pytest.fixture
def instance():
    with dg.instance_for_test() as instance:
        yield instance


def materialize(home, instance, *assets, **options):
    return dg.materialize(
        list(assets),
        instance=instance,
        resources={"home": HomeResource(path=str(home.path))},
        **options,
    )


def test_both_logs_agree_after_honest_runs(home, instance):
    result = materialize(home, instance, node_profiles, audit_log, agrees_with_dagster)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    assert compare_with_events(home, instance) == []


def materialize_nodes(home, instance):
    """Return the honest event's asset materialisation."""
    materialize(home, instance, node_profiles)
    return instance.get_latest_materialization_event(dg.AssetKey("node_profiles"))


def report(instance, honest, key="node_profiles", partition=None, **metadata):
    """Report an event under the honest one's run, as whoever reaches the web page can."""
    held = dict(honest.asset_materialization.metadata)
    forged = dg.AssetMaterialization(key, metadata={**held, **metadata}, partition=partition)
    instance.report_runless_asset_event(forged)


def test_a_forged_materialisation_is_found(home, instance):
    honest = materialize_nodes(home, instance)
    assert compare_with_events(home, instance) == []
    report(instance, honest)
    (problem,) = compare_with_events(home, instance)
    assert "is about something else" in problem
    instance.report_runless_asset_event(dg.AssetMaterialization("release"))
    assert any("the audit log does not" in p for p in compare_with_events(home, instance))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sha256": "f" * 64}, "another digest"),
        ({"partition": "r0001"}, "about something else"),
        ({"asset": "round_base"}, "about something else"),
        ({"run_id": "other"}, "about something else"),
        ({"position": 0}, "about something else"),
        ({"position": 10**6}, "the audit log does not"),
        ({"position": "2"}, "the audit log does not"),
        ({"is_materialization": False}, "a refusal and an acceptance"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_an_event_that_differs_in_anything_is_found(home, instance, change, says):
    materialize_nodes(home, instance)
    (record,) = iter_events(instance, "node_profiles")
    shown = ShownEvent.read("node_profiles", record)
    entries = dict(home.audit.iter_entries())
    subject = entries[shown.position].subject
    assert find_difference(shown, entries[shown.position], subject) is None
    other = replace(shown, **change)
    problem = find_difference(other, entries.get(other.position), subject)
    assert says in problem


def test_the_partition_of_an_assignment_is_its_round_and_node():
    assert read_partition("r0007.lumi-g-03.1") == "r0007|lumi-g-03"
    assert read_partition("r0007") == "r0007"
    assert read_partition("de.health") == "de.health"
    assert read_partition("") == ""


@pytest.mark.parametrize(
    ("told", "shown", "is_same"),
    [
        ("r0007|lumi-g-03", "r0007|lumi-g-03", True),
        ("r0007|lumi-g-03", "r0007|lumi-g-04", False),
        ("r0007|p-0123456789ab", "r0007|lumi-g-03", True),  # its epoch's key was destroyed
        ("r0007|p-0123456789ab", "r0008|lumi-g-03", False),
        ("r0007|p-0123456789ab", "r0007|", False),
        ("", "", True),
        ("", "r0007", False),
    ],
)
def test_a_partition_is_told_by_name_or_by_a_pseudonym_that_nobody_can_resolve(
    told, shown, is_same
):
    assert is_same_partition(told, shown) is is_same


def test_the_log_names_no_node_and_agrees_before_and_after_its_key_is_destroyed(home, instance):
    materialize(home, instance, node_profiles)
    bodies = [entry.model_dump_json() for _, entry in home.audit.iter_entries()]
    nodes = [node.node_id for node in Registry(home.ledger).list_nodes()]
    assert len(nodes) == 4
    assert not [body for body in bodies if any(node in body for node in nodes)]
    (entry,) = (e for _, e in home.audit.iter_entries() if (e.phase, e.action) == RESULT)
    assert sorted(map(home.concealer.reveal, entry.details["nodes"])) == sorted(nodes)
    assert compare_with_events(home, instance) == []
    home.concealer.forget("0001")
    assert home.concealer.reveal(entry.details["nodes"][0]) == entry.details["nodes"][0]
    assert compare_with_events(home, instance) == []


def test_a_deleted_run_is_found(home, instance):
    result = materialize(home, instance, node_profiles)
    instance.delete_run(result.run_id)
    (problem,) = compare_with_events(home, instance)
    assert "node_profiles[]" in problem
    assert "Dagster does not show it" in problem


def test_a_failed_asset_leaves_intent_and_failure(home, instance):
    from synnq_assets.defs.aggregation import global_checkpoint

    instance.add_dynamic_partitions("round", ["r0009"])
    result = materialize(
        home, instance, global_checkpoint, partition_key="r0009", raise_on_error=False
    )
    assert not result.success
    last = list(home.audit.iter_entries())[-1][1]
    assert (last.phase, last.action, last.details["error"]) == (
        "failure",
        "global_checkpoint",
        "AggregationError",
    )
