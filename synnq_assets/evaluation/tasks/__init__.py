"""The tasks of the suite, all made by the project: nothing is downloaded.

    base.py            what a task is
    perplexity.py      held-out perplexity per cell, language, sector; bits per byte
    continuation.py    which text continues this document: F1 by language, by sector
    bias.py            stereotype against counterfactual, with a bootstrap interval (bias_pairs.py)
    toxicity.py        lexicon hits in generations; insult against neutral (toxicity_words.py)

A new task is a file here, a line in `TASKS`, and a test.
"""

from synnq_assets.evaluation.tasks.base import Answer, Item, Task
from synnq_assets.evaluation.tasks.bias import Bias
from synnq_assets.evaluation.tasks.continuation import (
    DocumentContinuation,
    LanguageContinuation,
    SectorContinuation,
)
from synnq_assets.evaluation.tasks.perplexity import Perplexity
from synnq_assets.evaluation.tasks.toxicity import Insults, Toxicity

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Perplexity(),
        LanguageContinuation(),
        SectorContinuation(),
        DocumentContinuation(),
        Bias(),
        Toxicity(),
        Insults(),
    )
}

__all__ = ["TASKS", "Answer", "Item", "Task"]
