"""What a task is: items made from held-out text or templates, and figures made from answers.

A task never sees the model. The harness asks the model and hands back one `Answer` per item.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from synnq_assets.evaluation.holdout import Holdout
from synnq_assets.settings.recipe import EvaluationSettings

Item = Mapping[str, Any]  # one JSON line; all items of a task have the same keys and types


@dataclass(frozen=True)
class Answer:
    """What the model answered to one item.

    Units: log-likelihoods in nats, summed over the tokens of the scored text.
    """

    item: Item
    log_likelihoods: tuple[float, ...] = ()  # in request order; empty for generation
    num_tokens: int = 0  # of the scored text; loglikelihood_rolling only
    text: str = ""  # generation only


class Task(ABC):
    """One lm-eval task of the suite. `name` is the stem of its files."""

    name: ClassVar[str]
    config: ClassVar[Mapping[str, Any]]  # lm-eval's own keys, apart from data and name

    @abstractmethod
    def build_items(self, holdout: Holdout, settings: EvaluationSettings) -> list[Item]:
        """Return the items, the same for the same input; none if the task does not apply."""

    @abstractmethod
    def measure(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Return figures by name; NaN in an answer must show as NaN in a figure."""
