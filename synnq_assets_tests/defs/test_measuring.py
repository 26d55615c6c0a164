"""One small campaign up to its initial model, run as Dagster runs it; then measured again."""

import json

import dagster as dg
import pytest

from synnq_assets.cli.demo.setup import create_demo_home
from synnq_assets.defs.aggregation import global_checkpoint
from synnq_assets.defs.corpora import curated_corpus
from synnq_assets.defs.evaluation import MEASURE_AGAIN, compliance_report, evaluation_report
from synnq_assets.defs.release import release
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.shards import shard_plan, tokenizer
from synnq_assets.errors import EvaluationError, ReleaseError
from synnq_assets.release import verify_release
from synnq_assets.settings import resolve_settings

pytestmark = pytest.mark.slow  # lm-eval measures a model three times


class Campaign:
    """A home with a Dagster instance of its own."""

    def __init__(self, path, instance):
        self.home = create_demo_home(path, resolve_settings("local", "smoke"))
        self.instance = instance
        instance.add_dynamic_partitions("source", ["sample-eu"])
        instance.add_dynamic_partitions("round", ["r0000"])

    def run(self, *assets, partition_key=None, tags=None):
        resources = {"home": HomeResource(path=str(self.home.path))}
        return dg.materialize(
            assets,
            partition_key=partition_key,
            instance=self.instance,
            resources=resources,
            tags=tags,
        )


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    with dg.instance_for_test() as instance:
        campaign = Campaign(tmp_path_factory.mktemp("measuring") / "home", instance)
        campaign.run(curated_corpus, partition_key="sample-eu")
        campaign.run(tokenizer, shard_plan)
        campaign.run(
            *(global_checkpoint, evaluation_report, compliance_report), partition_key="r0000"
        )
        yield campaign


def read_metadata(result, asset):
    (event,) = result.asset_materializations_for_node(asset)
    return event.metadata


def test_measured_again_new_figures_stand_beside_the_recorded(campaign):
    recorded = campaign.home.campaign.find_evaluation("r0000")
    result = campaign.run(
        evaluation_report, compliance_report, partition_key="r0000", tags=MEASURE_AGAIN
    )
    metadata = read_metadata(result, "evaluation_report")
    table = metadata["figures"].value
    assert table.startswith("| figure | recorded | measured now | change |")
    headline = f"{recorded.figures['perplexity/all']:.4g}"
    assert f"| perplexity/all | {headline} | {headline} | +0.000% |" in table
    assert metadata["measured again"].value == (
        f"measured again: all {len(recorded.figures)} figures are as recorded"
    )
    assert "perplexity by cell" in metadata
    assert campaign.home.campaign.find_evaluation("r0000") == recorded
    assert read_metadata(result, "compliance_report")["requirements"].value


def test_without_the_tag_the_record_is_shown_and_nothing_is_measured(campaign):
    result = campaign.run(evaluation_report, partition_key="r0000")
    metadata = read_metadata(result, "evaluation_report")
    assert metadata["figures"].value.startswith("| figure | value |")
    assert "measured again" not in metadata
    assert "perplexity by cell" not in metadata


def test_a_release_holds_two_plots_that_are_signed_and_verified(campaign):
    result = campaign.run(release, partition_key="r0000")
    folder = read_metadata(result, "release")["dagster/uri"].value
    home = campaign.home
    path = home.path / "releases" / folder.rsplit("/", 1)[1]
    record = verify_release(path, home.coordinator.public_key).record
    plots = {"figures/perplexity.png", "figures/rounds.png"}
    assert plots <= {file.path for file in record.files}
    card = (path / "README.md").read_text()
    assert all(f"]({plot})" in card for plot in plots)
    assert "Energy: 0 of 0 contributions reported energy.\n" in card
    papers = json.loads((path / "papers" / "model-documentation.json").read_text())
    assert papers["sections"]["8 Energy consumption"][0]["value"] is None
    (path / "figures" / "perplexity.png").write_bytes(b"\x89PNG\r\n\x1a\nother")
    with pytest.raises(ReleaseError, match=r"figures/perplexity\.png does not have the signed"):
        verify_release(path, home.coordinator.public_key)


def test_a_drift_is_a_warning_in_the_log_and_a_line_in_the_audit_log(campaign, monkeypatch):
    """The measurement is another where the model is held in half precision, say."""
    from synnq_assets.evaluation import harness

    load = harness._load_model
    monkeypatch.setattr(
        harness, "_load_model", lambda folder: (load(folder)[0].bfloat16(), load(folder)[1])
    )
    result = campaign.run(evaluation_report, partition_key="r0000", tags=MEASURE_AGAIN)
    found = read_metadata(result, "evaluation_report")["measured again"].value
    assert "figures differ from the record" in found
    warnings = [
        entry.user_message
        for entry in campaign.instance.all_logs(result.run_id)
        if entry.level == 30
    ]
    assert warnings == [found]
    last = [entry for _, entry in campaign.home.audit.iter_entries()][-1]
    assert "perplexity/all" in last.details["drifted"]


def test_weights_that_are_not_the_record_s_are_not_measured(campaign):
    home = campaign.home
    sha256 = home.campaign.find_checkpoint("r0000").checkpoint.checkpoint_sha256
    path = home.store.local_path(f"checkpoints/{sha256}/model.safetensors")
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with pytest.raises(EvaluationError, match=f"the record names checkpoint {sha256}"):
            campaign.run(evaluation_report, partition_key="r0000", tags=MEASURE_AGAIN)
    finally:
        path.write_bytes(whole)
