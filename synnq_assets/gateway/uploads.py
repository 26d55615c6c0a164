"""Content-addressed blobs, resumable by byte offset.

    <folder>/<assignment>/<sha256>.<length>.part   as far as it arrived
    <folder>/<assignment>/<sha256>.blob            whole, and its digest verified

The offset is the file's length, so there is no second truth about it. An offset that was
acknowledged is on disk. The digest is kept up as bytes arrive; after a restart, what is there is
read once more. Source of the protocol's idea: tus.io resumable upload protocol 1.0.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from synnq_assets.gateway.limits import GatewayLimits, SubmissionRules
from synnq_assets.gateway.refusals import RefusalError
from synnq_assets.records.identifiers import parse_assignment_id
from synnq_assets.storage.files import HASH_BLOCK_BYTES, sync_folder

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def refusing_full_disk() -> Iterator[None]:
    """Answer 507 where there is no room; other faults of the disk stay what they are."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise RefusalError(507, "disk_full", "no room for this upload; try again later") from error


@dataclass(frozen=True)
class UploadState:
    """How far an upload is."""

    offset: int
    num_bytes: int
    is_complete: bool = False  # all of it is there, and has the digest that it is named by

    def render(self) -> dict[str, object]:
        """As an answer's body."""
        return asdict(self)

    @property
    def headers(self) -> dict[str, str]:
        """As an answer's headers."""
        return {"Upload-Offset": str(self.offset), "Upload-Length": str(self.num_bytes)}


class Uploads:
    """All uploads below one folder. Ids and digests are validated by the caller."""

    def __init__(self, folder: Path, rules: SubmissionRules, limits: GatewayLimits) -> None:
        """Use `folder`, created when first written to."""
        self.folder = folder
        self._rules = rules
        self._limits = limits
        self._lock = threading.Lock()
        self._digests: dict[Path, tuple[int, Any]] = {}  # of unfinished files, up to an offset

    def blob_path(self, assignment_id: str, sha256: str) -> Path:
        """Return where a blob lies once it is whole."""
        return self.folder / assignment_id / f"{sha256}.blob"

    def _find_part(self, assignment_id: str, sha256: str) -> Path | None:
        return next((self.folder / assignment_id).glob(f"{sha256}.*.part"), None)

    def find(self, assignment_id: str, sha256: str) -> UploadState | None:
        """Return how far an upload is; None where there is none."""
        blob, part = self.blob_path(assignment_id, sha256), self._find_part(assignment_id, sha256)
        try:
            if blob.exists():
                return UploadState(blob.stat().st_size, blob.stat().st_size, True)
            if part is not None:
                return UploadState(part.stat().st_size, _declared_bytes(part))
        except FileNotFoundError:  # assembled or discarded in between
            return None
        return None

    def declare(self, assignment_id: str, sha256: str, num_bytes: int) -> UploadState:
        """Begin an upload of this digest and length, or return how far it is.

        Raises:
            RefusalError: too long, too many, of another length before, or no room.
        """
        with self._lock:
            held = self.find(assignment_id, sha256)
            if held is not None:
                if held.num_bytes != num_bytes:
                    raise RefusalError(409, "other_length", "declared with another length before")
                if held.is_complete or held.offset < num_bytes:
                    return held
                return self.begin(assignment_id, sha256, num_bytes).close()  # died before it
            self._verify_bounds(assignment_id, num_bytes)
            path = self.folder / assignment_id / f"{sha256}.{num_bytes}.part"
            with refusing_full_disk():
                path.parent.mkdir(parents=True, exist_ok=True)
                sync_folder(self.folder)
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
                sync_folder(path.parent)
        return UploadState(0, num_bytes)

    def _verify_bounds(self, assignment_id: str, num_bytes: int) -> None:
        longest = max(self._rules.max_blob_bytes.values())
        if not 1 <= num_bytes <= longest:
            raise RefusalError(413, "too_large", f"a file has 1 to {longest} bytes")
        held = list((self.folder / assignment_id).glob("*.*"))
        total = num_bytes + sum(_declared_bytes(path) for path in held)
        most = len(self._rules.max_blob_bytes)
        if len(held) >= most or total > self._rules.max_total_bytes:
            limit = f"{most} files and {self._rules.max_total_bytes} bytes"
            raise RefusalError(413, "too_large", f"a submission has at most {limit}")
        node_id = parse_assignment_id(assignment_id)[1]
        if len(list(self.folder.glob(f"*.{node_id}.*/*.part"))) >= self._limits.max_open_uploads:
            raise RefusalError(429, "too_many_uploads", "finish or discard other uploads first")
        self.folder.mkdir(parents=True, exist_ok=True)
        if num_bytes + self._limits.reserve_bytes > shutil.disk_usage(self.folder).free:
            raise RefusalError(507, "disk_full", "no room for this upload; try again later")

    def begin(self, assignment_id: str, sha256: str, offset: int) -> "Append":
        """Open an upload for one writer, to add bytes at its end.

        Raises:
            RefusalError: none was declared, it is whole, another writer is at it, or its end is
                elsewhere; the answer says where.
        """
        state, path = self.find(assignment_id, sha256), self._find_part(assignment_id, sha256)
        if state is not None and state.is_complete:
            raise _wrong_offset(state)
        if path is None:
            raise RefusalError(404, "no_upload", "declare the upload first")
        append = Append(path, self.blob_path(assignment_id, sha256), self._digests)
        if append.state.offset != offset:
            held = append.state
            append.release()
            raise _wrong_offset(held)
        return append

    def discard(self, assignment_id: str, sha256: str) -> None:
        """Forget an upload, whole or not; what is not there is no error."""
        part = self._find_part(assignment_id, sha256)
        if part is not None:
            append = Append(part, self.blob_path(assignment_id, sha256), self._digests)
            part.unlink(missing_ok=True)
            self._digests.pop(part, None)
            append.release()
        self.blob_path(assignment_id, sha256).unlink(missing_ok=True)

    def clear(self, assignment_id: str) -> None:
        """Remove all uploads of an assignment."""
        shutil.rmtree(self.folder / assignment_id, ignore_errors=True)


