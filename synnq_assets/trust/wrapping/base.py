"""What every wrapper offers: a key goes in, text that only its holder can turn back comes out.

The context goes into the encryption as additional data (AES-256-GCM, NIST SP 800-38D), so that what
was wrapped under one opens under no other.
"""

import secrets
from abc import ABC, abstractmethod
from typing import ClassVar, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from synnq_assets.errors import KeyProtectionError, TrustError
from synnq_assets.records.base import Record
from synnq_assets.trust.encoding import decode_base64, encode_base64

NONCE_BYTES = 12


class KeyContext(Record):
    """Whose key this is, and what it is for."""

    kind: ClassVar[str] = "key-context"

    federation: str
    name: str  # "coordinator", "lumi-g-03/signing", "shard/<id>"
    algorithm: str  # "ed25519", "x25519", "aes-256-gcm"

    def __str__(self) -> str:
        return f"{self.algorithm} key {self.name!r} of {self.federation!r}"


class KeyWrapper(ABC):
    """One way to keep keys at rest: private keys of any length, and 32-byte data keys."""

    name: ClassVar[str]
    can_destroy: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def open(cls) -> Self:
        """Return the wrapper that the environment describes.

        Raises:
            KeyProtectionError: it describes none.
            SettingsError: what it says is wrong.
        """

    @abstractmethod
    def wrap(self, key: bytes, context: KeyContext) -> str:
        """Return the wrapped key as ASCII text.

        Raises:
            KeyProtectionError: the wrapper cannot be used; the message says why.
        """

    @abstractmethod
    def unwrap(self, wrapped: str, context: KeyContext) -> bytes:
        """Return a key that was wrapped under exactly this context.

        Raises:
            KeyProtectionError: damaged, another context, destroyed, or the wrapper cannot be used.
        """

    @abstractmethod
    def destroy(self, context: KeyContext) -> None:
        """Make everything that was wrapped under this context unreadable, for good.

        Destroying what is not there is no error: a repeated order to destroy succeeds.

        Raises:
            KeyProtectionError: it could not be destroyed, or this wrapper cannot promise it.
        """


def encrypt_key(key: bytes, secret: bytes, context: KeyContext) -> bytes:
    """Return nonce and ciphertext of a key under a 32-byte secret."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(secret).encrypt(nonce, key, context.canonical_bytes())


def decrypt_key(data: bytes, secret: bytes, context: KeyContext) -> bytes:
    """Return the key.

    Raises:
        InvalidTag: another secret or context, or damaged.
    """
    if len(data) < NONCE_BYTES:
        raise InvalidTag
    cipher = AESGCM(secret)
    return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], context.canonical_bytes())


def render_wrapped(form: str, data: bytes) -> str:
    """Return `<form>:<base64>`; the form names the cipher and its parameters."""
    return f"{form}:{encode_base64(data)}"


def parse_wrapped(form: str, wrapped: str, context: KeyContext) -> bytes:
    """Return the bytes behind `<form>:`.

    Raises:
        KeyProtectionError: another form, or not base64.
    """
    prefix, _, encoded = wrapped.partition(":")
    try:
        if prefix == form:
            return decode_base64(encoded)
    except TrustError:
        pass
    raise KeyProtectionError(f"the wrapped {context} is damaged: it is not {form}:<base64>")
