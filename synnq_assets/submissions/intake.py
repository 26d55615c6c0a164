"""What a judgement starts from (`Intake`), and what its checks share (`Case`).

Checks read a case's parts when they need them; each part is read once. A part that cannot be read
because of what the node sent raises `RecordError`, `TrustError` or `TensorFileError`, which the
judge turns into a failed check; one that cannot be read through our own fault raises
`SubmissionError`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synnq_assets.errors import RecordError, SubmissionError, TensorFileError
from synnq_assets.records.base import parse_strict_json, sha256_hex
from synnq_assets.records.federation import NodeRecord
from synnq_assets.records.orders import FileDigest, Order
from synnq_assets.records.submissions import Submission
from synnq_assets.settings.recipe import IntakeSettings, Recipe
from synnq_assets.storage.files import describe_file
from synnq_assets.storage.tensors import TensorFile, bf16_to_float32
from synnq_assets.submissions.arrival import (
    ARRIVAL_FILE,
    EXPECTED_FILES,
    LOG_FILE,
    MAX_MANIFEST_BYTES,
    SUBMISSION_FILE,
    UPDATE_FILE,
    describe_irregular,
    limit_bytes,
)
from synnq_assets.submissions.logs import TrainingLog, read_training_log
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keyring import Keyring

MISSING_SHA256 = "0" * 64
BLOCK_ELEMENTS = 1 << 20
MEASURE_ELEMENTS = 1 << 16
BF16_INFINITY = np.uint16(0x7F80)


@dataclass(frozen=True)
class Intake:
    """One submission to judge, and everything that it is judged by.

    Attributes:
        folder: as received; in quarantine, on the coordinator.
        order: the verified order that it should answer.
        node: the record of the order's node.
        keyring: holds the node's key in the role "node".
        base_model: `model.safetensors` of the order's base checkpoint.
        settings: thresholds.
        recipe: of the campaign; gives the model and the optimiser's constants.
        known_digests: SHA-256 of envelopes and updates that came earlier -> their assignment.
        probe: `.npy` of held-out token rows [B, T], uint16 or uint32; None only where the settings
            ask for no probe.
        received_at: when it arrived.
        audit_index: position in the audit log that it is judged at: the node's key has to count
            there.
    """

    folder: Path
    order: Order
    node: NodeRecord
    keyring: Keyring
    base_model: Path
    settings: IntakeSettings
    recipe: Recipe
    known_digests: Mapping[str, str]
    probe: Path | None
    received_at: datetime
    audit_index: int


@dataclass(frozen=True)
class TensorFigures:
    """One tensor of the update, measured in float64 over its finite elements."""

    num_elements: int
    num_nonfinite: int
    num_zero: int
    sum_squares: float
    max_magnitude: float

    @property
    def rms(self) -> float:
        """Root mean square."""
        return float(np.sqrt(self.sum_squares / self.num_elements))


def measure_tensor(file: TensorFile, name: str) -> TensorFigures:
    """Stream one tensor, in blocks that stay in a core's cache; sums are in float64."""
    num_nonfinite = num_zero = 0
    sum_squares = max_magnitude = 0.0
    is_bf16 = file.tensors[name].dtype == "BF16"
    for begin, end in file.iter_blocks(name, MEASURE_ELEMENTS):
        if is_bf16:
            magnitude = _read_bf16_magnitudes(file.read_block(name, begin, end))
        else:
            block = file.read_float32(name, begin, end)
            magnitude = np.abs(block[np.isfinite(block)]).astype(np.float64)
        num_nonfinite += end - begin - len(magnitude)
        num_zero += len(magnitude) - int(np.count_nonzero(magnitude))
        max_magnitude = max(max_magnitude, float(magnitude.max(initial=0.0)))
        sum_squares += float(np.sum(np.square(magnitude, out=magnitude)))
    num_elements = file.tensors[name].num_elements
    return TensorFigures(num_elements, num_nonfinite, num_zero, sum_squares, max_magnitude)


