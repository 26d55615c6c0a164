"""Ed25519 signing keys and X25519 sealing keys.

Sources: RFC 8032 (Ed25519), RFC 7748 (X25519), RFC 9180 (HPKE). The identity and other points of
small order verify one signature for many messages, so they are refused as public keys.
"""

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from synnq_assets.errors import SignatureError, TrustError
from synnq_assets.records.base import sha256_hex
from synnq_assets.storage.files import write_atomically

_FIELD = 2**255 - 19
_CURVE_D = (-121665 * pow(121666, -1, _FIELD)) % _FIELD


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


def build_key_id(public_key: str) -> str:
    """Return the id of a public key: SHA-256 (hex) of its raw bytes."""
    return sha256_hex(decode_base64(public_key))


@lru_cache(maxsize=4096)
def verify_public_key(public_key: str) -> Ed25519PublicKey:
    """Return a usable Ed25519 public key.

    Raises:
        TrustError: not 32 bytes, not canonical, not on the curve, or of small order.
    """
    raw = decode_base64(public_key, num_bytes=32)
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    sign = raw[31] >> 7
    if y >= _FIELD:
        raise TrustError("public key is not in canonical form")
    x_squared = (y * y - 1) * pow(_CURVE_D * y * y + 1, -1, _FIELD) % _FIELD
    x = pow(x_squared, (_FIELD + 3) // 8, _FIELD)
    if (x * x - x_squared) % _FIELD:
        x = x * pow(2, (_FIELD - 1) // 4, _FIELD) % _FIELD
    if (x * x - x_squared) % _FIELD:
        raise TrustError("public key is not a point on the curve")
    if x == 0 and sign:
        raise TrustError("public key is not in canonical form")
    point = (x if x & 1 == sign else _FIELD - x, y)
    for _ in range(3):
        point = _double(point)
    if point == (0, 1):
        raise TrustError("public key has small order")
    return Ed25519PublicKey.from_public_bytes(raw)


def _double(point: tuple[int, int]) -> tuple[int, int]:
    x, y = point
    product = _CURVE_D * x * x * y * y % _FIELD
    x_sum = 2 * x * y * pow(1 + product, -1, _FIELD)
    y_sum = (y * y + x * x) * pow(1 - product, -1, _FIELD)
    return x_sum % _FIELD, y_sum % _FIELD


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 private key."""

    private: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> "SigningKey":
        """Create a new key from the system's random source."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Read an unencrypted PKCS#8 PEM file.

        Raises:
            TrustError: missing, unreadable, or not an Ed25519 key.
        """
        key = _read_private(path)
        if not isinstance(key, Ed25519PrivateKey):
            raise TrustError(f"{path} does not hold an Ed25519 private key")
        return cls(key)

    def write(self, path: Path) -> None:
        """Write as PKCS#8 PEM, readable by the owner alone."""
        write_atomically(path, _private_pem(self.private), mode=0o600)

    @property
    def public_key(self) -> str:
        """Base64 of the 32 public bytes."""
        return encode_base64(self.private.public_key().public_bytes_raw())

    @property
    def key_id(self) -> str:
        """SHA-256 (hex) of the public bytes."""
        return build_key_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message."""
        return self.private.sign(message)


def verify_signature(public_key: str, signature: bytes, message: bytes) -> None:
    """Check one Ed25519 signature.

    Raises:
        SignatureError: it does not verify under this key.
    """
    try:
        verify_public_key(public_key).verify(signature, message)
    except InvalidSignature as error:
        raise SignatureError("signature does not verify") from error


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


def _private_pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _read_private(path: Path) -> object:
    try:
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TrustError(f"cannot read private key {path}: {error}") from error
