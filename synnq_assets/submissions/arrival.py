"""From a node's outbox into quarantine, and from quarantine into the round.

    quarantine/<round>/<assignment>/          as received, plus arrival.json
    rounds/<round>/submissions/<assignment>/  accepted, the same bytes

Only regular files of the four expected names are taken; a link, a device, a folder or a file that
is too large stays where it is, and arrival.json says so. It is written last: a quarantine folder
that holds it is complete. A file is copied through one open descriptor, so that it cannot be
exchanged between the look and the copy.
"""

import os
import shutil
import stat
from itertools import islice
from pathlib import Path
from typing import Any

from synnq_assets.errors import ObjectConflictError, RecordError, StorageError, SubmissionError
from synnq_assets.records.base import canonical_json
from synnq_assets.records.identifiers import parse_assignment_id, parse_round_key
from synnq_assets.settings.recipe import IntakeSettings
from synnq_assets.storage.files import describe_file, hash_file, open_atomically
from synnq_assets.storage.objects import ObjectStore

SUBMISSION_FILE = "submission.json"
UPDATE_FILE = "update.safetensors"
LOG_FILE = "training_log.parquet"
DIAGNOSTICS_FILE = "diagnostics.parquet"
ARRIVAL_FILE = "arrival.json"
EXPECTED_FILES = (SUBMISSION_FILE, UPDATE_FILE, LOG_FILE, DIAGNOSTICS_FILE)
MAX_MANIFEST_BYTES = 4 << 20
MAX_TABLE_BYTES = 64 << 20
OTHERS = "(others)"
MAX_SCANNED = 10_000  # names of an outbox that are looked at
COPY_BLOCK_BYTES = 1 << 20


def limit_bytes(name: str, max_update_bytes: int) -> int:
    """Return the largest length that is read of a file of this name."""
    if name == UPDATE_FILE:
        return max_update_bytes
    return MAX_MANIFEST_BYTES if name == SUBMISSION_FILE else MAX_TABLE_BYTES


def describe_irregular(mode: int) -> str | None:
    """Return what is wrong with a file's kind, or None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISLNK(mode):
        return "is a symbolic link"
    return "is a folder" if stat.S_ISDIR(mode) else "is not a regular file"


def _folder_key(place: str, round_key: str, assignment_id: str) -> str:
    try:
        parse_round_key(round_key)
        if parse_assignment_id(assignment_id)[0] != round_key:
            raise SubmissionError(f"{assignment_id} is no assignment of round {round_key}")
    except RecordError as error:
        raise SubmissionError(str(error)) from error
    return place.format(round=round_key, assignment=assignment_id)


def quarantine_key(round_key: str, assignment_id: str) -> str:
    """Return the key prefix of a submission in quarantine."""
    return _folder_key("quarantine/{round}/{assignment}", round_key, assignment_id)


def accepted_key(round_key: str, assignment_id: str) -> str:
    """Return the key prefix of an accepted submission."""
    return _folder_key("rounds/{round}/submissions/{assignment}", round_key, assignment_id)


def _copy_regular(source: Path, target: Path, limit: int) -> str | None:
    """Copy a file; return why it was left behind, or None where it was taken."""
    try:
        mode = source.lstat().st_mode
        if problem := describe_irregular(mode):
            return problem
        # non-blocking: should it have become a pipe by now, opening it must not wait for a writer
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if problem := describe_irregular(before.st_mode):
            return problem
        if before.st_size > limit:
            return f"has {before.st_size} bytes; at most {limit} are taken"
        with open_atomically(target) as out:
            remaining = before.st_size
            while remaining and (block := file.read(min(COPY_BLOCK_BYTES, remaining))):
                out.write(block)
                remaining -= len(block)
        after = os.fstat(descriptor)
    if remaining or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        remove_staged(target)
        raise SubmissionError(f"{source} changed while it was received; try again")
    return None


def _list_strangers(source: Path) -> dict[str, str]:
    """Return what else lies in an outbox: how many, since a name is text of the node's."""
    try:
        with os.scandir(source) as entries:
            names = [entry.name for entry in islice(entries, MAX_SCANNED)]
    except OSError as error:
        raise SubmissionError(f"cannot list outbox {source}: {error.strerror}") from error
    num_strangers = sum(name not in EXPECTED_FILES for name in names)
    if not num_strangers:
        return {}
    at_least = "at least " if len(names) == MAX_SCANNED else ""
    return {OTHERS: f"{at_least}{num_strangers} that are not part of a submission"}


