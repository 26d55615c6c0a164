import hashlib
import shutil

import pyarrow.parquet as pq
import pytest

from synnq_assets.corpora import curate_source, validate_corpus
from synnq_assets.corpora.data_docs import clean_page
from synnq_assets.settings.recipe import CorpusSettings, SourceSettings

CORPUS = CorpusSettings(sources=(), licences=("CC0-1.0",), languages=("de", "fr", "fi"))


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curated")
    params = {"documents_per_cell": 2, "languages": ["de", "fr", "sv"], "seed": 3}
    source = SourceSettings(name="sample-eu", kind="sample-eu", params=params)
    return folder, curate_source(source, CORPUS, folder)


def change(curated, tmp_path, **columns):
    """Return a copy of the documents with the first values of some columns replaced."""
    folder, report = curated
    shutil.copy(folder / "rejected.parquet", tmp_path)
    table = pq.read_table(folder / "documents.parquet")
    for name, value in columns.items():
        index = table.column_names.index(name)
        values = [value, *table[name].to_pylist()[1:]]
        table = table.set_column(index, table.schema.field(name), [values])
    path = tmp_path / "documents.parquet"
    pq.write_table(table, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, report.model_copy(update={"documents_sha256": digest})


def failed(outcome):
    return {item.name.split(" (")[0] for item in outcome.results if not item.success}


def test_a_curated_source_meets_every_expectation_and_gets_pages(curated, tmp_path):
    folder, report = curated
    documents = folder / "documents.parquet"
    outcome = validate_corpus(documents, report, tmp_path / "docs", CORPUS)
    assert outcome.success, outcome.summary_markdown
    assert len(outcome.results) == 22
    assert outcome.summary_markdown == "All 22 expectations hold."
    assert outcome.index_path == tmp_path / "docs/index.html"
    pages = {path.relative_to(tmp_path / "docs"): path for path in tmp_path.rglob("*.html")}
    assert len(pages) == 5
    index = outcome.index_path.read_text()
    for relative, path in pages.items():
        text = path.read_text()
        assert "http://" not in text
        assert "https://" not in text
        assert "<script" not in text
        assert relative.name == "index.html" or f'href="{relative.as_posix()}"' in index
    again = validate_corpus(documents, report, tmp_path / "docs")  # without the recipe
    assert again.success
    assert len(list((tmp_path / "docs").rglob("*.html"))) == 5


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": "mail me: a@b.example"}, {"residual_emails: values to be between"}),
        ({"licence": "GPL-3.0-only"}, {"licence: values to be in set"}),
        (
            {"licence": "NOASSERTION"},
            {"licence: values to be in set", "licence: values to not be in set"},
        ),
        ({"language": "sv"}, {"language: values to be in set"}),
        ({"origin": ""}, {"origin: value lengths to be between"}),
        ({"doc_id": "x"}, {"doc_id: values to match regex"}),
        (
            {"redactions_iban": -1},
            {"redactions_iban: values to be between", "redactions_iban: sum to be between"},
        ),
    ],
)
def test_each_fault_fails_its_own_expectation(curated, tmp_path, columns, expected):
    path, report = change(curated, tmp_path, **columns)
    outcome = validate_corpus(path, report, tmp_path / "docs", CORPUS)
    assert not outcome.success
    assert failed(outcome) == expected
    assert f"{len(expected)} of 22 expectations fail" in outcome.summary_markdown


def test_no_page_shows_an_address_that_was_found(curated, tmp_path):
    path, report = change(curated, tmp_path, text="mail me: secret.person@b.example")
    validate_corpus(path, report, tmp_path / "docs", CORPUS)
    assert not any("secret.person" in page.read_text() for page in tmp_path.rglob("*.html"))


def test_a_lost_document_breaks_the_accounting(curated, tmp_path):
    folder, report = curated
    table = pq.read_table(folder / "documents.parquet")
    path = tmp_path / "documents.parquet"
    pq.write_table(table.slice(1), path)
    shutil.copy(folder / "rejected.parquet", tmp_path)
    outcome = validate_corpus(path, report, tmp_path / "docs", CORPUS)
    assert {
        "num_kept + num_dropped + num_review: multisum to equal",
        "num_kept: values to be in set",
        "documents_sha256: values to be in set",
    } <= failed(outcome)


def test_a_licence_that_the_recipe_no_longer_accepts_fails(curated, tmp_path):
    folder, report = curated
    corpus = CORPUS.model_copy(update={"licences": ("MIT",)})
    outcome = validate_corpus(folder / "documents.parquet", report, tmp_path / "docs", corpus)
    assert failed(outcome) == {"licence: values to be in set"}


def test_a_repeated_id_is_found(curated, tmp_path):
    ids = pq.read_table(curated[0] / "documents.parquet")["doc_id"].to_pylist()
    path, report = change(curated, tmp_path, doc_id=ids[1])
    outcome = validate_corpus(path, report, tmp_path / "docs", CORPUS)
    assert failed(outcome) == {"doc_id: values to be unique"}


def test_a_page_is_cleaned_of_everything_that_calls_elsewhere():
    page = (
        '<head><link rel="stylesheet" href="https://cdn.example/a.css"/></head><body>'
        '<script src="https://cdn.example/a.js"></script><img src="https://x.example/p.png">'
        '<a href="https://x.example">news</a><p style="background:url(\'https://x.example/b\')">ok'
    )
    clean = clean_page(page)
    assert "example" not in clean
    assert "ok" in clean
    assert "<style>" in clean
