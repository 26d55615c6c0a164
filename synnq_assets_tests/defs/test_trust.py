"""The audit log against Dagster's events: what only one of them shows is found."""

import dagster as dg
import pytest

from synnq_assets.cli.demo.setup import create_demo_home
from synnq_assets.defs.federation import node_profiles
from synnq_assets.defs.recording import AUDIT_INDEX
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.trust import agrees_with_dagster, audit_log, compare_with_events
from synnq_assets.settings import resolve_settings


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


def test_a_forged_materialisation_is_found(home, instance):
    materialize(home, instance, node_profiles)
    forged = dg.AssetMaterialization("node_profiles", metadata={AUDIT_INDEX: 3})
    instance.report_runless_asset_event(forged)
    (problem,) = compare_with_events(home, instance)
    assert "is about something else" in problem
    instance.report_runless_asset_event(dg.AssetMaterialization("release"))
    assert any("the audit log does not" in p for p in compare_with_events(home, instance))


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