def _read_bf16_magnitudes(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    """Return the magnitudes of the finite values: without a sign, bf16 bits order as integers."""
    bits = bits & np.uint16(0x7FFF)
    if len(bits) and bits.max() >= BF16_INFINITY:
        bits = bits[bits < BF16_INFINITY]
    return bf16_to_float32(bits).astype(np.float64)


class Case:
    """A submission under judgement."""

    def __init__(self, intake: Intake) -> None:
        """Look at nothing yet."""
        self.intake = intake

    def path(self, name: str) -> Path:
        """Return where a file of the submission lies."""
        return self.intake.folder / name

    @cached_property
    def names(self) -> list[str]:
        """Names in the folder, sorted, without what is ours.

        That is the note of arrival, and what a kill left of a file that was being written beside
        its place: nothing that a node names begins with a dot, since only expected names are taken.
        """
        try:
            found = os.listdir(self.intake.folder)
        except OSError as error:
            raise SubmissionError(f"cannot list {self.intake.folder}: {error.strerror}") from error
        return sorted(name for name in found if name != ARRIVAL_FILE and name[0] != ".")

    @cached_property
    def irregular(self) -> dict[str, str]:
        """Name -> why it is not a readable regular file within limits."""
        found: dict[str, str] = {}
        for name in self.names:
            status = self.path(name).lstat()
            limit = limit_bytes(name, self.intake.settings.max_update_bytes)
            if problem := describe_irregular(status.st_mode):
                found[name] = problem
            elif status.st_size > limit:
                found[name] = f"has {status.st_size} bytes; at most {limit} are read"
        return found

    @cached_property
    def left_behind(self) -> dict[str, str]:
        """Name -> why it was not received, from the note of arrival."""
        path = self.path(ARRIVAL_FILE)
        if not path.is_file():
            return {}
        try:
            note: dict[str, str] = parse_strict_json(path.read_bytes())["left_behind"]
        except (OSError, RecordError, KeyError, TypeError) as error:
            raise SubmissionError(f"{path} is not a note of arrival: {error}") from error
        return note

    @cached_property
    def digests(self) -> dict[str, FileDigest]:
        """Digest and length, as measured here, of every expected file that is readable."""
        return {
            name: describe_file(self.path(name))
            for name in self.names
            if name in EXPECTED_FILES and name not in self.irregular
        }

    @cached_property
    def submission_sha256(self) -> str:
        """Of the envelope's bytes; zeros where there is none to read."""
        if SUBMISSION_FILE not in self.names or SUBMISSION_FILE in self.irregular:
            return MISSING_SHA256
        return sha256_hex(self.path(SUBMISSION_FILE).read_bytes())

    @cached_property
    def submission(self) -> Submission:
        """The manifest, its signature verified."""
        if SUBMISSION_FILE not in self.names:
            note = self.left_behind.get(SUBMISSION_FILE, "is missing")
            raise RecordError(f"{SUBMISSION_FILE} {note}")
        if SUBMISSION_FILE in self.irregular:
            raise RecordError(f"{SUBMISSION_FILE} {self.irregular[SUBMISSION_FILE]}")
        with self.path(SUBMISSION_FILE).open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
        return open_envelope(
            data,
            Submission,
            self.intake.keyring,
            roles=("node",),
            identity=self.intake.node.node_id,
            at=self.intake.audit_index,
        )

    @contextmanager
    def open_base(self) -> Iterator[TensorFile]:
        """Open the base checkpoint."""
        try:
            file = TensorFile(self.intake.base_model)
        except TensorFileError as error:
            raise SubmissionError(f"the base checkpoint cannot be read: {error}") from error
        with file:
            yield file

    @contextmanager
    def open_update(self) -> Iterator[TensorFile]:
        """Open the update under the strict profile."""
        try:
            file = TensorFile(self.path(UPDATE_FILE))
        except (TypeError, ValueError, OverflowError) as error:
            raise TensorFileError(f"{UPDATE_FILE}: header makes no sense ({error})") from error
        with file:
            yield file

    @cached_property
    def tensor_figures(self) -> dict[str, TensorFigures]:
        """Every tensor of the update, measured in one pass."""
        with self.open_update() as file:
            return {name: measure_tensor(file, name) for name in sorted(file.tensors)}

    @cached_property
    def log(self) -> TrainingLog:
        """The training log's figures."""
        return read_training_log(self.path(LOG_FILE))
