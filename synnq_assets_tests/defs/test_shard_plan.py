"""Two sources with texts in common, through curation to the plan, as Dagster runs them."""

import json

import dagster as dg
import pytest

from synnq_assets.cli.home import grant_own_keys
from synnq_assets.defs.corpora import curated_corpus
from synnq_assets.defs.partitions import sources
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.shards import PLAN, shard_plan, tokenizer
from synnq_assets.errors import ShardError
from synnq_assets.settings import Settings, change_recipe, load_profile, load_recipe
from synnq_assets.shards import ShardPlan, find_document
from synnq_assets.trust import Home

SENTENCE = "Die Richtlinie Nummer {} gilt in allen Mitgliedstaaten und wird jedes Jahr geprüft. "
NAMES = ("archive", "mirror")


@pytest.fixture
def home(tmp_path):
    texts = [SENTENCE.format(k) * 3 for k in range(20)]
    parts = {"archive": texts, "mirror": [*texts[:3], *(t.replace("Jahr", "Mal") for t in texts)]}
    for name, part in parts.items():
        (tmp_path / name).mkdir()
        rows = [{"text": t, "language": "de", "domain": "law", "licence": "MIT"} for t in part]
        (tmp_path / name / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    named = [
        {"name": name, "kind": "directory", "params": {"path": str(tmp_path / name)}}
        for name in NAMES
    ]
    recipe = change_recipe(load_recipe("smoke", {}), {"corpus": {"sources": named}})
    home = Home.create(
        tmp_path / "home", Settings(profile=load_profile("local", {}), recipe=recipe)
    )
    grant_own_keys(home)
    return home


def test_what_two_sources_share_is_planned_once_and_counted_on_the_page(home):
    options = {"resources": {"home": HomeResource(path=str(home.path))}}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(sources.name, list(NAMES))
        for name in NAMES:
            dg.materialize([curated_corpus], partition_key=name, instance=instance, **options)
        result = dg.materialize([tokenizer, shard_plan], instance=instance, **options)
    (event,) = result.asset_materializations_for_node("shard_plan")
    plan = ShardPlan.from_bytes(home.store.get_bytes(PLAN))
    counts = {name: len(ids) for name, ids in plan.duplicates.items()}
    assert sum(counts.values()) == 3
    table = event.metadata["documents left out"].value
    for name, number in [*counts.items(), ("all", 3)]:
        assert f"| {name} | same text as a document that stays | {number} |" in table
    planned = {d.doc_id for cell in plan.cells.values() for s in cell for d in s.documents}
    held = {doc_id for ids in plan.holdout.values() for doc_id in ids}
    assert not planned & held
    assert len(planned) + len(held) == 40
    left_out = next(iter(next(iter(plan.duplicates.values()))))
    with pytest.raises(ShardError, match="has the same text as document"):
        find_document(home.store, left_out)
