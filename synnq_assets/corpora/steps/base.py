"""The step contract: judge one document, and say why.

A step keeps a document (perhaps a changed copy), drops it with a reason, or sends it to review
with a reason. Reasons are fixed kebab-case words, so that they can be counted; what is particular
to one document goes into `detail`, which never quotes its text.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from synnq_assets.corpora.documents import Document
from synnq_assets.settings.recipe import CorpusSettings


@dataclass(frozen=True, slots=True)
class Keep:
    """The document goes on, as it is in this answer."""

    document: Document


@dataclass(frozen=True, slots=True)
class Drop:
    """The document may not enter the corpus."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """A person has to decide."""

    reason: str
    detail: str = ""


Answer = Keep | Drop | Review


class Step(ABC):
    """One step of curation. An instance lives for one run and may remember what it saw."""

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, corpus: CorpusSettings) -> None:
        """Take what the step needs from the settings.

        Raises:
            SettingsError: the settings make no sense for this step.
        """

    @abstractmethod
    def judge(self, document: Document) -> Answer:
        """Judge one document. Steps see documents in the order of their ids."""
