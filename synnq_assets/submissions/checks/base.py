"""The contract of an intake check: look at a case, say whether it passes, why, and the figures."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from synnq_assets.records.submissions import Figure
from synnq_assets.submissions.intake import Case


@dataclass(frozen=True)
class Outcome:
    """What a check found. `problem` is None where it passed, else one sentence."""

    problem: str | None
    figures: dict[str, Figure]


def passed(**figures: Figure) -> Outcome:
    """Return the outcome of a check that found nothing wrong."""
    return Outcome(None, figures)


def refused(problem: str, **figures: Figure) -> Outcome:
    """Return the outcome of a check that found a problem."""
    return Outcome(problem, figures)


def decide(problems: list[str], **figures: Figure) -> Outcome:
    """Return the outcome of a check that may find several problems."""
    return Outcome("; ".join(problems) or None, figures)


class Check(ABC):
    """One check.

    Attributes:
        name: as it appears in verdicts.
        needs: checks that must have passed for this one to make sense.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def examine(self, case: Case) -> Outcome:
        """Look at a case.

        Raises:
            TrustError, RecordError, TensorFileError: foreign bytes make no sense; the judge takes
                the message as the reason of a failed check.
            SubmissionError: the fault is ours.
        """
