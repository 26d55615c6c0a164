"""Signing keys and X25519 sealing keys: in text, and on disk.

A public signing key is written `<algorithm>:<base64>`; see algorithms/ for the kinds.
Sources: RFC 7748 (X25519), RFC 9180 (HPKE).
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from synnq_assets.errors import TrustError
from synnq_assets.records.base import sha256_hex
from synnq_assets.trust.algorithms import SignatureAlgorithm, find_algorithm, find_algorithm_of
from synnq_assets.trust.algorithms.ed25519 import Ed25519
from synnq_assets.trust.encoding import decode_base64, encode_base64
from synnq_assets.trust.keyfiles import KeyFile, read_private, write_private
from synnq_assets.trust.wrapping import KeyWrapper

__all__ = [
    "SealingKey",
    "SigningKey",
    "VerifyingKey",
    "build_key_id",
    "decode_base64",
    "encode_base64",
    "load_sealing_public_key",
    "parse_public_key",
]


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
    def read(cls, file: KeyFile | Path) -> "SigningKey":
        """Read a key; a path alone stands for a file that is not protected.

        Raises:
            TrustError: missing, unreadable, or not a signing key.
            KeyProtectionError: protected, and it does not open.
        """
        file = file if isinstance(file, KeyFile) else KeyFile(file)
        private = read_private(file)
        try:
            find_algorithm_of(private)
        except TrustError as error:
            raise TrustError(f"{file.path} does not hold a signing key: {error}") from error
        return cls(private)

    def write(self, file: KeyFile | Path, wrapper: KeyWrapper | None = None) -> None:
        """Write through a wrapper, or as plain PKCS#8 PEM; readable by the owner alone."""
        write_private(file, self.private, wrapper)

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
    def read(cls, file: KeyFile | Path) -> "SealingKey":
        """Read a key; a path alone stands for a file that is not protected.

        Raises:
            TrustError: missing, unreadable, or not an X25519 key.
            KeyProtectionError: protected, and it does not open.
        """
        file = file if isinstance(file, KeyFile) else KeyFile(file)
        key = read_private(file)
        if not isinstance(key, X25519PrivateKey):
            raise TrustError(f"{file.path} does not hold an X25519 private key")
        return cls(key)

    def write(self, file: KeyFile | Path, wrapper: KeyWrapper | None = None) -> None:
        """Write through a wrapper, or as plain PKCS#8 PEM; readable by the owner alone."""
        write_private(file, self.private, wrapper)

    @property
    def public_key(self) -> str:
        """Base64 of the 32 public bytes."""
        return encode_base64(self.private.public_key().public_bytes_raw())


def load_sealing_public_key(public_key: str) -> X25519PublicKey:
    """Return an X25519 public key from base64."""
    return X25519PublicKey.from_public_bytes(decode_base64(public_key, num_bytes=32))
