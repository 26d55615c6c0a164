"""Plots as PNG bytes, drawn without a display and without matplotlib's global state."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from synnq_assets.records.rounds import EvaluationRecord

BLUE, GREY, RED = "#3b5b92", "#9aa5b1", "#b3412e"


def plot_perplexity(figures: Mapping[str, float], cells: Sequence[str]) -> bytes:
    """Return bars of perplexity per language (left) and per cell (right); no bar: not finite."""
    languages = sorted({cell.split(".", 1)[0] for cell in cells})
    figure = _build_figure(width=11.0, height=max(3.0, 0.18 * len(cells) + 1.2))
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    _draw_bars(left, figures, languages, figures["perplexity/all"])
    _draw_bars(right, figures, list(cells), figures["perplexity/all"])
    left.set_title("perplexity per language")
    right.set_title("perplexity per cell (line: all cells)")
    return _render_png(figure)


def plot_rounds(records: Sequence[EvaluationRecord]) -> bytes:
    """Return headline perplexity and F1 over rounds; a cross marks a round rolled back.

    A record whose figures were not finite carries the largest float: it is drawn at the top edge.
    """
    ordered = sorted(records, key=lambda record: record.round)
    figure = _build_figure(width=9.0, height=3.4)
    axes = figure.subplots(1, 2)
    measured = [r.headline_perplexity for r in ordered if r.headline_perplexity < 1e300]
    ceiling = 1.1 * max(measured, default=1.0)
    series = (
        (axes[0], "headline perplexity", [min(r.headline_perplexity, ceiling) for r in ordered]),
        (axes[1], "headline F1", [record.headline_f1 for record in ordered]),
    )
    names = [record.round for record in ordered]
    for axis, title, values in series:
        kept = [k for k, record in enumerate(ordered) if record.decision == "promoted"]
        lost = [k for k, record in enumerate(ordered) if record.decision != "promoted"]
        axis.plot(kept, [values[k] for k in kept], color=BLUE, marker="o", label="promoted")
        if lost:
            axis.plot(lost, [values[k] for k in lost], color=RED, marker="x", ls="", ms=9)
            axis.plot([], [], color=RED, marker="x", ls="", label="rolled back")
            axis.legend()
        axis.set_title(title)
        axis.set_xticks(range(len(names)), names, rotation=45 if len(names) > 6 else 0)
        axis.grid(axis="y", color="#e6e8eb")
    axes[1].set_ylim(0, 1)
    return _render_png(figure)


def _draw_bars(axis: Any, figures: Mapping[str, float], names: list[str], line: float) -> None:
    values = [figures[f"perplexity/{name}"] for name in names]
    shown = [value if math.isfinite(value) else 0.0 for value in values]
    axis.barh(range(len(names)), shown, color=[BLUE if value else RED for value in shown])
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.invert_yaxis()
    if math.isfinite(line):
        axis.axvline(line, color=GREY, lw=1)
    for position, value in enumerate(values):
        axis.annotate(f" {value:.4g}", (shown[position], position), va="center", fontsize=6)
    axis.margins(x=0.12, y=0.01)


def _build_figure(*, width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def _render_png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
