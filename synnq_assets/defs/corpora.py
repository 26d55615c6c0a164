"""Curated corpora: one partition per source."""

import shutil

import dagster as dg

from synnq_assets.corpora import build_statistics, curate_source, validate_corpus
from synnq_assets.defs.partitions import sources
from synnq_assets.defs.recording import build_result, recorded, render_image, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.errors import UnknownSourceError
from synnq_assets.records.corpora import CurationReport
from synnq_assets.trust import Home

GROUP = "corpora"


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
        generation = report.documents_sha256[:16]
        for file in ("documents.parquet", "rejected.parquet"):
            opened.store.put_file(f"corpora/{name}/{generation}/{file}", building / file)
        key = f"corpora/{name}/{generation}/report.json"
        if not opened.store.has(key):  # the same documents again: the first report stands
            opened.ledger.put(key, report, opened.steward)
        deed.details.update(sha256=report.documents_sha256, documents=report.num_kept)
    losses = [*report.dropped.items(), *((f"{k} (review)", n) for k, n in report.review.items())]
    return build_result(
        deed,
        sha256=report.documents_sha256,
        metadata={
            "dagster/row_count": report.num_kept,
            "dagster/uri": str(
                opened.store.local_path(f"corpora/{name}/{generation}/documents.parquet")
            ),
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
    docs = opened.path / "data_docs" / name
    outcome = validate_corpus(
        opened.store.local_path(f"{folder}/documents.parquet"),
        report,
        docs,
        corpus=opened.settings.recipe.corpus,
    )
    return dg.AssetCheckResult(
        passed=outcome.success,
        metadata={
            "expectations": dg.MetadataValue.md(outcome.summary_markdown),
            "Data Docs": dg.MetadataValue.url(outcome.index_path.absolute().as_uri()),
        },
    )


def newest_corpus(opened: Home, source: str) -> tuple[str, CurationReport]:
    """Return (object key folder, report) of a source's newest curation."""
    reports = [
        (
            key.removesuffix("/report.json"),
            opened.ledger.get(key, CurationReport, roles=("steward",)),
        )
        for key in opened.store.iter_keys(f"corpora/{source}")
        if key.endswith("/report.json")
    ]
    if not reports:
        raise UnknownSourceError(f"source {source!r} was not curated yet")
    return max(reports, key=lambda item: item[1].created_at)
