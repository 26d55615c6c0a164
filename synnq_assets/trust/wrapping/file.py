"""Secrets in a folder kept elsewhere: another volume, a stick, another machine's share.

One secret of 32 random bytes a context, written durably before it is used. Whoever has the home and
not the folder has nothing. To destroy is to overwrite and unlink the context's secret; on a medium
that writes elsewhere (SSD, copy on write, snapshots) the overwriting promises nothing.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from cryptography.exceptions import InvalidTag

from synnq_assets.errors import KeyProtectionError, StorageError
from synnq_assets.settings.secrets import read_key_folder
from synnq_assets.storage.files import hold_lock, overwrite_content, sync_folder, write_atomically
from synnq_assets.trust.wrapping.base import (
    KeyContext,
    KeyWrapper,
    decrypt_key,
    encrypt_key,
    parse_wrapped,
    render_wrapped,
)

FORM = "file-1"
SECRET_BYTES = 32


@dataclass(frozen=True)
class FileWrapper(KeyWrapper):
    """Wraps under secrets in a folder."""

    name: ClassVar[str] = "file"

    folder: Path

    @classmethod
    def open(cls) -> Self:  # noqa: D102 - contract in the base
        folder = read_key_folder()
        if folder is None:
            raise KeyProtectionError(
                "a key is protected by a key folder, and none is given; set SYNNQ_KEY_FOLDER"
            )
        return cls(folder)

    def wrap(self, key: bytes, context: KeyContext) -> str:  # noqa: D102
        self._verify_folder()
        path = self._path(context)
        try:
            if not path.exists():
                with hold_lock(self.folder / ".lock"):
                    if not path.exists():
                        write_atomically(path, secrets.token_bytes(SECRET_BYTES), mode=0o600)
        except (OSError, StorageError) as error:
            raise KeyProtectionError(f"no secret was made for the {context}: {error}") from error
        return render_wrapped(FORM, encrypt_key(key, self._read(context), context))

    def unwrap(self, wrapped: str, context: KeyContext) -> bytes:  # noqa: D102
        data = parse_wrapped(FORM, wrapped, context)
        try:
            return decrypt_key(data, self._read(context), context)
        except InvalidTag:
            raise KeyProtectionError(
                f"the {context} does not open: it is damaged, or its secret in {self.folder} is "
                "another one than it was wrapped with"
            ) from None

    def destroy(self, context: KeyContext) -> None:  # noqa: D102
        self._verify_folder()
        path = self._path(context)
        try:
            with hold_lock(self.folder / ".lock"):
                with path.open("r+b") as file:
                    overwrite_content(file)
                path.unlink()
                sync_folder(path.parent)
        except FileNotFoundError:
            return
        except (OSError, StorageError) as error:
            raise KeyProtectionError(f"cannot destroy the {context}: {error}") from error

    def _path(self, context: KeyContext) -> Path:
        digest = context.digest()
        return self.folder / digest[:2] / f"{digest[2:]}.key"

    def _verify_folder(self) -> None:
        # Never created here: where a volume is not mounted, its keys would land on the wrong disk.
        if not self.folder.is_dir():
            raise KeyProtectionError(
                f"the key folder {self.folder} is not there; mount its volume, or create it"
            )

    def _read(self, context: KeyContext) -> bytes:
        self._verify_folder()
        path = self._path(context)
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            raise KeyProtectionError(
                f"{self.folder} holds no secret for the {context}: it was destroyed, or this is "
                "another folder"
            ) from None
        except OSError as error:
            raise KeyProtectionError(f"cannot read {path}: {error.strerror}") from error
        if len(secret) != SECRET_BYTES:
            raise KeyProtectionError(f"{path} is damaged: {len(secret)} bytes, not {SECRET_BYTES}")
        return secret
