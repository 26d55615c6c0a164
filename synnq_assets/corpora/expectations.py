"""Great Expectations' only door: a suite over one curated source, and its Data Docs.

The suite runs on a table about the documents, not on their text: a failed expectation shows the
values that failed, and a page of found e-mail addresses would undo the redaction.
"""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from synnq_assets.corpora.data_docs import ExpectationResult, publish_data_docs
from synnq_assets.corpora.documents import read_columns
from synnq_assets.corpora.licences import parse_accepted, select_licence
from synnq_assets.errors import CorpusError
from synnq_assets.records.corpora import CurationReport
from synnq_assets.settings.recipe import CorpusSettings, QualitySettings
from synnq_assets.storage.files import hash_file

SITE = "corpus"
# Looser than what redaction looks for, and written independently of it.
RESIDUAL_EMAIL = re.compile(r"\w@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2}")
_COLUMNS = (
    "doc_id",
    "language",
    "licence",
    "origin",
    "num_characters",
    "redactions_email",
    "redactions_phone",
    "redactions_iban",
)


@dataclass(frozen=True, slots=True)
class ExpectationOutcome:
    """The whole suite."""

    success: bool
    results: tuple[ExpectationResult, ...]
    index_path: Path  # of the Data Docs
    summary_markdown: str


