"""Which text continues this document? The label of the chosen text, scored by macro F1.

An item is the beginning of a held-out document and up to four candidates: its true continuation,
and passages of other documents that differ in one attribute: the language, or the sector within one
language. The model's choice is the candidate with the highest pointwise mutual information,
log p(candidate | beginning) - log p(candidate): what the beginning says about the candidate, freed
of how likely the candidate is by itself. Its label (`de`, `health`, ...) is the prediction.

The choice needs no instruction and no answer format, so a model of a million parameters can begin
to solve it; telling sectors apart in a dozen words stays hard for a large one.

Source: Holtzman et al. 2021, arXiv:2104.08315 (mutual-information scoring of choices).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from synnq_assets.evaluation.holdout import HeldOutDocument, Holdout, cut_text
from synnq_assets.evaluation.tasks.base import Answer, Item, Task
from synnq_assets.evaluation.tasks.perplexity import mean
from synnq_assets.settings.recipe import EvaluationSettings

MAX_CHOICES = 4
CONTEXT_BYTES = 120
CHOICE_BYTES = 60  # one token per byte at worst: fits any context of 64 tokens
MIN_CHOICE_BYTES = 20


@dataclass(frozen=True)
class Passage:
    """A document's beginning and what follows it."""

    document: HeldOutDocument
    context: str
    continuation: str  # begins with a space


class Continuation(Task):
    """Base of the continuation tasks: what a label is, and which passages may mislead."""

    config: ClassVar[dict[str, Any]] = {
        "output_type": "multiple_choice",
        "doc_to_text": "context",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "target_delimiter": "",
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True}
            for name in ("acc", "acc_mutual_info")
        ],
    }

    def label(self, passage: Passage) -> str:
        """Return the class of a passage."""
        raise NotImplementedError

    def misleads(self, passage: Passage, other: Passage) -> bool:
        """Whether `other` may stand beside the true continuation; its label differs already."""
        return True

    def build_items(self, holdout: Holdout, settings: EvaluationSettings) -> list[Item]:
        """Return up to `items_per_task` items, labels in turn, answers at changing positions."""
        passages = build_passages(holdout)
        items: list[Item] = []
        for passage in take_turns(passages, self.label):
            others = self._select_others(passage, passages, turn=len(items))
            if others:
                items.append(self._build_item(passage, others, turn=len(items)))
            if len(items) == settings.items_per_task:
                break
        return items

    def _select_others(
        self, passage: Passage, passages: Sequence[Passage], *, turn: int
    ) -> list[Passage]:
        by_label: dict[str, list[Passage]] = defaultdict(list)
        for other in passages:
            if self.label(other) != self.label(passage) and self.misleads(passage, other):
                by_label[self.label(other)].append(other)
        labels = sorted(by_label)
        chosen = [
            labels[(turn + k) % len(labels)] for k in range(min(len(labels), MAX_CHOICES - 1))
        ]
        return [by_label[label][turn % len(by_label[label])] for label in chosen]

    def _build_item(self, passage: Passage, others: list[Passage], *, turn: int) -> Item:
        answer = turn % (len(others) + 1)
        candidates = [*others[:answer], passage, *others[answer:]]
        return {
            "context": passage.context,
            "choices": [candidate.continuation for candidate in candidates],
            "labels": [self.label(candidate) for candidate in candidates],
            "answer": answer,
        }

    def measure(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Return macro F1, accuracy, and the accuracy of blind choice."""
        truth, choice, chance = [], [], []
        for answer in answers:
            labels = answer.item["labels"]
            truth.append(labels[answer.item["answer"]])
            best = select_by_information(answer.log_likelihoods)
            choice.append(None if best is None else labels[best])
            chance.append(1 / len(labels))
        known = None not in choice
        hits = [float(a == b) for a, b in zip(truth, choice, strict=True)]
        return {
            f"f1/{self.name}": macro_f1(truth, [str(c) for c in choice]) if known else math.nan,
            f"accuracy/{self.name}": mean(hits) if known else math.nan,
            f"accuracy/{self.name}_by_chance": mean(chance),
        }


class LanguageContinuation(Continuation):
    """Candidates in other languages, from the same sector where there are any."""

    name = "language"

    def label(self, passage: Passage) -> str:
        """Return the document's language."""
        return passage.document.language


class SectorContinuation(Continuation):
    """Candidates in the same language, from other sectors."""

    name = "sector"

    def label(self, passage: Passage) -> str:
        """Return the document's sector."""
        return passage.document.domain

    def misleads(self, passage: Passage, other: Passage) -> bool:
        """Whether the other passage is in the same language."""
        return passage.document.language == other.document.language


class DocumentContinuation(Continuation):
    """Candidates from other documents: the fallback where everything held out is one cell."""

    name = "document"

    def label(self, passage: Passage) -> str:
        """Return the document's id."""
        return passage.document.doc_id

    def build_items(self, holdout: Holdout, settings: EvaluationSettings) -> list[Item]:
        """Return items only where neither language nor sector can be told apart."""
        return super().build_items(holdout, settings) if len(holdout) == 1 else []


def build_passages(holdout: Holdout) -> list[Passage]:
    """Return the beginnings and continuations of all documents that are long enough."""
    passages = []
    for documents in holdout.values():
        for document in documents:
            context, rest = cut_text(document.text, max_bytes=CONTEXT_BYTES)
            continuation = cut_text(rest, max_bytes=CHOICE_BYTES)[0]
            if len(continuation.encode()) >= MIN_CHOICE_BYTES and continuation.startswith(" "):
                passages.append(Passage(document, context, continuation))
    return passages


def take_turns(passages: Sequence[Passage], label: Callable[[Passage], str]) -> list[Passage]:
    """Return all passages so that labels alternate, and cells within a label: a balanced prefix."""
    queues: dict[str, dict[str, list[Passage]]] = defaultdict(lambda: defaultdict(list))
    for passage in passages:
        queues[label(passage)][passage.document.cell].append(passage)
    lines = []
    for cells in queues.values():
        longest = max(len(members) for members in cells.values())
        lines.append(
            [members[k] for k in range(longest) for members in cells.values() if k < len(members)]
        )
    longest = max((len(line) for line in lines), default=0)
    return [line[k] for k in range(longest) for line in lines if k < len(line)]


def select_by_information(log_likelihoods: Sequence[float]) -> int | None:
    """Return the choice of highest pointwise mutual information, the first of equals.

    Args:
        log_likelihoods: 2n values in nats: n given the context, then n without it.

    Returns:
        None if a value is not a number.
    """
    half = len(log_likelihoods) // 2
    gains = [log_likelihoods[k] - log_likelihoods[half + k] for k in range(half)]
    if any(math.isnan(gain) for gain in gains):
        return None
    return gains.index(max(gains))


def macro_f1(truth: Sequence[str], choice: Sequence[str]) -> float:
    """Return the mean over labels of 2*TP / (2*TP + FP + FN); labels are those of both sides."""
    scores = []
    for label in sorted({*truth, *choice}):
        pairs = [(a == label, b == label) for a, b in zip(truth, choice, strict=True)]
        hits = sum(a and b for a, b in pairs)
        scores.append(2 * hits / sum(a + b for a, b in pairs))
    return mean(scores)
