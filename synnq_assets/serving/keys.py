"""API keys: 256 random bits, stored as SHA-256 only, compared in constant time.

A key is as strong as a signature key, so a plain hash suffices; nobody can guess what it hashes.
"""

import hmac
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from synnq_assets.errors import ServingError
from synnq_assets.records.base import sha256_hex

_PREFIX = "synnq_"


def generate_api_key() -> tuple[str, str]:
    """Return a new key and its SHA-256 (hex); hand out the first, store the second."""
    key = _PREFIX + secrets.token_urlsafe(32)
    return key, sha256_hex(key.encode())


def verify_key_hashes(hashes: Sequence[str]) -> tuple[str, ...]:
    """Return the hashes if there is at least one and each is a SHA-256 in lower-case hex.

    Raises:
        ServingError: none, or one of them is something else (a key in plain text, perhaps).
    """
    if not hashes:
        raise ServingError("there is no API key; make one with `synnq api-key FILE`")
    for k, value in enumerate(hashes):
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ServingError(f"API key {k + 1} is not a SHA-256 in hex; store hashes, not keys")
    return tuple(hashes)


def read_api_keys(path: Path) -> tuple[str, ...]:
    """Read one hash per line; blank lines and what follows a `#` are skipped.

    Raises:
        ServingError: unreadable, empty, or a line is not a hash.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(f"cannot read API keys from {path}: {error}") from error
    hashes = [text for line in lines if (text := line.partition("#")[0].strip())]
    return verify_key_hashes(hashes)


def is_known_key(key: str, hashes: Sequence[str]) -> bool:
    """Return whether a presented key is one of those; takes as long for each answer."""
    presented = sha256_hex(key.encode("utf-8", "surrogateescape"))
    is_known = False
    for value in hashes:
        is_known |= hmac.compare_digest(presented, value)
    return is_known
