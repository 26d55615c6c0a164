"""Markdown tables of the model card and the papers. Foreign text cannot break out of a cell."""

import re
from collections.abc import Iterable, Sequence

from synnq_assets.records.corpora import CurationReport
from synnq_assets.records.rounds import CheckpointRecord, EvaluationRecord
from synnq_assets.release.facts import ReleaseFacts

_MEASURES_BY_TEXT = ("perplexity", "bits_per_byte")
_KINDS = ("all", "language", "sector", "cell", "task")
_LARGEST = 1e300  # an evaluation writes the largest float where a figure was not finite
SUITE_MEASURE = "suite"  # not a figure: the number of the question suite


def format_figure(value: float | None) -> str:
    """Return a figure with four significant digits; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.4g}" if abs(value) < _LARGEST else "not finite"


def format_count(value: int) -> str:
    """Return an integer with thin groups: 12345678 -> `12 345 678`."""
    return f"{value:,}".replace(",", " ")


def escape_text(text: str) -> str:
    """Return foreign text for one line of Markdown: no markup, no line break, no table border."""
    flat = " ".join(text.split())
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>|#!" else char for char in flat)


def render_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are right-aligned."""
    lines = [f"| {' | '.join(header)} |", "|---|" + "---:|" * (len(header) - 1)]
    lines.extend(f"| {' | '.join(row)} |" for row in rows)
    return "\n".join(lines) + "\n"


def render_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a two-column table without figures to align."""
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in pairs)]
    return "\n".join(lines) + "\n"


def _split_figure(key: str) -> tuple[str, str, str]:
    """Return (measure, kind, slice): `perplexity/domain/law -> perplexity, sector, law`."""
    measure, _, part = key.partition("/")
    if part in ("", "all"):
        return measure, "all", "all"
    if part.startswith("domain/"):
        return measure, "sector", part.removeprefix("domain/")
    if re.fullmatch(r"[a-z]{2,3}", part) and measure in _MEASURES_BY_TEXT:
        return measure, "language", part
    is_cell = re.fullmatch(r"[a-z]{2,3}\.[a-z][a-z0-9_]*", part)
    return measure, "cell" if is_cell else "task", part


def list_measured(figures: dict[str, float]) -> set[str]:
    """Return the languages and sectors that have a figure of their own."""
    splits = (_split_figure(key) for key in figures)
    return {part for _, kind, part in splits if kind in ("language", "sector")}


def render_figures(facts: ReleaseFacts) -> str:
    """Return one table per measure: each slice at the first and at the released evaluation."""
    first, last = facts.first_evaluation, facts.evaluation
    measures: dict[str, list[tuple[int, str, str]]] = {}
    for key in last.figures:
        measure, kind, part = _split_figure(key)
        if measure != SUITE_MEASURE:
            measures.setdefault(measure, []).append((_KINDS.index(kind), part, key))
    parts = []
    for measure, rows in sorted(measures.items()):
        table = render_table(
            ("slice", "of", first.round, last.round),
            (
                (
                    escape_text(part),
                    _KINDS[kind],
                    format_figure(first.figures.get(key)),
                    format_figure(last.figures[key]),
                )
                for kind, part, key in sorted(rows)
            ),
        )
        parts.append(f"### {escape_text(measure)}\n\n{table}")
    return "\n".join(parts)


def render_rounds(
    chain: tuple[CheckpointRecord, ...], evaluations: tuple[EvaluationRecord, ...]
) -> str:
    """Return one row per checkpoint of the lineage."""
    measured = {evaluation.round: evaluation for evaluation in evaluations}
    rows = []
    for record in chain:
        evaluation = measured.get(record.round)
        rows.append(
            (
                record.round,
                str(len(record.contributions)),
                escape_text(record.rule),
                format_count(record.tokens_total),
                format_figure(record.update_norm),
                format_figure(evaluation.headline_perplexity if evaluation else None),
                format_figure(evaluation.headline_f1 if evaluation else None),
                f"`{record.checkpoint.checkpoint_sha256[:16]}`",
            )
        )
    header = ("round", "contributions", "rule", "trained tokens", "update norm")
    return render_table((*header, "perplexity", "F1", "checkpoint"), rows)


def render_cells(facts: ReleaseFacts) -> str:
    """Return tokens, documents and shards per (language, sector) cell."""
    return render_table(
        ("language", "sector", "tokens", "share", "documents", "shards"),
        (
            (
                cell.language,
                cell.domain,
                format_count(cell.num_tokens),
                f"{cell.num_tokens / facts.num_tokens:.1%}",
                format_count(cell.num_documents),
                str(cell.num_shards),
            )
            for cell in facts.cells
        ),
    )


def render_licences(facts: ReleaseFacts) -> str:
    """Return documents in the trained shards per licence."""
    return render_table(
        ("licence (SPDX)", "documents in trained shards"),
        ((escape_text(name), format_count(count)) for name, count in facts.licences.items()),
    )


def render_curation(reports: tuple[CurationReport, ...], facts: ReleaseFacts) -> str:
    """Return what came in, passed and was left out, per corpus source."""
    return render_table(
        ("source", "read", "kept", "refused", "set aside", "redactions", "in trained shards"),
        (
            (
                report.source,
                format_count(report.num_input),
                format_count(report.num_kept),
                format_count(sum(report.dropped.values())),
                format_count(sum(report.review.values())),
                format_count(sum(report.redactions.values())),
                format_count(facts.sources.get(report.source, 0)),
            )
            for report in sorted(reports, key=lambda report: report.source)
        ),
    )


def render_refusals(reports: tuple[CurationReport, ...]) -> str:
    """Return why documents were refused or set aside, over all sources."""
    totals: dict[str, list[int]] = {}
    for report in reports:
        for column, counts in enumerate((report.dropped, report.review)):
            for reason, count in counts.items():
                totals.setdefault(reason, [0, 0])[column] += count
    return render_table(
        ("step and reason", "refused", "set aside"),
        (
            (escape_text(reason), format_count(refused), format_count(aside))
            for reason, (refused, aside) in sorted(totals.items())
        ),
    )
