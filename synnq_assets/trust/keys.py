"""Signing keys and X25519 sealing keys: in text, and on disk.

A public signing key is written `<algorithm>:<base64>`; see algorithms/ for the kinds.
Sources: RFC 7748 (X25519), RFC 9180 (HPKE), RFC 5958 (PKCS#8).
"""

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from synnq_assets.errors import TrustError
from synnq_assets.records.base import sha256_hex
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.algorithms import SignatureAlgorithm, find_algorithm, find_algorithm_of
from synnq_assets.trust.algorithms.ed25519 import Ed25519


def decode_base64(text: str, *, num_bytes: int | None = None) -> bytes:
    """Decode canonical base64.

    Raises:
        TrustError: not base64, not the one canonical spelling, or not `num_bytes` long.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TrustError("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise TrustError("base64 is not in its canonical spelling")
    if num_bytes is not None and len(data) != num_bytes:
        raise TrustError(f"expected {num_bytes} bytes, got {len(data)}")
    return data


def encode_base64(data: bytes) -> str:
    """Return canonical base64."""
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class VerifyingKey:
    """A public key that passed its algorithm's checks."""

    algorithm: SignatureAlgorithm
    raw: bytes
    public: Any

    def verify(self, signature: str, message: bytes) -> None:
        """Check a signature in base64, as it stands in an envelope.

        Raises:
            TrustError: not canonical base64, or not of this algorithm's length.
            SignatureError: it does not verify.
        """
        data = decode_base64(signature, num_bytes=self.algorithm.signature_bytes)
        self.algorithm.verify(self.public, data, message)


@lru_cache(maxsize=4096)
def parse_public_key(text: str) -> VerifyingKey:
    """Return the key that `<algorithm>:<base64>` stands for.

    Raises:
        TrustError: no such algorithm, not canonical, or not safe to verify with.
    """
    name, colon, encoded = text.partition(":")
    if not colon:
        raise TrustError("a public key is written <algorithm>:<base64>, such as ed25519:…")
    algorithm = find_algorithm(name)
    raw = decode_base64(encoded, num_bytes=algorithm.public_bytes)
    return VerifyingKey(algorithm, raw, algorithm.load_public(raw))


def build_key_id(public_key: str) -> str:
    """Return the id of a public key: SHA-256 (hex) of its text, the algorithm included."""
    parse_public_key(public_key)
    return sha256_hex(public_key.encode("ascii"))


@dataclass(frozen=True)
class SigningKey:
    """A private key of any of the algorithms."""

    private: Any

    @classmethod
    def generate(cls, algorithm: str = Ed25519.name) -> "SigningKey":
        """Create a new key from the system's random source."""
        return cls(find_algorithm(algorithm).generate())

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Read an unencrypted PKCS#8 PEM file.

        Raises:
            TrustError: missing, unreadable, or not a signing key.
        """
        private = _read_private(path)
        try:
            find_algorithm_of(private)
        except TrustError as error:
            raise TrustError(f"{path} does not hold a signing key: {error}") from error
        return cls(private)

    def write(self, path: Path) -> None:
        """Write as PKCS#8 PEM, readable by the owner alone."""
        write_atomically(path, _private_pem(self.private), mode=0o600)

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """How this key signs."""
        return find_algorithm_of(self.private)

    @property
    def public_key(self) -> str:
        """`<algorithm>:<base64 of the public bytes>`."""
        algorithm = self.algorithm
        return f"{algorithm.name}:{encode_base64(algorithm.encode_public(self.private))}"

    @property
    def key_id(self) -> str:
        """SHA-256 (hex) of the public key's text."""
        return build_key_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        return self.algorithm.sign(self.private, message)


@dataclass(frozen=True)
class SealingKey:
    """An X25519 private key that data keys are wrapped to."""

    private: X25519PrivateKey

    @classmethod
    def generate(cls) -> "SealingKey":
        """Create a new key from the system's random source."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> "SealingKey":
        """Read an unencrypted PKCS#8 PEM file.

        Raises:
            TrustError: missing, unreadable, or not an X25519 key.
        """
        key = _read_private(path)
        if not isinstance(key, X25519PrivateKey):
            raise TrustError(f"{path} does not hold an X25519 private key")
        return cls(key)

    def write(self, path: Path) -> None:
        """Write as PKCS#8 PEM, readable by the owner alone."""
        write_atomically(path, _private_pem(self.private), mode=0o600)

    @property
    def public_key(self) -> str:
        """Base64 of the 32 public bytes."""
        return encode_base64(self.private.public_key().public_bytes_raw())


def load_sealing_public_key(public_key: str) -> X25519PublicKey:
    """Return an X25519 public key from base64."""
    return X25519PublicKey.from_public_bytes(decode_base64(public_key, num_bytes=32))


def _private_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem


def _read_private(path: Path) -> object:
    try:
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TrustError(f"cannot read private key {path}: {error}") from error
