"""The asset `curated_corpus` and its check over a tiny directory, as Dagster runs them."""

import base64
import json
import re

import dagster as dg
import pyarrow.parquet as pq
import pytest

from synnq_assets.cli.home import grant_own_keys
from synnq_assets.defs.corpora import curated_corpus, expectations, list_curations, newest_corpus
from synnq_assets.defs.partitions import sources
from synnq_assets.defs.resources import HomeResource
from synnq_assets.settings import Settings, load_profile, load_recipe
from synnq_assets.settings.recipe import Recipe
from synnq_assets.trust import Home

TEXTS = (
    "Die Richtlinie gilt in allen Mitgliedstaaten und wird jedes Jahr geprüft. " * 3,
    "Das Krankenhaus meldet seine Zahlen der Behörde; Fragen an amt@example.org. " * 3,
    "La directive s'applique dans tous les États membres et elle est revue chaque année. " * 3,
)
KEPT = [
    {"text": TEXTS[0], "language": "de", "domain": "law", "licence": "CC-BY-4.0"},
    {"text": TEXTS[1], "language": "de", "domain": "health", "licence": "MIT"},
    {"text": TEXTS[2], "language": "fr", "domain": "law", "licence": "CC-BY-4.0"},
]
REFUSED = {"text": "Text ohne Erlaubnis. " * 9, "language": "de", "licence": "CC-BY-NC-4.0"}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "corpus"
    path.mkdir()
    return path


@pytest.fixture
def home(tmp_path, folder):
    raw = load_recipe("smoke", {}).model_dump(mode="json")
    raw["corpus"]["sources"] = [
        {"name": "own", "kind": "directory", "params": {"path": str(folder)}}
    ]
    settings = Settings(profile=load_profile("local", {}), recipe=Recipe.model_validate(raw))
    home = Home.create(tmp_path / "home", settings)
    grant_own_keys(home)
    return home


def curate(home, folder, rows, *checks):
    """Write the rows, run the asset and its checks, and return Dagster's result."""
    (folder / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(sources.name, ["own"])
        result = dg.materialize(
            [curated_corpus, *checks],
            partition_key="own",
            instance=instance,
            resources={"home": HomeResource(path=str(home.path))},
        )
    assert result.success
    return result


def read_metadata(result):
    (event,) = result.asset_materializations_for_node("curated_corpus")
    return event.metadata


def test_metadata_hold_the_tables_and_the_plot(home, folder):
    metadata = read_metadata(curate(home, folder, [*KEPT, REFUSED, REFUSED]))
    assert metadata["dagster/row_count"].value == 3
    assert metadata["documents in"].value == 5
    assert "| licence:not-accepted | 2 |" in metadata["dropped"].value
    assert "| email | 3 |" in metadata["redactions"].value
    tables = {
        "Documents": "| kept | 3 |",
        "Not kept, by reason": "| licence:not-accepted | drop | 2 |",
        "Documents by language and domain": "| language | health | law | all |\n"
        "| --- | ---: | ---: | ---: |\n| de | 1 | 1 | 2 |\n| fr | 0 | 1 | 1 |",
        "Characters by language and domain": "| fr |",
        "Licences": "| CC-BY-4.0 | 2 |",
        "Redactions": "| email | 3 |",
        "Length in characters": "| 100% |",
    }
    for title, row in tables.items():
        assert isinstance(metadata[title], dg.MarkdownMetadataValue)
        assert row in metadata[title].value, title
    (png,) = re.findall(r"\(data:image/png;base64,([\w+/=]+)\)", metadata["overview"].value)
    data = base64.b64decode(png, validate=True)
    assert data.startswith(b"\x89PNG")
    width, height = (int.from_bytes(data[k : k + 4], "big") for k in (16, 20))
    assert (width, height) == (1210, 330)


def test_asset_and_check_link_data_docs_by_file_and_by_web_address(home, folder, monkeypatch):
    monkeypatch.setenv("SYNNQ_DATA_DOCS_URL", "https://docs.example.org/synnq/")
    result = curate(home, folder, KEPT, expectations)
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    for metadata in (read_metadata(result), check.metadata):
        assert metadata["Data Docs"].value == "https://docs.example.org/synnq/own/index.html"
        path = metadata["Data Docs file"].value
        assert path == str(home.path / "data_docs" / "own" / "index.html")
        with open(path, encoding="utf-8") as file:
            assert "Corpus own: expectations" in file.read()


def test_where_nobody_serves_data_docs_only_the_file_is_named(home, folder, monkeypatch):
    monkeypatch.delenv("SYNNQ_DATA_DOCS_URL", raising=False)
    metadata = read_metadata(curate(home, folder, KEPT))
    assert "Data Docs" not in metadata
    assert metadata["Data Docs file"].value.endswith("index.html")


def test_a_night_in_which_only_rejections_change_is_a_generation_of_its_own(home, folder):
    first = read_metadata(curate(home, folder, KEPT))
    second = read_metadata(curate(home, folder, [*KEPT, REFUSED]))
    assert first["synnq/sha256"] == second["synnq/sha256"]  # nothing changes for what follows
    (old, _), (new, report) = list_curations(home, "own")
    assert newest_corpus(home, "own")[0] == new
    assert report.dropped == {"licence:not-accepted": 1}
    assert [pq.read_metadata(home.store.local_path(f"{key}/rejected.parquet")).num_rows
            for key in (old, new)] == [0, 1]  # fmt: skip


def test_the_same_corpus_again_is_the_same_generation(home, folder):
    curate(home, folder, [*KEPT, REFUSED])
    before = list_curations(home, "own")
    curate(home, folder, [REFUSED, *KEPT[::-1]])
    assert list_curations(home, "own") == before


def test_a_corpus_that_returns_to_an_earlier_state_is_the_newest_again(home, folder):
    for rows in (KEPT, KEPT[:2], KEPT):
        curate(home, folder, rows)
    folders = [key for key, _ in list_curations(home, "own")]
    assert [key.split("/")[2][:5] for key in folders] == ["0001-", "0002-", "0003-"]
    assert newest_corpus(home, "own")[1].num_kept == 3


def test_a_curation_that_was_cut_off_before_its_report_is_completed(home, folder):
    curate(home, folder, KEPT)
    key, _ = newest_corpus(home, "own")
    home.store.local_path(f"{key}/report.json").unlink()
    curate(home, folder, KEPT)
    assert [folder for folder, _ in list_curations(home, "own")] == [key]
