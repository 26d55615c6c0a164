"""From answers to figures: what one checkpoint measures on one suite."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synnq_assets.errors import EvaluationError
from synnq_assets.evaluation.holdout import CELL_NAME
from synnq_assets.evaluation.plots import plot_perplexity
from synnq_assets.evaluation.suite import Suite, open_suite
from synnq_assets.evaluation.tables import render_tables
from synnq_assets.evaluation.tasks import TASKS
from synnq_assets.evaluation.tasks.perplexity import HEADLINE, mean
from synnq_assets.records.orders import digest_files
from synnq_assets.settings.recipe import EvaluationSettings
from synnq_assets.storage.files import describe_file

FINGERPRINT = "suite/fingerprint"  # first 48 bits of the suite's digest: an exact float
MODEL_FILE = "model.safetensors"
F1_TASKS = ("language", "sector", "document")


@dataclass(frozen=True)
class EvaluationFigures:
    """Figures of one checkpoint.

    Attributes:
        figures: by name: `perplexity/<cell | language | domain/<sector> | all>`,
            `bits_per_byte/<language | all>`, `f1/<task>`, `accuracy/<task>`, `bias/...`,
            `toxicity/...`, `attribution/...`, `suite/fingerprint`. May hold NaN or infinity.
        headline_perplexity: `perplexity/all`.
        headline_f1: mean of the F1 tasks that the suite holds.
        tables: Markdown by title.
        plot_png: perplexity per language and per cell.
    """

    figures: dict[str, float]
    headline_perplexity: float
    headline_f1: float
    tables: dict[str, str]
    plot_png: bytes


def verify_checkpoint(model_dir: Path, checkpoint_sha256: str) -> None:
    """Compare the weights that are about to be measured with the checkpoint they stand for.

    Raises:
        EvaluationError: missing, or the weights of something else.
    """
    path = model_dir / MODEL_FILE
    try:
        digest = digest_files((describe_file(path),))
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror}") from error
    if digest != checkpoint_sha256:
        raise EvaluationError(
            f"the stored weights are checkpoint {digest}, but the record names checkpoint "
            f"{checkpoint_sha256}; nothing was measured: restore {MODEL_FILE} from a backup"
        )


def evaluate_model(model_dir: Path, suite: Path, settings: EvaluationSettings) -> EvaluationFigures:
    """Measure a model on a suite. Imports torch and lm-eval; uses no network.

    Args:
        model_dir: a Hugging Face folder (`modeling.export_huggingface`).
        suite: folder of `build_suite`; it may have been moved.
        settings: the batch size counts; the items are the suite's.

    Raises:
        EvaluationError: the model folder or the suite is damaged, or lm-eval fails.
    """
    from synnq_assets.evaluation.harness import ask_model

    opened = open_suite(suite)
    answers = ask_model(model_dir, opened, batch_size=settings.batch_size)
    figures: dict[str, float] = {}
    for name in opened.tasks:
        if len(answers.by_task[name]) != len(opened.items[name]):
            raise EvaluationError(f"lm-eval answered {name} only in part; evaluate again")
        figures |= TASKS[name].measure(answers.by_task[name])
    figures |= answers.attribution
    return build_figures(figures, opened)


def build_figures(figures: Mapping[str, float], suite: Suite) -> EvaluationFigures:
    """Return figures with headlines, tables and plot."""
    named = {**figures, FINGERPRINT: float(int(suite.sha256[:12], 16))}
    scores = [named[f"f1/{name}"] for name in F1_TASKS if f"f1/{name}" in named]
    return EvaluationFigures(
        figures=named,
        headline_perplexity=named[HEADLINE],
        headline_f1=mean(scores),
        tables=render_tables(named, suite.cells),
        plot_png=plot_perplexity(named, suite.cells),
    )


def list_cells(figures: Mapping[str, float]) -> tuple[str, ...]:
    """Return the (language, sector) cells that figures have a perplexity for, in order."""
    names = (name.removeprefix("perplexity/") for name in figures if name.startswith("perplexity/"))
    return tuple(sorted(name for name in names if CELL_NAME.fullmatch(name)))


def select_unmeasurable(figures: Mapping[str, float]) -> list[str]:
    """Return the names of figures that are NaN or infinite, in order."""
    return sorted(name for name, value in figures.items() if not math.isfinite(value))
