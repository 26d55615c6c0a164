"""What a curated source contains, as tables for a page and one plot.

Markdown tables of the report's counts, and a picture of documents and characters per language and
domain. The plot uses matplotlib's Agg canvas directly, without its process-wide state.
"""

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synnq_assets.corpora.documents import read_columns
from synnq_assets.records.corpora import CurationReport

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
DOTS_PER_INCH = 110
Cells = dict[tuple[str, str], int]  # (language, domain) -> number


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """Tables by title, in Markdown, and a PNG picture."""

    tables: dict[str, str]
    plot_png: bytes


def build_statistics(documents: Path, report: CurationReport) -> CorpusStatistics:
    """Return tables and a plot of a documents file and its report."""
    num_documents: Cells = Counter()
    num_characters: Cells = Counter()
    lengths: list[int] = []
    num_generated = 0
    columns = ("language", "domain", "num_characters", "machine_generated")
    for batch in read_columns(documents, columns):
        for language, domain, length, generated in zip(*batch.values(), strict=True):
            num_documents[language, domain] += 1
            num_characters[language, domain] += length
            lengths.append(length)
            num_generated += generated
    tables = {
        "Documents": _render_accounting(report, num_generated),
        "Not kept, by reason": _render_reasons(report),
        "Documents by language and domain": _render_cells(num_documents),
        "Characters by language and domain": _render_cells(num_characters),
        "Licences": _render_counts(("licence", "documents"), report.licences),
        "Redactions": _render_counts(("kind", "replacements"), report.redactions),
        "Length in characters": _render_lengths(lengths),
    }
    return CorpusStatistics(tables, _draw(num_documents, num_characters, report.source))


def render_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; numbers are right-aligned and grouped in thousands."""
    body = [[_render_cell(value) for value in row] for row in rows]
    marks = ["---"] + ["---:"] * (len(head) - 1)
    lines = [list(head), marks, *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _render_cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return str(value).replace("|", "\\|")


def _render_accounting(report: CurationReport, num_generated: int) -> str:
    return render_table(
        ("documents", "number"),
        [
            ("input", report.num_input),
            ("kept", report.num_kept),
            ("dropped", sum(report.dropped.values())),
            ("in review", sum(report.review.values())),
            ("kept and machine-generated", num_generated),
        ],
    )


def _render_reasons(report: CurationReport) -> str:
    rows = [(reason, "drop", number) for reason, number in _by_number(report.dropped)]
    rows += [(reason, "review", number) for reason, number in _by_number(report.review)]
    return render_table(("step and reason", "outcome", "documents"), rows)


def _render_counts(head: tuple[str, str], counts: Mapping[str, int]) -> str:
    return render_table(head, _by_number(counts))


def _by_number(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _render_cells(cells: Cells) -> str:
    languages, domains = _axes(cells)
    rows: list[tuple[object, ...]] = []
    for language in languages:
        numbers = [cells.get((language, domain), 0) for domain in domains]
        rows.append((language, *numbers, sum(numbers)))
    totals = [sum(cells.get((code, domain), 0) for code in languages) for domain in domains]
    rows.append(("all", *totals, sum(totals)))
    return render_table(("language", *domains, "all"), rows)


def _render_lengths(lengths: list[int]) -> str:
    ordered = sorted(lengths)
    rows = [
        (f"{quantile:.0%}", ordered[round(quantile * (len(ordered) - 1))]) for quantile in QUANTILES
    ]
    return render_table(("quantile", "characters"), rows)


def _axes(cells: Cells) -> tuple[list[str], list[str]]:
    return sorted({code for code, _ in cells}), sorted({domain for _, domain in cells})


def _draw(num_documents: Cells, num_characters: Cells, source: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    languages, domains = _axes(num_documents)
    height = max(3.0, 0.3 * len(languages) + 1.6)
    figure = Figure(figsize=(11.0, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    panels = ((num_documents, 1, "documents"), (num_characters, 1_000, "thousand characters"))
    for axis, (cells, unit, label) in zip(axes, panels, strict=True):
        starts = [0.0] * len(languages)
        for domain in domains:
            widths = [cells.get((language, domain), 0) / unit for language in languages]
            axis.barh(languages, widths, left=starts, label=domain, height=0.75)
            starts = [start + width for start, width in zip(starts, widths, strict=True)]
        axis.set_xlabel(label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    axes[0].set_ylabel("language")
    figure.suptitle(f"{source}: kept, by language and domain", fontsize=11)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()
