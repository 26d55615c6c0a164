"""What a data steward signs about one shard."""

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import CellKey, Domain, Language, Sha256


class ShardManifest(Record):
    """One sealed shard: about `num_tokens` tokens of one (language, domain) cell."""

    kind: ClassVar[str] = "shard-manifest"

    shard_id: Sha256  # content address: Merkle root of documents, tokenizer and configuration
    cell: CellKey
    language: Language  # "mul" where small cells were rolled up across languages
    domain: Domain
    generation: PositiveInt
    num_tokens: PositiveInt
    num_documents: PositiveInt
    complexity: NonNegativeFloat  # token-weighted mean complexity rank in [0, 1]
    tokenizer_sha256: Sha256
    ciphertext_sha256: Sha256
    ciphertext_bytes: PositiveInt
    plaintext_commitment: Sha256  # HMAC-SHA256 of the plaintext under the data key
    licences: dict[str, PositiveInt]  # SPDX expression -> documents
    sources: dict[str, PositiveInt]  # corpus source -> documents
    created_at: UtcTime


class ShardDestruction(Record):
    """The data key of a shard at rest was destroyed; its sealed body, and copies of it, stay shut.

    A statement of the steward, no proof: a backup of store and key opens the shard, and a node that
    trained on it has seen its tokens.
    """

    kind: ClassVar[str] = "shard-destruction"

    shard_id: Sha256
    ciphertext_sha256: Sha256  # of the body that no key opens any more
    method: Literal["data-key-removed"]
    audit_index: NonNegativeInt  # of the intent to destroy
    destroyed_at: UtcTime