def receive_submission(
    source: Path,
    store: ObjectStore,
    round_key: str,
    assignment_id: str,
    *,
    max_update_bytes: int = IntakeSettings().max_update_bytes,
) -> Path:
    """Copy a submission from a node's outbox into quarantine, whole or not at all.

    Receiving again what was received is no work; what stands in quarantine never changes.

    Args:
        source: the outbox folder, on the coordinator's side.
        store: the coordinator's object store.
        round_key: the order's round.
        assignment_id: the order's assignment.
        max_update_bytes: a longer update is left behind.

    Returns:
        The quarantine folder: what was taken, and `arrival.json` on what was not.

    Raises:
        SubmissionError: no such outbox, wrong ids, or a file changed while it was copied.
        ObjectConflictError: another submission for this assignment was received before.
        StorageError: the store refuses; what was copied so far is not taken for a submission.
    """
    prefix = quarantine_key(round_key, assignment_id)
    if source.is_symlink() or not source.is_dir():
        raise SubmissionError(f"no outbox folder {source}; the job may not have finished")
    if store.has(f"{prefix}/{ARRIVAL_FILE}"):
        _verify_same(source, store, prefix)
        return store.local_path(f"{prefix}/{ARRIVAL_FILE}").parent
    left_behind = _list_strangers(source)
    taken: dict[str, Path] = {}
    for name in (name for name in EXPECTED_FILES if os.path.lexists(source / name)):
        target = store.reserve(f"{prefix}/{name}")
        problem = _copy_regular(source / name, target, limit_bytes(name, max_update_bytes))
        if problem is None:
            taken[name] = target
        else:
            left_behind[name] = problem
    _store_arrival(store, prefix, taken, left_behind)
    return store.local_path(f"{prefix}/{ARRIVAL_FILE}").parent


def remove_staged(path: Path) -> None:
    """Remove a copy that was staged for the store.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {error.strerror}") from error


def _store_arrival(
    store: ObjectStore, prefix: str, taken: dict[str, Path], left_behind: dict[str, str]
) -> None:
    """Store what was taken, and last the note that makes it count."""
    files = [describe_file(path).model_dump(mode="json") for path in taken.values()]
    for name, path in taken.items():
        store.put_file(f"{prefix}/{name}", path)
        remove_staged(path)
    arrival: dict[str, Any] = {"files": files, "left_behind": left_behind}
    store.put_bytes(f"{prefix}/{ARRIVAL_FILE}", canonical_json(arrival))


def _verify_same(source: Path, store: ObjectStore, prefix: str) -> None:
    held = f"{prefix}/{SUBMISSION_FILE}"
    if not store.has(held):
        return
    offered = store.reserve(f"{held}.again")  # copied first: what a stranger holds has no end
    if _copy_regular(source / SUBMISSION_FILE, offered, MAX_MANIFEST_BYTES) is not None:
        return
    is_same = hash_file(store.local_path(held)) == hash_file(offered)
    remove_staged(offered)
    if not is_same:
        raise ObjectConflictError(
            f"{prefix} already holds another submission; the first one counts, refuse this one"
        )


def promote_submission(store: ObjectStore, round_key: str, assignment_id: str) -> Path:
    """Put an accepted submission under its round; quarantine keeps it as well.

    On one file system the bytes are shared, not copied. Promoting again is no work.

    Returns:
        The folder of the accepted submission.

    Raises:
        ObjectNotFoundError: it is not in quarantine, or not all of it.
        StorageError: the store refuses; without `submission.json`, written last, it does not count.
    """
    origin, target = (
        quarantine_key(round_key, assignment_id),
        accepted_key(round_key, assignment_id),
    )
    for name in reversed(EXPECTED_FILES):
        if store.has(f"{target}/{name}"):
            continue
        path = store.local_path(f"{origin}/{name}")
        staged = store.reserve(f"{target}/{name}")
        try:
            staged.unlink(missing_ok=True)
            try:
                os.link(path, staged)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(path, staged)
        except OSError as error:
            raise StorageError(f"cannot promote {assignment_id}: {error.strerror}") from error
        store.put_file(f"{target}/{name}", staged)
    return store.local_path(f"{target}/{SUBMISSION_FILE}").parent
