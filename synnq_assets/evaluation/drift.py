"""A checkpoint measured again: each figure of now beside the one that its judgement rests on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from synnq_assets.evaluation.figures import FINGERPRINT, EvaluationFigures
from synnq_assets.records.rounds import EvaluationRecord

# Below this relative change two figures count as the same: the order of float32 sums differs
# between processors and thread counts.
SAME_WITHIN = 1e-5


@dataclass(frozen=True)
class FigureChange:
    """One figure, then and now; None where that measurement did not have it."""

    name: str
    recorded: float | None
    measured: float | None

    @property
    def change(self) -> float | None:
        """The relative change, or None where it has none (missing, not finite, from zero)."""
        if self.recorded is None or self.measured is None or not math.isfinite(self.measured):
            return None
        if self.recorded == self.measured:
            return 0.0
        return (self.measured - self.recorded) / abs(self.recorded) if self.recorded else None

    @property
    def is_drift(self) -> bool:
        """Whether the two differ by more than arithmetic explains."""
        if self.recorded is None and self.measured is not None:
            return math.isfinite(self.measured)  # a record holds no figure that is not finite
        change = self.change
        return change is None or abs(change) > SAME_WITHIN


@dataclass(frozen=True)
class Drift:
    """All figures of a second measurement against the record of the first."""

    changes: tuple[FigureChange, ...]
    recorded_perplexity: float
    measured_perplexity: float

    @property
    def drifted(self) -> tuple[FigureChange, ...]:
        """The figures that changed."""
        return tuple(change for change in self.changes if change.is_drift)

    @property
    def rows(self) -> Sequence[tuple[str, float | str, float | str, str]]:
        """Name, recorded, measured now, change; for a table."""
        return [
            (
                item.name,
                "-" if item.recorded is None else item.recorded,
                "-" if item.measured is None else item.measured,
                "-" if item.change is None else f"{item.change:+.3%}",
            )
            for item in self.changes
        ]

    def describe(self) -> str:
        """Return one sentence for the log."""
        if not self.drifted:
            return f"measured again: all {len(self.changes)} figures are as recorded"
        names = [item.name for item in self.drifted]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        questions = "; the questions are others than then" if FINGERPRINT in names else ""
        was, now = self.recorded_perplexity, self.measured_perplexity
        return (
            f"measured again: {len(names)} of {len(self.changes)} figures differ from the record "
            f"({', '.join(names[:3])}{more}); headline perplexity was {was:.4f}, is {now:.4f}"
            f"{questions}; the decision stands"
        )


def compare_figures(record: EvaluationRecord, figures: EvaluationFigures) -> Drift:
    """Compare what was recorded of a checkpoint with what is measured of it now."""
    names = sorted({*record.figures, *figures.figures})
    changes = tuple(
        FigureChange(name, record.figures.get(name), figures.figures.get(name)) for name in names
    )
    return Drift(changes, record.headline_perplexity, figures.headline_perplexity)
