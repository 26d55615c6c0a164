"""Perplexity of held-out text: per cell, per language, per sector, and one headline.

A cell's perplexity is exp(negative log-likelihood / tokens), pooled over its documents. Every mean
above the cell weighs cells equally in log space (a geometric mean): a language with more text does
not hide the loss of another, and a relative tolerance means the same number of nats at any level.
Per token, it compares rounds of one campaign (one tokenizer, one suite); `bits_per_byte` compares
models with different tokenizers.

Source: Jelinek et al. 1977 (perplexity); Gao et al. 2020, arXiv:2101.00027 (bits per byte).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from synnq_assets.evaluation.holdout import Holdout, cut_text
from synnq_assets.evaluation.tasks.base import Answer, Item, Task
from synnq_assets.settings.recipe import EvaluationSettings

EXCERPT_BYTES = 300  # of each document: about one window of 128 tokens of a small vocabulary
HEADLINE = "perplexity/all"


class Perplexity(Task):
    """Rolling log-likelihood of excerpts."""

    name = "perplexity"
    config: ClassVar[dict[str, Any]] = {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "text",
        "metric_list": [
            {"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}
        ],
    }

    def build_items(self, holdout: Holdout, settings: EvaluationSettings) -> list[Item]:
        """Return one excerpt per held-out document."""
        return [
            {"cell": cell, "text": cut_text(document.text, max_bytes=EXCERPT_BYTES)[0]}
            for cell, documents in holdout.items()
            for document in documents
        ]

    def measure(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Return perplexity per cell and above, and bits per byte per language and over all."""
        nats: dict[str, list[float]] = defaultdict(list)  # group -> cell means, per token
        bits: dict[str, list[float]] = defaultdict(list)  # group -> cell means, per byte
        cells: dict[str, list[Answer]] = defaultdict(list)
        for answer in answers:
            cells[answer.item["cell"]].append(answer)
        for cell, members in cells.items():
            loss = -math.fsum(answer.log_likelihoods[0] for answer in members)
            num_tokens = sum(answer.num_tokens for answer in members)
            num_bytes = sum(len(answer.item["text"].encode()) for answer in members)
            language, domain = cell.split(".", 1)
            for group in (cell, language, f"domain/{domain}", "all"):
                nats[group].append(loss / num_tokens)
            for group in (language, "all"):
                bits[group].append(loss / num_bytes / math.log(2))
        figures = {f"perplexity/{group}": exponential(mean(nats[group])) for group in nats}
        return figures | {f"bits_per_byte/{group}": mean(bits[group]) for group in bits}


def mean(values: Iterable[float]) -> float:
    """Return the arithmetic mean, summed exactly."""
    items = list(values)
    return math.fsum(items) / len(items)


def exponential(nats: float) -> float:
    """Return e**nats, and infinity where a float ends (above 709 nats)."""
    return math.inf if nats > 709.0 else math.exp(nats)