class Append:
    """Bytes added at the end of one upload. `write` and `close` block; call them in threads."""

    def __init__(self, path: Path, blob: Path, digests: dict[Path, tuple[int, Any]]) -> None:
        """Lock the file for this writer.

        Raises:
            RefusalError: another writer holds it, or it is gone.
        """
        self._path, self._blob, self._digests = path, blob, digests
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise RefusalError(404, "no_upload", "declare the upload first") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise RefusalError(
                409, "upload_busy", "another request is adding to this upload"
            ) from error
        found = os.fstat(self._descriptor)
        if found.st_nlink == 0 or not path.exists():  # finished by the writer before us
            os.close(self._descriptor)
            raise RefusalError(
                409, "upload_busy", "another request finished this upload; ask again"
            )
        self._offset = os.lseek(self._descriptor, 0, os.SEEK_END)
        self._digest: Any = None

    @property
    def state(self) -> UploadState:
        """How far the upload is."""
        return UploadState(self._offset, _declared_bytes(self._path))

    def write(self, block: bytes) -> None:
        """Add bytes; the caller has bounded their number.

        Raises:
            RefusalError: the disk is full; what was written before stays, and can be gone on from.
        """
        digest = self._hash_prefix()
        view = memoryview(block)
        with refusing_full_disk():
            while view:
                num_bytes = os.write(self._descriptor, view)
                digest.update(view[:num_bytes])
                self._offset += num_bytes
                view = view[num_bytes:]

    def _hash_prefix(self) -> Any:
        if self._digest is None:
            offset, digest = self._digests.pop(self._path, (0, hashlib.sha256()))
            if offset != self._offset:
                offset, digest = 0, hashlib.sha256()
            while offset < self._offset:  # after a restart
                block = os.pread(
                    self._descriptor, min(HASH_BLOCK_BYTES, self._offset - offset), offset
                )
                digest.update(block)
                offset += len(block)
            self._digest = digest
        return self._digest

    def close(self) -> UploadState:
        """Make what arrived durable, and return how far the upload is; only then acknowledge.

        Raises:
            RefusalError: whole, but of another digest, so discarded; or the disk is full.
        """
        try:
            with refusing_full_disk():
                os.fsync(self._descriptor)
            state = self.state
            if state.offset < state.num_bytes:
                self._digests[self._path] = (state.offset, self._hash_prefix())
                return state
            if self._hash_prefix().hexdigest() != self._path.name.partition(".")[0]:
                self._path.unlink()
                raise RefusalError(
                    422, "digest_mismatch", "the bytes have another digest; discarded"
                )
            os.replace(self._path, self._blob)
            sync_folder(self._path.parent)
            return replace(state, is_complete=True)
        except FileNotFoundError as error:  # the order was closed meanwhile
            raise RefusalError(404, "no_upload", "this upload was discarded meanwhile") from error
        finally:
            self.release()

    def release(self) -> None:
        """Let other writers in."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _declared_bytes(path: Path) -> int:
    parts = path.name.split(".")
    return int(parts[1]) if parts[-1] == "part" else path.stat().st_size


def _wrong_offset(state: UploadState) -> RefusalError:
    message = f"the upload's end is at {state.offset}"
    return RefusalError(409, "wrong_offset", message, headers=state.headers)
