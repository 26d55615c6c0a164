"""Sealed shards: chunked AES-256-GCM, with the data key wrapped to one node by HPKE.

A sealed file is `MAGIC`, a random 7-byte nonce prefix, then chunks of at most
`CHUNK_BYTES` plaintext bytes, each followed by its 16-byte tag. The nonce of a chunk is
prefix (7) | counter (4, big endian) | last-chunk flag (1), so that chunks cannot be reordered,
dropped, or cut at a boundary; the context is the additional data of each chunk.

Sources: STREAM, Hoang et al. 2015 (eprint.iacr.org/2015/189), §7; HPKE, RFC 9180, base mode with
DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
"""

import hmac
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from synnq_assets.errors import SealError
from synnq_assets.storage.files import open_atomically
from synnq_assets.trust.keys import (
    SealingKey,
    decode_base64,
    encode_base64,
    load_sealing_public_key,
)

MAGIC = b"SYNNQ1\n"
CHUNK_BYTES = 1 << 20
TAG_BYTES = 16
DATA_KEY_BYTES = 32
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def generate_data_key() -> bytes:
    """Return a fresh 32-byte data key; use it for one file only."""
    return secrets.token_bytes(DATA_KEY_BYTES)


def commit_plaintext(data_key: bytes, plaintext: bytes) -> str:
    """Return HMAC-SHA256 (hex) of the plaintext under the data key.

    A bare hash would let anyone confirm a guess of the content; this needs the key.
    """
    return hmac.digest(data_key, b"synnq-commitment\0" + plaintext, "sha256").hex()


def wrap_data_key(data_key: bytes, sealing_public_key: str, context: bytes) -> str:
    """Encrypt a data key to a node; `context` must be given again to unwrap it."""
    public = load_sealing_public_key(sealing_public_key)
    return encode_base64(_SUITE.encrypt(data_key, public, info=context))


def unwrap_data_key(wrapped: str, key: SealingKey, context: bytes) -> bytes:
    """Decrypt a wrapped data key.

    Raises:
        SealError: wrapped to another node, for another context, or damaged.
    """
    try:
        data_key = _SUITE.decrypt(decode_base64(wrapped), key.private, info=context)
    except (InvalidTag, ValueError) as error:
        raise SealError(
            "data key does not unwrap: wrong node, wrong context, or damaged"
        ) from error
    if len(data_key) != DATA_KEY_BYTES:
        raise SealError(f"data key has {len(data_key)} bytes, expected {DATA_KEY_BYTES}")
    return data_key


def _nonce(prefix: bytes, counter: int, is_last: bool) -> bytes:
    return prefix + struct.pack(">IB", counter, is_last)


def seal_bytes(plaintext: bytes, data_key: bytes, context: bytes, out: Path) -> None:
    """Encrypt `plaintext` into the file `out`, which appears only when complete.

    Raises:
        StorageError: the file could not be written.
    """
    cipher = AESGCM(data_key)
    prefix = secrets.token_bytes(7)
    num_chunks = max(1, -(-len(plaintext) // CHUNK_BYTES))
    with open_atomically(out) as file:
        file.write(MAGIC + prefix)
        for k in range(num_chunks):
            chunk = plaintext[k * CHUNK_BYTES : (k + 1) * CHUNK_BYTES]
            file.write(cipher.encrypt(_nonce(prefix, k, k == num_chunks - 1), chunk, context))


def _iter_plaintext(file: IO[bytes], data_key: bytes, context: bytes) -> Iterator[bytes]:
    head = file.read(len(MAGIC) + 7)
    if len(head) != len(MAGIC) + 7 or not head.startswith(MAGIC):
        raise SealError("not a sealed shard")
    cipher, prefix = AESGCM(data_key), head[len(MAGIC) :]
    block = file.read(CHUNK_BYTES + TAG_BYTES)
    counter = 0
    while True:
        following = file.read(CHUNK_BYTES + TAG_BYTES)
        try:
            yield cipher.decrypt(_nonce(prefix, counter, not following), block, context)
        except (InvalidTag, ValueError) as error:
            raise SealError(f"chunk {counter} is damaged, cut, or sealed otherwise") from error
        if not following:
            return
        block, counter = following, counter + 1


def open_sealed(path: Path, data_key: bytes, context: bytes) -> bytes:
    """Return the plaintext of a sealed file; nothing is returned unless the last chunk verified.

    Raises:
        SealError: wrong key or context, damaged, reordered, truncated or extended.
    """
    with path.open("rb") as file:
        return b"".join(_iter_plaintext(file, data_key, context))
