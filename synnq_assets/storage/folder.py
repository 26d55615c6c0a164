"""Objects in a folder: the embedded default."""

import os
from collections.abc import Iterator
from pathlib import Path

from synnq_assets.errors import ObjectConflictError, ObjectNotFoundError, StorageError
from synnq_assets.storage.files import (
    COPY_BLOCK_BYTES,
    hash_file,
    open_atomically,
    overwrite_content,
    sync_folder,
    write_atomically,
)
from synnq_assets.storage.objects import ObjectStore, check_key

BLOB_MODE = 0o444  # write-once: nobody has a reason to open a blob for writing


class FolderStore(ObjectStore):
    """One file per object below `root`."""

    def __init__(self, root: Path) -> None:
        """Use `root`, which is created when first written to."""
        self.root = root.absolute()

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def put_bytes(self, key: str, data: bytes) -> None:  # noqa: D102 - contract in the base
        path = self._path(key)
        if path.exists():
            if path.read_bytes() != data:
                raise ObjectConflictError(f"{key} already holds other bytes; it is write-once")
            return
        write_atomically(path, data, mode=BLOB_MODE)

    def put_file(self, key: str, path: Path) -> None:  # noqa: D102
        target = self._path(key)
        if target.exists():
            if hash_file(target) != hash_file(path):
                raise ObjectConflictError(f"{key} already holds other bytes; it is write-once")
            return
        if path.is_relative_to(self.root):  # built in place by `reserve`: no second copy
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                path.chmod(BLOB_MODE)
                os.replace(path, target)
                sync_folder(target.parent)
            except OSError as error:
                raise StorageError(f"cannot store {key}: {error.strerror}") from error
            return
        with open_atomically(target, mode=BLOB_MODE) as out, path.open("rb") as file:
            while block := file.read(COPY_BLOCK_BYTES):
                out.write(block)

    def get_bytes(self, key: str) -> bytes:  # noqa: D102
        return self.local_path(key).read_bytes()

    def local_path(self, key: str) -> Path:  # noqa: D102
        path = self._path(key)
        if not path.is_file():
            raise ObjectNotFoundError(f"nothing is stored under {key} in {self.root}")
        return path

    def has(self, key: str) -> bool:  # noqa: D102
        return self._path(key).is_file()

    def remove(self, key: str, *, overwrite: bool = False) -> None:  # noqa: D102
        path = self._path(key)
        try:
            if overwrite:
                path.chmod(0o600)
                with path.open("r+b") as file:
                    overwrite_content(file)
            path.unlink()
            sync_folder(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"cannot remove {key}: {error.strerror}") from error

    def iter_keys(self, prefix: str) -> Iterator[str]:  # noqa: D102
        base = self._path(prefix)
        for folder, _, names in sorted(os.walk(base)):
            for name in sorted(names):
                if not name.startswith("."):
                    yield str((Path(folder) / name).relative_to(self.root))

    def reserve(self, key: str) -> Path:  # noqa: D102
        path = self.root / ".building" / check_key(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot reserve {key}: {error.strerror}") from error
        return path
