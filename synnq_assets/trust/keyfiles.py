"""Private keys in files: as PKCS#8 PEM, or wrapped in an envelope of strict JSON.

An envelope names the wrapper, the key's context and its public key, and holds the wrapped PKCS#8
(DER). A reader says which key of which federation it expects: the steward's key in the
coordinator's place does not open, and nor does an envelope whose context was edited.

Source: RFC 5958 (PKCS#8).
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from synnq_assets.errors import KeyProtectionError, RecordError, StorageError, TrustError
from synnq_assets.records.base import Record
from synnq_assets.settings.node import NodeSettings
from synnq_assets.storage.files import hold_lock, overwrite_content, sync_folder, write_atomically
from synnq_assets.trust.algorithms import find_algorithm_of
from synnq_assets.trust.encoding import encode_base64
from synnq_assets.trust.wrapping import KeyContext, KeyWrapper, open_wrapper

MAX_FILE_BYTES = 65_536
_PARSE_ERRORS = (ValueError, TypeError, UnsupportedAlgorithm)


class WrappedKey(Record):
    """An envelope: a wrapped private key, and what may be known of it without opening it."""

    kind: ClassVar[str] = "wrapped-key"

    format: Literal["synnq-wrapped-key-1"]
    wrapper: str
    context: KeyContext
    public_key: str
    ciphertext: str


@dataclass(frozen=True)
class KeyFile:
    """Where a private key lies, and which key of which federation it has to be."""

    path: Path
    federation: str = ""
    name: str = ""


@dataclass(frozen=True)
class KeyFacts:
    """What a key file says without being opened; an envelope only states its public key."""

    algorithm: str
    public_key: str  # <algorithm>:<base64>
    wrapper: str | None  # None: not protected


def node_key_file(node: NodeSettings, use: Literal["signing", "sealing"]) -> KeyFile:
    """Return one of a node's two key files."""
    path = node.signing_key if use == "signing" else node.sealing_key
    return KeyFile(path, node.federation, f"{node.node_id}/{use}")


def read_private(file: KeyFile, wrapper: KeyWrapper | None = None) -> Any:
    """Return a private key of `cryptography`, opened by `wrapper` or the one it names.

    Raises:
        TrustError: missing, unreadable, or not a key.
        KeyProtectionError: protected, and it does not open; or it is another key's file.
    """
    content = _read(file)
    if not isinstance(content, WrappedKey):
        return content
    context = content.context
    if (context.federation, context.name) != (file.federation, file.name):
        expected = f"{file.name!r} of {file.federation!r}" if file.name else "a key that is plain"
        raise KeyProtectionError(
            f"{file.path} holds the {context}, expected {expected}; put the right file in its place"
        )
    opening = wrapper or open_wrapper(content.wrapper)
    private = _load(opening.unwrap(content.ciphertext, context), file.path)
    if _describe(private) != (context.algorithm, content.public_key):
        raise KeyProtectionError(f"{file.path} is damaged: it states another key than it holds")
    return private


def write_private(file: KeyFile | Path, private: Any, wrapper: KeyWrapper | None) -> None:
    """Write a private key, readable by the owner alone: wrapped, or plain without a wrapper.

    Raises:
        KeyProtectionError: it cannot be wrapped.
        StorageError: the disk refuses.
    """
    file = file if isinstance(file, KeyFile) else KeyFile(file)
    write_atomically(file.path, _render(file, private, wrapper), mode=0o600)


def read_facts(file: KeyFile) -> KeyFacts:
    """Return what a key file says without being opened.

    Raises:
        TrustError: missing, unreadable, or neither a key nor an envelope.
    """
    content = _read(file)
    if isinstance(content, WrappedKey):
        return KeyFacts(content.context.algorithm, content.public_key, content.wrapper)
    return KeyFacts(*_describe(content), None)


def rewrap_keys(files: Sequence[KeyFile], wrapper: KeyWrapper | None) -> None:
    """Write all keys anew, wrapped or plain: first beside the old ones, then in their place.

    Nothing is replaced before every new file was written and read back. A kill between two renames
    leaves some keys as they were and some new, each readable; the same call again completes it. The
    old bytes are overwritten, best effort.

    Raises:
        TrustError: a key does not open, cannot be wrapped, or does not read back; nothing changed.
        StorageError: the disk refuses.
    """
    folder = files[0].path.parent
    with hold_lock(folder / ".lock"):
        try:
            _rewrap(files, wrapper)
        except OSError as error:
            raise StorageError(
                f"cannot replace all keys in {folder}: {error.strerror}; each still opens, run the "
                "command again"
            ) from error


def _rewrap(files: Sequence[KeyFile], wrapper: KeyWrapper | None) -> None:
    with ExitStack() as stack:
        stack.callback(_sweep, files)
        _sweep(files)
        old = [stack.enter_context(file.path.open("r+b")) for file in files]
        for file in files:
            write_private(_beside(file), read_private(file), wrapper)
            read_private(_beside(file), wrapper)
        for file, content in zip(files, old, strict=True):
            os.replace(_beside(file).path, file.path)
            sync_folder(file.path.parent)
            if os.fstat(content.fileno()).st_nlink == 0:  # a hard link may be somebody's backup
                overwrite_content(content)


def _beside(file: KeyFile) -> KeyFile:
    return KeyFile(file.path.with_name(f".{file.path.name}.new"), file.federation, file.name)


def _sweep(files: Sequence[KeyFile]) -> None:
    """Overwrite and remove what a killed run left beside the keys."""
    for file in files:
        for pattern in (f".{file.path.name}.*", f"..{file.path.name}.*"):
            for path in file.path.parent.glob(pattern):
                with path.open("r+b") as content:
                    overwrite_content(content)
                path.unlink()


def _read(file: KeyFile) -> Any:
    """Return a WrappedKey, or the private key of a plain file."""
    try:
        with file.path.open("rb") as source:
            data = source.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TrustError(f"cannot read private key {file.path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise TrustError(f"cannot read private key {file.path}: more than {MAX_FILE_BYTES} bytes")
    if not data.startswith(b"{"):
        return _load(data, file.path)
    try:
        return WrappedKey.parse(data)
    except RecordError as error:
        raise KeyProtectionError(f"{file.path} is a damaged envelope: {error}") from error


def _load(data: bytes, path: Path) -> Any:
    load = load_pem_private_key if data.startswith(b"-----") else load_der_private_key
    try:
        return load(data, password=None)
    except _PARSE_ERRORS as error:
        raise TrustError(f"cannot read private key {path}: not an open PKCS#8 key") from error


def _describe(private: Any) -> tuple[str, str]:
    """Return (algorithm, public key as `<algorithm>:<base64>`)."""
    if isinstance(private, X25519PrivateKey):
        name, public = "x25519", private.public_key().public_bytes_raw()
    else:
        algorithm = find_algorithm_of(private)
        name, public = algorithm.name, algorithm.encode_public(private)
    return name, f"{name}:{encode_base64(public)}"


def _render(file: KeyFile, private: Any, wrapper: KeyWrapper | None) -> bytes:
    def encode(encoding: Encoding) -> bytes:
        data: bytes = private.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
        return data

    if wrapper is None:
        return encode(Encoding.PEM)
    algorithm, public_key = _describe(private)
    context = KeyContext(federation=file.federation, name=file.name, algorithm=algorithm)
    return WrappedKey(
        format="synnq-wrapped-key-1",
        wrapper=wrapper.name,
        context=context,
        public_key=public_key,
        ciphertext=wrapper.wrap(encode(Encoding.DER), context),
    ).canonical_bytes()
