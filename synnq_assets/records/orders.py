"""The order: everything a node needs to know, signed by the coordinator.

The cluster seam is files. A job folder holds

    order.json              DSSE envelope of an Order
    recipe.json             the resolved recipe; its digest is in the order
    inputs/checkpoint/      the base checkpoint's files
    inputs/shards/          <shard_id>.sealed
    work/                   the payload's own checkpoints
    progress.json           written beside and renamed at every report
    submission/             submission.json (DSSE) and the files that it lists
"""

from typing import ClassVar, Literal, Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from synnq_assets.records.base import Record, UtcTime, canonical_json, sha256_hex
from synnq_assets.records.identifiers import (
    AssignmentId,
    CellKey,
    FileName,
    NodeId,
    RoundKey,
    Sha256,
)


class FileDigest(Record):
    """One file by name, SHA-256 and length."""

    name: FileName
    sha256: Sha256
    num_bytes: NonNegativeInt


def digest_files(files: tuple[FileDigest, ...]) -> str:
    """Return one SHA-256 (hex) for a set of files, independent of their order."""
    rows = sorted((file.model_dump(mode="json") for file in files), key=lambda row: row["name"])
    return sha256_hex(canonical_json(rows))


class CheckpointRef(Record):
    """A global checkpoint by content: `checkpoint_sha256` is `digest_files` of its model files."""

    round: RoundKey
    checkpoint_sha256: Sha256
    files: tuple[FileDigest, ...]

    @model_validator(mode="after")
    def _digest_matches(self) -> Self:
        if digest_files(self.files) != self.checkpoint_sha256:
            raise ValueError("checkpoint_sha256 is not the digest of its files")
        return self


class LrSegment(Record):
    """A piece of the global learning-rate schedule, piecewise linear in the order's progress."""

    fractions: tuple[NonNegativeFloat, ...]  # ascending from 0.0 to 1.0
    learning_rates: tuple[NonNegativeFloat, ...]

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        if len(self.fractions) != len(self.learning_rates) or len(self.fractions) < 2:
            raise ValueError("fractions and learning_rates must have the same length, at least 2")
        if self.fractions[0] != 0.0 or self.fractions[-1] != 1.0:
            raise ValueError("fractions must run from 0 to 1")
        if list(self.fractions) != sorted(set(self.fractions)):
            raise ValueError("fractions must be strictly ascending")
        return self

    def at(self, fraction: float) -> float:
        """Return the learning rate at a fraction of the order's steps, in [0, 1]."""
        fraction = min(max(fraction, 0.0), 1.0)
        for k in range(1, len(self.fractions)):
            if fraction <= self.fractions[k]:
                left, right = self.fractions[k - 1], self.fractions[k]
                share = (fraction - left) / (right - left)
                low, high = self.learning_rates[k - 1], self.learning_rates[k]
                return low + share * (high - low)
        return self.learning_rates[-1]


SealingSuite = Literal["x25519-hkdf-sha256-aes256gcm"]


class OrderShard(Record):
    """One shard, sealed for this order alone, with its data key wrapped to the node."""

    shard_id: Sha256
    cell: CellKey
    num_tokens: PositiveInt
    ciphertext_sha256: Sha256  # of the file that was sealed for this order
    ciphertext_bytes: PositiveInt
    plaintext_commitment: Sha256  # under the order's own data key
    wrapped_key: str  # base64 of the HPKE-wrapped data key
    suite: SealingSuite = "x25519-hkdf-sha256-aes256gcm"


class Order(Record):
    """Train these shards from this checkpoint, and answer by the deadline."""

    kind: ClassVar[str] = "order"

    federation: NodeId
    round: RoundKey
    assignment_id: AssignmentId
    node_id: NodeId
    agreement_sha256: Sha256
    base: CheckpointRef
    shards: tuple[OrderShard, ...]
    tokenizer_sha256: Sha256
    recipe_sha256: Sha256
    epochs: PositiveInt
    lr: LrSegment
    optimizer_state: Literal["reset"]
    seed: NonNegativeInt
    image_sha256: Sha256 | None  # container image; None runs the node's own environment
    issued_at: UtcTime
    deadline_at: UtcTime
    nonce: Sha256

    @property
    def num_tokens(self) -> int:
        """Unique tokens in the order's shards."""
        return sum(shard.num_tokens for shard in self.shards)
