"""What a scenario is: prepare a state, act on it, check what stands."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from synnq_assets_tests.faults.children import Tell, Told


@dataclass(frozen=True)
class Problem:
    """One thing that a fault must not do.

    lost: acknowledged, and no longer there. torn: visible, and neither old nor new. twice: accepted
    where it had been accepted. stuck: the same act does not complete afterwards.
    """

    kind: Literal["lost", "torn", "twice", "stuck"]
    what: str


class Scenario(ABC):
    """One writer and its promises."""

    name: ClassVar[str]

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Write inputs below `folder`, and what each point starts from in `folder/state`."""

    @abstractmethod
    def act(self, state: Path, tell: Tell) -> None:
        """Do the act, or whatever of it is still to be done; tell what was acknowledged."""

    @abstractmethod
    def check(self, state: Path, told: Told, *, is_complete: bool) -> Iterator[Problem]:
        """Open the state anew, and yield what does not hold; an error means it is torn."""


def read_visible(folder: Path) -> dict[str, bytes]:
    """Return path -> bytes of everything below a folder that has a final name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
