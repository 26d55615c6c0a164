"""Files that are either whole or absent."""

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from synnq_assets.errors import StorageError
from synnq_assets.records.orders import FileDigest

HASH_BLOCK_BYTES = 1 << 20
COPY_BLOCK_BYTES = 1 << 20
FICLONE = 0x40049409  # share blocks until one side writes; ioctl_ficlone(2)


def sync_folder(folder: Path) -> None:
    """Make renames within `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def open_atomically(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Open a file beside `path`; rename it into place when the block ends without an error.

    The content is on disk before the rename, and the rename before this returns.

    Raises:
        StorageError: the disk is full or refuses; `path` is as it was and nothing is left beside.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a whole file, or leave what was there.

    Raises:
        StorageError: the disk is full or refuses; `path` is as it was.
    """
    with open_atomically(path, mode=mode) as file:
        file.write(data)


def overwrite_content(file: IO[bytes]) -> None:
    """Put random bytes in place of a file's content, and sync: best effort.

    What lies beneath may write elsewhere (SSD, copy on write, snapshots); then the old bytes stay.
    """
    left = os.fstat(file.fileno()).st_size
    file.seek(0)
    while left:
        left -= file.write(secrets.token_bytes(min(left, COPY_BLOCK_BYTES)))
    file.flush()
    os.fsync(file.fileno())


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content into a new, writable file: shared blocks where the disk can clone.

    Never a hard link: whatever is written to the copy, the source stays as it is.

    Raises:
        OSError: `target` exists, or the disk is full or refuses.
    """
    with source.open("rb") as original, target.open("xb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), FICLONE, original.fileno())
        except OSError:  # another file system, or one that cannot clone
            shutil.copyfileobj(original, copy, COPY_BLOCK_BYTES)


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock that `path` stands for, alone among all processes and threads that ask.

    Waits for whoever holds it; a holder that dies lets go. Source: flock(2).

    Raises:
        StorageError: the lock file cannot be created or locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(f"cannot open lock {path}: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise StorageError(f"cannot lock {path}: {error.strerror or error}") from error
        yield
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> tuple[str, int]:
    """Return (SHA-256 hex, length in bytes) of a file, read once in blocks."""
    digest = hashlib.sha256()
    num_bytes = 0
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
            num_bytes += len(block)
    return digest.hexdigest(), num_bytes


def describe_file(path: Path, *, name: str | None = None) -> FileDigest:
    """Return the digest record of a file, under its own name unless another is given."""
    sha256, num_bytes = hash_file(path)
    return FileDigest(name=name or path.name, sha256=sha256, num_bytes=num_bytes)
