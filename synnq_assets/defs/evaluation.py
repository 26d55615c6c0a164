"""Evaluation and compliance of each global checkpoint; the decision to promote or roll back."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from synnq_assets.defs.partitions import rounds
from synnq_assets.defs.recording import (
    build_result,
    read_tag,
    recorded,
    render_image,
    render_table,
)
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.shards import TOKENIZER, planned_corpora
from synnq_assets.errors import EvaluationError
from synnq_assets.evaluation import (
    ComplianceReport,
    Drift,
    EvaluationFigures,
    build_compliance,
    build_suite,
    compare_figures,
    evaluate_model,
    judge_checkpoint,
    plot_rounds,
    verify_checkpoint,
)
from synnq_assets.modeling.architectures import count_weights
from synnq_assets.records.base import canonical_json, sha256_hex
from synnq_assets.records.rounds import CheckpointRecord, EvaluationRecord
from synnq_assets.trust import Home

GROUP = "evaluation"
MEASURE_AGAIN = {"synnq/measure": "again"}  # tags of a run that measures what was judged before


def measure(opened: Home, record: CheckpointRecord) -> EvaluationFigures:
    """Evaluate a checkpoint on the campaign's own suite, built once from the held-out documents.

    Raises:
        EvaluationError: the weights in the store are not the record's, or nothing can be measured.
    """
    from synnq_assets.modeling.export import export_huggingface

    settings = opened.settings.recipe.evaluation
    holdout = [opened.store.local_path(key) for key in opened.store.iter_keys("shards/holdout")]
    suite = build_suite(holdout, settings, opened.path / "evaluation" / "suite")
    weights = f"checkpoints/{record.checkpoint.checkpoint_sha256}/model.safetensors"
    with tempfile.TemporaryDirectory(dir=opened.path / "evaluation") as folder:
        model_dir = export_huggingface(
            opened.settings.recipe,
            opened.store.local_path(weights),
            opened.store.local_path(TOKENIZER),
            Path(folder),
        )
        verify_checkpoint(model_dir, record.checkpoint.checkpoint_sha256)  # the copy that is loaded
        return evaluate_model(model_dir, suite.path, settings)


def list_evaluations(opened: Home) -> list[EvaluationRecord]:
    """Return the evaluations of all checkpoints, by round."""
    found = (opened.campaign.find_evaluation(r.round) for r in opened.campaign.list_checkpoints())
    return [record for record in found if record is not None]


def evaluate(
    opened: Home, round_key: str, *, again: bool
) -> tuple[EvaluationRecord, EvaluationFigures | None]:
    """Return a round's judgement, made once, and its figures where they were measured now."""
    campaign = opened.campaign
    checkpoint = campaign.find_checkpoint(round_key)
    if checkpoint is None:
        raise EvaluationError(f"round {round_key} has no global checkpoint to evaluate")
    held = campaign.find_evaluation(round_key)
    if held is not None and not again:
        return held, None
    figures = measure(opened, checkpoint)
    if held is not None:
        return held, figures
    parent = campaign.find_evaluation(checkpoint.parent_round) if checkpoint.parent_round else None
    record = judge_checkpoint(
        round_key=round_key,
        checkpoint_sha256=checkpoint.checkpoint.checkpoint_sha256,
        figures=figures,
        parent=parent,
        settings=opened.settings.recipe.evaluation,
    )
    campaign.put_evaluation(record, opened.coordinator)
    return record, figures


