"""What a checkpoint can do, whether it may replace its parent, and what a regulator is told.

In: held-out documents and a model folder. Out: figures, an evaluation record that promotes or
rolls back, a compliance report.

    holdout.py       held-out Parquet files, read and cut to size
    suite.py         the questions, written once: JSON Lines and lm-eval tasks, with one digest
    tasks/           one file per task: which items, which figures
    harness.py       lm-eval's only door: offline, float32, one device
    attribution.py   integrated gradients, and whether they can be believed (torch)
    figures.py       evaluate_model: answers become figures, tables and a plot
    drift.py         a checkpoint measured again, beside its record
    judging.py       promote, or roll back to the parent
    compliance.py    figures under the six principles of COMPL-AI, compute against the AI Act
    requirements.py  the requirements of that report, one visible list
    tables.py        Markdown
    plots.py         PNG

Importing this package imports no torch and no lm-eval.
"""

from synnq_assets.evaluation.compliance import ComplianceReport, build_compliance
from synnq_assets.evaluation.drift import Drift, compare_figures
from synnq_assets.evaluation.figures import (
    EvaluationFigures,
    evaluate_model,
    list_cells,
    verify_checkpoint,
)
from synnq_assets.evaluation.judging import judge_checkpoint
from synnq_assets.evaluation.plots import plot_perplexity, plot_rounds
from synnq_assets.evaluation.suite import Suite, build_suite, open_suite

__all__ = [
    "ComplianceReport",
    "Drift",
    "EvaluationFigures",
    "Suite",
    "build_compliance",
    "build_suite",
    "compare_figures",
    "evaluate_model",
    "judge_checkpoint",
    "list_cells",
    "open_suite",
    "plot_perplexity",
    "plot_rounds",
    "verify_checkpoint",
]
