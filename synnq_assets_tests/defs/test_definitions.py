import dagster as dg
import pytest

from synnq_assets.definitions import defs

KEYS = {
    *("curated_corpus", "tokenizer", "shard_plan", "signed_shards", "node_profiles"),
    *("round_base", "shard_allocation", "training_job", "local_checkpoint"),
    *("shard_reassignment", "verified_submission", "global_checkpoint"),
    *("evaluation_report", "compliance_report", "release", "audit_log"),
}


def graph():
    return defs.resolve_asset_graph()


def test_the_definitions_load():
    dg.Definitions.validate_loadable(defs)


def test_every_asset_is_known_and_none_comes_from_a_misspelt_dependency():
    assert {key.to_user_string() for key in graph().get_all_asset_keys()} == KEYS
    assert not [key for key in graph().external_asset_keys]


def test_every_asset_has_a_group_and_a_description():
    for node in graph().asset_nodes:
        assert node.group_name != "default", node.key
        assert node.description, node.key


def test_schedules_are_off_and_sensors_are_on():
    repository = defs.get_repository_def()
    assert {s.default_status for s in repository.schedule_defs} == {
        dg.DefaultScheduleStatus.STOPPED
    }
    assert {s.default_status for s in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("tokenizer", "curated_corpus"),
        ("signed_shards", "shard_plan"),
        ("shard_allocation", "signed_shards"),
        ("training_job", "shard_allocation"),
        ("verified_submission", "local_checkpoint"),
        ("global_checkpoint", "verified_submission"),
        ("evaluation_report", "global_checkpoint"),
        ("release", "compliance_report"),
    ],
)
def test_lineage_follows_the_round(child, parent):
    parents = {key.to_user_string() for key in graph().get(dg.AssetKey(child)).parent_keys}
    assert parent in parents