@dg.asset(partitions_def=rounds, deps=["global_checkpoint"], group_name=GROUP, code_version="1")
def evaluation_report(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult:
    """Held-out perplexity by language and sector, F1, bias, toxicity, attribution; a decision."""
    opened = home.open()
    round_key = context.partition_key
    with recorded(context, opened, "evaluation_report", round_key) as deed:
        again = read_tag(context, "measure") == "again"
        record, figures = evaluate(opened, round_key, again=again)
        deed.details.update(sha256=record.digest(), decision=record.decision)
        drift = compare_figures(record, figures) if again and figures is not None else None
        if drift is not None:
            log_drift(context, drift)
            deed.details.update(drifted=[change.name for change in drift.drifted])
    metadata: dict[str, Any] = {
        "decision": record.decision,
        "reason": record.reason,
        "perplexity": record.headline_perplexity,
        "F1": record.headline_f1,
        "figures": render_table(*list_figures(record, drift)),
        "rounds so far": render_image(plot_rounds(list_evaluations(opened)), "rounds so far"),
    }
    if drift is not None:
        metadata["measured again"] = drift.describe()
    if figures is not None:
        metadata["perplexity by cell"] = render_image(figures.plot_png, "perplexity by cell")
        metadata |= {title: dg.MetadataValue.md(table) for title, table in figures.tables.items()}
    return build_result(deed, sha256=record.digest(), metadata=metadata)


def log_drift(context: dg.AssetExecutionContext, drift: Drift) -> None:
    """Say in the run's log what a second measurement found; a warning where figures changed."""
    log = context.log.warning if drift.drifted else context.log.info
    log(drift.describe())


def list_figures(
    record: EvaluationRecord, drift: Drift | None
) -> tuple[tuple[str, ...], Sequence[Sequence[Any]]]:
    """Return columns and rows: the recorded figures, with those of now beside them."""
    if drift is None:
        return ("figure", "value"), sorted(record.figures.items())
    return ("figure", "recorded", "measured now", "change"), drift.rows


@dg.asset_check(asset=evaluation_report, partitions_def=rounds)
def not_worse_than_parent(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> dg.AssetCheckResult:
    """The checkpoint is not worse than its parent beyond the tolerance; else it is rolled back."""
    record = home.open().campaign.find_evaluation(context.partition_key)
    if record is None:
        return dg.AssetCheckResult(passed=False, description="not evaluated")
    return dg.AssetCheckResult(passed=record.decision == "promoted", description=record.reason)


def assess(opened: Home, record: EvaluationRecord) -> ComplianceReport:
    """Map a checkpoint's figures and its data's facts to the requirements."""
    corpora = planned_corpora(opened)
    reports = [report for _, report in corpora]
    licences: dict[str, int] = {}
    redactions: dict[str, int] = {}
    for report in reports:
        for counts, total in ((report.licences, licences), (report.redactions, redactions)):
            for name, number in counts.items():
                total[name] = total.get(name, 0) + number
    checkpoint = opened.campaign.find_checkpoint(record.round)
    kept = sum(report.num_kept for report in reports)
    generated = sum(count_machine_generated(opened, folder) for folder, _ in corpora)
    return build_compliance(
        record,
        licences=licences,
        redactions=redactions,
        sources={report.source: report.languages for report in reports},
        machine_generated_share=generated / kept if kept else 0.0,
        audit_head=opened.audit.head(),
        tokens_total=checkpoint.tokens_total if checkpoint else 0,
        num_parameters=count_weights(opened.settings.recipe),
    )


def count_machine_generated(opened: Home, folder: str) -> int:
    """Return how many kept documents of a source were generated by a machine."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = opened.store.local_path(f"{folder}/documents.parquet")
    column = pq.read_table(path, columns=["machine_generated"])["machine_generated"]
    return int(pc.sum(column).as_py() or 0)


@dg.asset(partitions_def=rounds, deps=["evaluation_report"], group_name=GROUP, code_version="1")
def compliance_report(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult:
    """Requirement by requirement: the figure, its threshold, and what is not covered."""
    opened = home.open()
    record = opened.campaign.find_evaluation(context.partition_key)
    if record is None:
        raise EvaluationError(f"round {context.partition_key} was not evaluated")
    with recorded(context, opened, "compliance_report", record.round) as deed:
        report = assess(opened, record)
        data = canonical_json(report.to_json_value())
        sha256 = sha256_hex(data)
        opened.store.put_bytes(f"rounds/{record.round}/compliance/{sha256[:16]}.json", data)
        deed.details.update(sha256=sha256)
    return build_result(
        deed, sha256=sha256, metadata={"requirements": dg.MetadataValue.md(report.markdown)}
    )
