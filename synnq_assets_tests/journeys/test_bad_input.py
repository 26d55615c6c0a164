"""Bad corpora, as an operator meets them: a failed run whose failure says what to do."""

import json

import dagster as dg
import pytest

from synnq_assets.cli.home import grant_own_keys
from synnq_assets.defs.corpora import curated_corpus, expectations
from synnq_assets.defs.partitions import sources
from synnq_assets.defs.resources import HomeResource
from synnq_assets.settings import Settings, load_profile, load_recipe
from synnq_assets.settings.recipe import Recipe
from synnq_assets.trust import Home

TEXT = "Die Richtlinie gilt in allen Mitgliedstaaten und wird jedes Jahr geprüft. " * 4


def create_home(path, *, kind="directory", rows=()):
    corpus = path / "corpus"
    corpus.mkdir()
    lines = [json.dumps({"text": TEXT, **row}) for row in rows]
    (corpus / "documents.jsonl").write_text("\n".join(lines))
    raw = load_recipe("smoke").model_dump(mode="json")
    source = {"name": "own", "kind": kind, "params": {"path": str(corpus)}}
    raw["corpus"]["sources"] = [source]
    settings = Settings(profile=load_profile("local"), recipe=Recipe.model_validate(raw))
    home = Home.create(path / "home", settings)
    grant_own_keys(home)
    return home


def curate(home, partition_key="own"):
    """Run the asset and its check as Dagster does; return (failure texts, instance)."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(sources.name, [partition_key])
        result = dg.materialize(
            [curated_corpus, expectations],
            partition_key=partition_key,
            instance=instance,
            resources={"home": HomeResource(path=str(home.path))},
            raise_on_error=False,
        )
        assert not result.success
        run = instance.get_run_by_id(result.run_id)
        assert run.status == dg.DagsterRunStatus.FAILURE
        failures = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        assert not result.asset_materializations_for_node("curated_corpus")
        assert not result.get_asset_check_evaluations()
    return [entry.dagster_event.step_failure_data.error.to_string() for entry in failures]


@pytest.mark.parametrize(
    ("changes", "partition_key", "error", "says"),
    [
        pytest.param(
            {"rows": [{"licence": "MIT"}]},
            "nowhere",
            "UnknownSourceError",
            "the recipe has no corpus source 'nowhere'; it has: own",
            id="a source that the recipe does not have",
        ),
        pytest.param(
            {"kind": "directry"},
            "own",
            "UnknownSourceError",
            "source 'own' has unknown kind 'directry'; did you mean 'directory'?",
            id="a source of an unknown kind",
        ),
        pytest.param(
            {"rows": []},
            "own",
            "EmptyCorpusError",
            "source 'own' holds no document; check its parameters",
            id="an empty corpus",
        ),
        pytest.param(
            {"rows": [{"licence": "CC-BY-NC-4.0"}, {"licence": "All rights reserved"}]},
            "own",
            "EmptyCorpusError",
            "source 'own': none of 2 documents passed the licence gate",
            id="a corpus of which nothing may be used",
        ),
    ],
)
def test_the_run_fails_and_its_event_says_why(tmp_path, changes, partition_key, error, says):
    home = create_home(tmp_path, **changes)
    (text,) = curate(home, partition_key)
    assert f"synnq_assets.errors.{error}: {says}" in text
    assert not list(home.store.iter_keys("corpora"))
    assert not [path for path in (home.path / "store").rglob("*.parquet")]


def test_the_audit_log_has_the_failure_without_its_text(tmp_path):
    home = create_home(tmp_path, rows=[{"licence": "CC-BY-NC-4.0"}])
    curate(home)
    intent, failure = [e for _, e in home.audit.iter_entries() if e.action == "curated_corpus"]
    assert (intent.phase, failure.phase) == ("intent", "failure")
    assert failure.details == {"error": "EmptyCorpusError", "is_ours": True}
    home.audit.verify(home.log_verifier)