def validate_corpus(
    documents: Path, report: CurationReport, docs_dir: Path, corpus: CorpusSettings | None = None
) -> ExpectationOutcome:
    """Run the corpus suite on a documents file and its report, and write Data Docs.

    Args:
        documents: as written by `curate_source`; `rejected.parquet` is counted if it lies beside.
        report: of the same run.
        docs_dir: gets the pages, in the place of an earlier run's.
        corpus: gives accepted licences, languages and the longest text; without it the report's
            own licences and languages are what is expected.

    Raises:
        CorpusError: the `curate` extra is not installed.
        StorageError: the pages cannot be written.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when the library is imported
    try:
        import great_expectations as gx
    except ImportError as error:
        raise CorpusError(
            "expectations need great_expectations; install synnq-assets with the extra `curate`"
        ) from error
    suites = [
        ("documents", _build_frame(documents), _expect_documents(report, corpus)),
        ("accounting", _build_counts(documents, report), _expect_counts(report)),
    ]
    title = f"Corpus {report.source}: expectations"
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch)
        results = _run_suites(gx, report.source, suites, pages)
        index = publish_data_docs(pages, docs_dir, title, results)
    success = all(item.success for item in results)
    return ExpectationOutcome(success, results, index, _render_summary(results))


def _build_frame(documents: Path) -> Any:
    import pandas as pd

    frames = []
    for batch in read_columns(documents, (*_COLUMNS, "text")):
        texts = batch.pop("text")
        batch["residual_emails"] = [
            len(RESIDUAL_EMAIL.findall(text)) if "@" in text else 0 for text in texts
        ]
        frames.append(pd.DataFrame(batch))
    return pd.concat(frames, ignore_index=True)


def _build_counts(documents: Path, report: CurationReport) -> Any:
    import pandas as pd

    dropped, review = sum(report.dropped.values()), sum(report.review.values())
    rejected = documents.with_name("rejected.parquet")
    if rejected.exists():
        dispositions = pq.read_table(rejected, columns=["disposition"])["disposition"].to_pylist()
        dropped, review = dispositions.count("drop"), dispositions.count("review")
    counts = {
        "num_kept": pq.read_metadata(documents).num_rows,
        "num_dropped": dropped,
        "num_review": review,
        "documents_sha256": hash_file(documents)[0],
    }
    return pd.DataFrame([counts])


def _expect_documents(report: CurationReport, corpus: CorpusSettings | None) -> list[Any]:
    from great_expectations import expectations as gxe

    licences, languages = list(report.licences), list(report.languages)
    longest = QualitySettings().max_characters
    if corpus is not None:
        accepted = parse_accepted(corpus.licences)
        licences = [name for name in licences if not select_licence(name, accepted).reason]
        languages = list(corpus.languages)
        longest = corpus.quality.max_characters
    expected = [
        gxe.ExpectColumnValuesToNotBeNull(column="doc_id"),
        gxe.ExpectColumnValuesToBeUnique(column="doc_id"),
        gxe.ExpectColumnValuesToMatchRegex(column="doc_id", regex="^[0-9a-f]{64}$"),
        gxe.ExpectColumnValuesToNotBeNull(column="licence"),
        gxe.ExpectColumnValuesToBeInSet(column="licence", value_set=licences),
        gxe.ExpectColumnValuesToNotBeInSet(column="licence", value_set=["NOASSERTION", ""]),
        gxe.ExpectColumnValuesToBeInSet(column="language", value_set=languages),
        gxe.ExpectColumnValuesToNotBeNull(column="origin"),
        gxe.ExpectColumnValueLengthsToBeBetween(column="origin", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="num_characters", min_value=1, max_value=longest),
        gxe.ExpectColumnValuesToBeBetween(column="residual_emails", min_value=0, max_value=0),
    ]
    totals = {"num_characters": report.num_characters} | {
        f"redactions_{kind}": number for kind, number in report.redactions.items()
    }
    for column, total in totals.items():
        expected += [
            gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0),
            gxe.ExpectColumnSumToBeBetween(column=column, min_value=total, max_value=total),
        ]
    return expected


def _expect_counts(report: CurationReport) -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectMulticolumnSumToEqual(
            column_list=["num_kept", "num_dropped", "num_review"], sum_total=report.num_input
        ),
        gxe.ExpectColumnValuesToBeInSet(column="num_kept", value_set=[report.num_kept]),
        gxe.ExpectColumnValuesToBeInSet(
            column="documents_sha256", value_set=[report.documents_sha256]
        ),
    ]


def _run_suites(
    gx: Any, source_name: str, suites: list[tuple[str, Any, list[Any]]], pages: Path
) -> tuple[ExpectationResult, ...]:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    context.add_data_docs_site(site_name=SITE, site_config=_site_config(pages))
    action = gx.checkpoint.UpdateDataDocsAction(name="docs", site_names=[SITE])
    tables = context.data_sources.add_pandas(source_name)
    results: list[ExpectationResult] = []
    for subject, frame, expectations in suites:
        name = f"{source_name}-{subject}"
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        data = tables.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
        definition = gx.ValidationDefinition(name=name, data=data, suite=suite)
        definition = context.validation_definitions.add(definition)
        checkpoint = gx.Checkpoint(name=name, validation_definitions=[definition], actions=[action])
        run = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
        for validation in run.run_results.values():
            results += [_read_result(item) for item in validation["results"]]
    return tuple(results)


def _site_config(pages: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(pages),
        },
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }


def _read_result(item: Any) -> ExpectationResult:
    config = item["expectation_config"]
    arguments = {key: value for key, value in config["kwargs"].items() if key != "batch_id"}
    column = arguments.pop("column", None) or " + ".join(arguments.pop("column_list", []))
    kind = config["type"].removeprefix("expect_").replace("column_", "").replace("_", " ")
    details = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in arguments.items())
    name = f"{column}: {kind}" + (f" ({details})" if details else "")
    result = item["result"]
    if item["exception_info"].get("raised_exception"):
        observed = str(item["exception_info"].get("exception_message"))
    elif "observed_value" in result:
        observed = str(result["observed_value"])
    else:
        observed = f"{result['unexpected_count']} of {result['element_count']} unexpected"
    return ExpectationResult(name[:300], bool(item["success"]), observed[:300])


def _render_summary(results: tuple[ExpectationResult, ...]) -> str:
    failed = [item for item in results if not item.success]
    if not failed:
        return f"All {len(results)} expectations hold."
    lines = [f"{len(failed)} of {len(results)} expectations fail:"]
    lines += [f"- {item.name}: {item.observed}" for item in failed]
    return "\n".join(lines)
