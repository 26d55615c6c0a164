"""Base64 in its one canonical spelling (RFC 4648 §4)."""

import base64
import binascii

from synnq_assets.errors import TrustError


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
