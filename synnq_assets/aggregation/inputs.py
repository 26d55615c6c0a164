"""The files of a round, opened side by side, after digests and schemas were found to agree."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synnq_assets.aggregation.candidates import Candidate, PinnedFile
from synnq_assets.aggregation.outer.base import OuterOptimizer
from synnq_assets.errors import AggregationError, TensorFileError
from synnq_assets.storage.tensors import TensorFile

Float32 = npt.NDArray[np.float32]
UPDATE_DTYPES = ("BF16", "F32")


@dataclass(frozen=True)
class OpenedUpdate:
    """One input file. `label` is what an error message calls it."""

    label: str
    file: TensorFile

    def read(self, name: str, begin: int, end: int) -> Float32:
        """Return elements [begin, end) of a tensor as float32.

        Raises:
            AggregationError: the file was cut after it had been opened.
        """
        try:
            return self.file.read_float32(name, begin, end)
        except TensorFileError as error:
            raise AggregationError(f"{self.label} cannot be read: {error}") from error


@dataclass(frozen=True)
class RoundInputs:
    """Base checkpoint, momentum (None: zero) and updates; the tensors by name."""

    base: OpenedUpdate
    momentum: OpenedUpdate | None
    updates: tuple[OpenedUpdate, ...]
    names: tuple[str, ...]

    @property
    def num_elements(self) -> int:
        """Parameters of the model."""
        return sum(info.num_elements for info in self.base.file.tensors.values())


def _open(stack: ExitStack, label: str, pinned: PinnedFile) -> OpenedUpdate:
    try:
        file = stack.enter_context(TensorFile(pinned.path))
    except TensorFileError as error:
        raise AggregationError(f"{label} cannot be used: {error}") from error
    found = file.hash_content()
    if found != pinned.sha256:
        raise AggregationError(
            f"{label} is not what was recorded: {pinned.path} has SHA-256 {found[:12]}…, its "
            f"signed record says {pinned.sha256[:12]}…; find out who changed it and restore it"
        )
    return OpenedUpdate(label, file)


def _verify_schema(base: TensorFile, other: OpenedUpdate, dtypes: tuple[str, ...]) -> None:
    expected, found = base.tensors, other.file.tensors
    if expected.keys() != found.keys():
        odd = min(expected.keys() ^ found.keys())
        what = "lacks" if odd in expected else "has an unexpected"
        raise AggregationError(f"{other.label} {what} tensor {odd}; exclude it")
    for name, info in found.items():
        if info.shape != expected[name].shape or info.dtype not in dtypes:
            raise AggregationError(
                f"{other.label}: {name} is {info.dtype} {list(info.shape)}, expected "
                f"{' or '.join(dtypes)} {list(expected[name].shape)}"
            )


def open_inputs(
    stack: ExitStack,
    base: PinnedFile,
    outer_state: PinnedFile | None,
    candidates: Sequence[Candidate],
    outer: OuterOptimizer,
) -> RoundInputs:
    """Open every file; `stack` closes them.

    Raises:
        AggregationError: a file has another digest than its signed record gives, breaks the strict
            profile, or differs from the base in a tensor's name, shape or dtype; or the outer
            state belongs to another optimiser.
    """
    base_file = _open(stack, "the base checkpoint", base)
    _verify_schema(base_file.file, base_file, ("F32",))
    momentum = None
    if outer.has_state and outer_state is not None:
        momentum = _open(stack, "the outer state", outer_state)
        _verify_schema(base_file.file, momentum, ("F32",))
        written_by = momentum.file.metadata.get("outer", outer.name)
        if written_by != outer.name:
            raise AggregationError(
                f"the outer state was written by {written_by!r}, but the recipe asks for "
                f"{outer.name!r}; start the new optimiser without a state"
            )
    updates = []
    for candidate in candidates:
        label = f"the update of {candidate.node_id} ({candidate.assignment_id})"
        updates.append(_open(stack, label, candidate.update))
        _verify_schema(base_file.file, updates[-1], UPDATE_DTYPES)
    return RoundInputs(base_file, momentum, tuple(updates), tuple(sorted(base_file.file.tensors)))
