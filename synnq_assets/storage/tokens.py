"""The inside of a shard: token ids and document offsets, as one safetensors file.

    tokens   U16 (vocabulary up to 65 536) or U32, [num_tokens]
    offsets  I64, [num_documents + 1]; document k is tokens[offsets[k]:offsets[k+1]]

Every document ends with the end-of-text token, whose id is 0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synnq_assets.errors import ShardError, TensorFileError
from synnq_assets.storage.tensors import Array, TensorFile, encode_tensors

FORMAT = "synnq-shard-1"
END_OF_TEXT = 0


@dataclass(frozen=True)
class TokenShard:
    """Token ids of a shard's documents, in order."""

    cell: str
    tokenizer_sha256: str
    tokens: Array  # [num_tokens] uint16 or uint32
    offsets: npt.NDArray[np.int64]  # [num_documents + 1]

    @property
    def num_tokens(self) -> int:
        """Tokens, end-of-text included."""
        return len(self.tokens)


def encode_tokens(shard: TokenShard, *, vocab_size: int) -> bytes:
    """Return the plaintext bytes of a shard; the same content gives the same bytes."""
    dtype = "U16" if vocab_size <= 65_536 else "U32"
    return encode_tensors(
        {"tokens": (dtype, shard.tokens), "offsets": ("I64", shard.offsets)},
        {"cell": shard.cell, "format": FORMAT, "tokenizer_sha256": shard.tokenizer_sha256},
    )


def decode_tokens(data: bytes | bytearray, *, vocab_size: int) -> TokenShard:
    """Parse the plaintext bytes of a shard.

    Raises:
        ShardError: not a shard, offsets that do not cover the tokens, or ids beyond the vocabulary.
    """
    try:
        file = TensorFile.from_bytes("shard", data)
        if set(file.tensors) != {"tokens", "offsets"} or file.metadata.get("format") != FORMAT:
            raise ShardError(f"not a {FORMAT} file")
        tokens, offsets = file.read("tokens"), file.read("offsets")
    except TensorFileError as error:
        raise ShardError(f"shard content is not readable: {error}") from error
    if offsets.ndim != 1 or tokens.ndim != 1 or len(offsets) < 2 or len(tokens) == 0:
        raise ShardError("shard holds no document")
    if offsets[0] != 0 or offsets[-1] != len(tokens) or bool(np.any(np.diff(offsets) <= 0)):
        raise ShardError("shard offsets do not cover its tokens")
    if int(tokens.max()) >= vocab_size:
        raise ShardError(f"shard holds token ids beyond the vocabulary of {vocab_size}")
    return TokenShard(
        cell=file.metadata.get("cell", ""),
        tokenizer_sha256=file.metadata.get("tokenizer_sha256", ""),
        tokens=tokens,
        offsets=offsets.astype(np.int64),
    )
