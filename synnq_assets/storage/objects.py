"""The object store contract: write-once blobs under slash-separated keys.

Keys are relative, lower-case, and made of validated ids, so that they are safe as paths and as
S3 keys alike. `local_path` gives a path that can be streamed; a remote store would download.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from synnq_assets.errors import StorageError

_PART = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}", re.ASCII)


def check_key(key: str) -> str:
    """Return `key` if it is safe as a path and as an object key.

    Raises:
        StorageError: empty, absolute, with `..`, or with characters outside a-z 0-9 . _ - /.
    """
    if not key or not all(_PART.fullmatch(part) for part in key.split("/")):
        raise StorageError(f"{key!r} is not an object key")
    return key


class ObjectStore(ABC):
    """Blobs by key."""

    @abstractmethod
    def put_bytes(self, key: str, data: bytes) -> None:
        """Store bytes under a new key; the same bytes again are accepted.

        Raises:
            ObjectConflictError: other bytes are stored under this key.
            StorageError: the store refuses (full, unreachable); nothing was stored.
        """

    @abstractmethod
    def put_file(self, key: str, path: Path) -> None:
        """Store a file's content under a new key; as `put_bytes`."""

    @abstractmethod
    def get_bytes(self, key: str) -> bytes:
        """Return the bytes under a key.

        Raises:
            ObjectNotFoundError: nothing is stored there.
        """

    @abstractmethod
    def local_path(self, key: str) -> Path:
        """Return a readable local path of the blob.

        Raises:
            ObjectNotFoundError: nothing is stored there.
        """

    @abstractmethod
    def has(self, key: str) -> bool:
        """Return whether something is stored under the key."""

    @abstractmethod
    def remove(self, key: str, *, overwrite: bool = False) -> None:
        """Remove a blob for good; one that is not there is no error.

        The caller leaves an audit entry. With `overwrite` the bytes are overwritten first, best
        effort: copies, snapshots and media that write elsewhere keep them.

        Raises:
            StorageError: the store refuses; the blob may still be there.
        """

    @abstractmethod
    def iter_keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys under a folder-like prefix, sorted."""

    @abstractmethod
    def reserve(self, key: str) -> Path:
        """Return a local path where a large blob may be built before `put_file`.

        Raises:
            StorageError: the store refuses.
        """
