"""From uploaded blobs and a manifest to an outbox folder: once, by one rename.

    <home>/inbox/<assignment>/               the four files, as intake receives them
    <home>/inbox/.arrivals/<assignment>.json what arrived, and where the audit log says so
    <home>/inbox/.uploads/<assignment>/      blobs on their way; see uploads.py

The note is written before the rename, the audit entry after it; whoever is killed in between is
gone on from, by the node's next request or by `recover` at the next start.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import NonNegativeInt

from synnq_assets.errors import StorageError
from synnq_assets.gateway.limits import SubmissionRules
from synnq_assets.gateway.refusals import RefusalError
from synnq_assets.gateway.uploads import Uploads, refusing_full_disk
from synnq_assets.records.base import Record, sha256_hex
from synnq_assets.records.identifiers import AssignmentId, NodeId, Sha256, parse_assignment_id
from synnq_assets.records.submissions import Submission
from synnq_assets.storage.files import sync_folder, write_atomically
from synnq_assets.trust.audit import AuditLog

ARRIVED = "submission_arrived"


class Arrival(Record):
    """A submission that stands in the inbox."""

    kind: ClassVar[str] = "gateway-arrival"

    assignment_id: AssignmentId
    node_id: NodeId
    submission_sha256: Sha256  # of the manifest's envelope
    num_bytes: NonNegativeInt  # of all its files
    audit_size: NonNegativeInt  # of the log, before the entry
    position: NonNegativeInt | None  # of the entry; None until it is known


def inbox_path(home_path: Path) -> Path:
    """Return the folder of all that arrived."""
    return home_path / "inbox"


def find_inbox(home_path: Path, assignment_id: str) -> Path | None:
    """Return the outbox folder that the gateway received for an order, or None before it did.

    Raises:
        RecordError: not an assignment id.
    """
    parse_assignment_id(assignment_id)
    folder = inbox_path(home_path) / assignment_id
    return folder if folder.is_dir() else None


@dataclass(frozen=True)
class Inbox:
    """The inbox of one home."""

    home_path: Path
    uploads: Uploads
    rules: SubmissionRules
    audit: AuditLog
    lock: Callable[[], AbstractContextManager[None]]

    def _note_path(self, assignment_id: str) -> Path:
        return inbox_path(self.home_path) / ".arrivals" / f"{assignment_id}.json"

    def find_arrival(self, assignment_id: str) -> Arrival | None:
        """Return what arrived for an order; None before its folder stands."""
        if find_inbox(self.home_path, assignment_id) is None:
            return None
        try:
            return Arrival.parse(self._note_path(assignment_id).read_bytes())
        except FileNotFoundError:
            return None

    def repeat(self, assignment_id: str, manifest: bytes) -> Arrival | None:
        """Return the arrival of this very manifest; None where nothing arrived yet.

        Raises:
            RefusalError: another submission arrived, which is the one that counts.
        """
        held = self.find_arrival(assignment_id)
        if held is None:
            return None
        if held.submission_sha256 != sha256_hex(manifest):
            raise RefusalError(
                409, "already_received", "another submission arrived; the first counts"
            )
        with self.lock():
            return self._log(self.find_arrival(assignment_id) or held)

    def assemble(self, submission: Submission, manifest: bytes) -> Arrival:
        """Make the outbox folder of a verified manifest, and log its arrival.

        Raises:
            RefusalError: blobs are missing, the disk is full, or another submission arrived.
        """
        assignment_id = submission.assignment_id
        with self.lock():
            held = self.find_arrival(assignment_id)
            if held is None:
                with refusing_full_disk():
                    held = self._build(submission, manifest)
            if held.submission_sha256 != sha256_hex(manifest):
                raise RefusalError(409, "already_received", "another submission arrived before")
            return self._log(held)

    def _build(self, submission: Submission, manifest: bytes) -> Arrival:
        assignment_id = submission.assignment_id
        blobs = {
            file.name: self.uploads.blob_path(assignment_id, file.sha256)
            for file in submission.files
        }
        missing = [
            file.sha256
            for file in submission.files
            if not blobs[file.name].exists() or blobs[file.name].stat().st_size != file.num_bytes
        ]
        if missing:
            message = "upload what the manifest lists before the manifest"
            raise RefusalError(409, "blobs_missing", message, details={"missing": missing})
        building = self.uploads.folder / assignment_id / "outbox"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        for name, blob in blobs.items():
            os.link(blob, building / name)  # not moved: a second try finds the blob again
        _write(building / self.rules.manifest_name, manifest)
        arrival = Arrival(
            assignment_id=assignment_id,
            node_id=submission.node_id,
            submission_sha256=sha256_hex(manifest),
            num_bytes=len(manifest) + sum(file.num_bytes for file in submission.files),
            audit_size=self.audit.size(),
            position=None,
        )
        _write(self._note_path(assignment_id), arrival.canonical_bytes())
        os.replace(building, inbox_path(self.home_path) / assignment_id)
        sync_folder(inbox_path(self.home_path))
        return arrival

    def _log(self, arrival: Arrival) -> Arrival:
        """Append the one entry about an arrival, unless it is there; note where."""
        if arrival.position is None:
            position = self._find_entry(arrival)
            if position is None:
                position = self.audit.log_event(
                    ARRIVED,
                    arrival.assignment_id,
                    actor=arrival.node_id,
                    sha256=arrival.submission_sha256,
                    num_bytes=arrival.num_bytes,
                )
            arrival = arrival.model_copy(update={"position": position})
            with refusing_full_disk():
                _write(self._note_path(arrival.assignment_id), arrival.canonical_bytes())
        self.uploads.clear(arrival.assignment_id)
        return arrival

    def _find_entry(self, arrival: Arrival) -> int | None:
        for position, entry in self.audit.iter_entries(arrival.audit_size):
            if (entry.action, entry.details.get("sha256")) == (ARRIVED, arrival.submission_sha256):
                return position
        return None

    def recover(self) -> None:
        """Log arrivals whose entry is missing, since their gateway was killed before it."""
        with self.lock():
            for note in sorted((inbox_path(self.home_path) / ".arrivals").glob("r*.json")):
                held = self.find_arrival(note.stem)
                if held is not None and held.position is None:
                    self._log(held)

    def sweep(self, is_open: Callable[[str], bool]) -> None:
        """Drop uploads that no open order waits for."""
        with self.lock():
            for folder in sorted(self.uploads.folder.glob("r*")):
                if self.find_arrival(folder.name) is not None or not is_open(folder.name):
                    self.uploads.clear(folder.name)


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except StorageError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error  # for `refusing_full_disk` to tell what it was
        raise
