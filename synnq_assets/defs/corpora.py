"""Curated corpora: one partition per source."""

import shutil
from pathlib import Path

import dagster as dg

from synnq_assets.corpora import build_statistics, curate_source, digest_curation, validate_corpus
from synnq_assets.defs.partitions import sources
from synnq_assets.defs.recording import build_result, recorded, render_image, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.errors import UnknownSourceError
from synnq_assets.records.corpora import CurationReport
from synnq_assets.settings import data_docs_url
from synnq_assets.trust import Home

GROUP = "corpora"
DATA_DOCS, INDEX = "data_docs", "index.html"  # in the home; served by `synnq up`


@dg.asset(partitions_def=sources, group_name=GROUP, kinds={"parquet"}, code_version="1")
def curated_corpus(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Licensed, deduplicated and redacted documents of one source, every rejection counted."""
    opened = home.open()
    name = context.partition_key
    corpus = opened.settings.recipe.corpus
    settings = next((source for source in corpus.sources if source.name == name), None)
    if settings is None:
        known = ", ".join(source.name for source in corpus.sources)
        raise UnknownSourceError(f"the recipe has no corpus source {name!r}; it has: {known}")
    building = opened.store.reserve(f"corpora/{name}/documents.parquet").parent
    shutil.rmtree(building, ignore_errors=True)
    with recorded(context, opened, "curated_corpus", name) as deed:
        report = curate_source(settings, corpus, building)
        statistics = build_statistics(building / "documents.parquet", report)
        folder = store_curation(opened, building, report)
        deed.details.update(sha256=report.documents_sha256, documents=report.num_kept)
    losses = [*report.dropped.items(), *((f"{k} (review)", n) for k, n in report.review.items())]
    return build_result(
        deed,
        sha256=report.documents_sha256,
        metadata={
            "dagster/row_count": report.num_kept,
            "dagster/uri": str(opened.store.local_path(f"{folder}/documents.parquet")),
            **link_data_docs(opened, name),
            "documents in": report.num_input,
            "characters": report.num_characters,
            "dropped": render_table(("reason", "documents"), losses),
            "redactions": render_table(("kind", "replaced"), report.redactions.items()),
            "overview": render_image(statistics.plot_png, "documents by language and domain"),
            **{title: dg.MetadataValue.md(table) for title, table in statistics.tables.items()},
        },
    )


@dg.asset_check(asset=curated_corpus, blocking=False, partitions_def=sources)
def expectations(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """The Great Expectations suite over the kept documents; Data Docs are linked."""
    opened = home.open()
    name = context.partition_key
    folder, report = newest_corpus(opened, name)
    outcome = validate_corpus(
        opened.store.local_path(f"{folder}/documents.parquet"),
        report,
        opened.path / DATA_DOCS / name,
        corpus=opened.settings.recipe.corpus,
    )
    return dg.AssetCheckResult(
        passed=outcome.success,
        metadata={
            "expectations": dg.MetadataValue.md(outcome.summary_markdown),
            **link_data_docs(opened, name),
        },
    )


def link_data_docs(opened: Home, source: str) -> dict[str, dg.MetadataValue]:
    """Return where a source's Data Docs are: the file, and the page wherever one is served."""
    index = opened.path / DATA_DOCS / source / INDEX
    links: dict[str, dg.MetadataValue] = {"Data Docs file": dg.MetadataValue.path(str(index))}
    base = data_docs_url()
    if base is not None:
        links["Data Docs"] = dg.MetadataValue.url(f"{base}/{source}/{INDEX}")
    return links


def store_curation(opened: Home, building: Path, report: CurationReport) -> str:
    """Store a curation as the source's next generation, and return its object key folder.

    What repeats the newest generation, kept and rejected documents alike, is that generation; its
    report stands.
    """
    digest = digest_curation(building)[:16]
    earlier = list_curations(opened, report.source)
    if earlier and earlier[-1][0].endswith(f"-{digest}"):
        return earlier[-1][0]
    folder = f"corpora/{report.source}/{len(earlier) + 1:04d}-{digest}"
    for file in ("documents.parquet", "rejected.parquet"):
        opened.store.put_file(f"{folder}/{file}", building / file)
    opened.ledger.put(f"{folder}/report.json", report, opened.steward)  # last: now it counts
    return folder


def list_curations(opened: Home, source: str) -> list[tuple[str, CurationReport]]:
    """Return (object key folder, report) of a source's curations, the newest last."""
    reports = [
        (
            key.removesuffix("/report.json"),
            opened.ledger.get(key, CurationReport, roles=("steward",)),
        )
        for key in opened.store.iter_keys(f"corpora/{source}")
        if key.endswith("/report.json")
    ]
    return sorted(reports, key=lambda item: (item[1].created_at, item[0]))


def newest_corpus(opened: Home, source: str) -> tuple[str, CurationReport]:
    """Return (object key folder, report) of a source's newest curation."""
    curations = list_curations(opened, source)
    if not curations:
        raise UnknownSourceError(f"source {source!r} was not curated yet")
    return curations[-1]
