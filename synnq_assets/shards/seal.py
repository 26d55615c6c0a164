"""Seal a cell: tokens encrypted with a key of their own, the key wrapped, the manifest signed.

The store is write-once, and a second encryption would differ from the first. So the order is: the
wrapped data key, the sealed body, the manifest; after all shards of the cell, its lineage. Whatever
stands when a process is killed is checked and used again by the next one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synnq_assets.errors import SealError, ShardError
from synnq_assets.records.base import now_at
from synnq_assets.records.shards import ShardManifest
from synnq_assets.shards.content import build_leaf, build_shard_id
from synnq_assets.shards.documents import parse_cell_key
from synnq_assets.shards.lineage import (
    CellLineage,
    LineageRow,
    build_lineage_key,
    read_lineage,
    write_lineage,
)
from synnq_assets.shards.plan import PlannedShard, ShardPlan
from synnq_assets.shards.spool import TokenSpool
from synnq_assets.shards.tokenizer import iter_tokenized, load_tokenizer
from synnq_assets.storage.files import hash_file
from synnq_assets.storage.objects import ObjectStore
from synnq_assets.storage.tokens import TokenShard, encode_tokens
from synnq_assets.trust.envelopes import open_envelope, sign_record
from synnq_assets.trust.keyring import KeyEntry, Keyring
from synnq_assets.trust.keys import SealingKey, SigningKey
from synnq_assets.trust.sealing import (
    commit_plaintext,
    generate_data_key,
    open_sealed,
    seal_bytes,
    unwrap_data_key,
    wrap_data_key,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_COLUMNS = ("doc_id", "text", "source", "origin", "licence")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Steward:
    """The data steward's keys: one signs manifests, one keeps data keys at rest."""

    signing: SigningKey
    sealing: SealingKey


@dataclass(frozen=True)
class ShardKeys:
    """Object keys of one shard."""

    shard_id: str

    @property
    def body(self) -> str:
        """The sealed tokens."""
        return f"shards/{self.shard_id}/shard.sealed"

    @property
    def data_key(self) -> str:
        """The data key, wrapped to the steward."""
        return f"shards/{self.shard_id}/data_key.txt"

    @property
    def manifest(self) -> str:
        """The signed manifest."""
        return f"shards/{self.shard_id}/manifest.json"

    @property
    def destruction(self) -> str:
        """The signed statement that the data key was destroyed."""
        return f"shards/{self.shard_id}/destruction.json"


def body_context(shard_id: str) -> bytes:
    """Return the context that a shard's body is sealed with."""
    return b"shard\0" + shard_id.encode()


def steward_context(shard_id: str) -> bytes:
    """Return the context that a data key at rest is wrapped with."""
    return b"steward\0" + shard_id.encode()


def seal_shards(
    plan: ShardPlan,
    cell: str,
    *,
    documents: Sequence[Path],
    tokenizer: Path,
    steward: Steward,
    store: ObjectStore,
) -> tuple[ShardManifest, ...]:
    """Tokenise, seal and sign all shards of one cell; then write the cell's lineage.

    A shard that has its manifest stays as it is, and an interrupted one is completed, so this may
    be run again at any time.

    Args:
        plan: what `plan_shards` decided.
        cell: a key of `plan.cells`.
        documents: the Parquet files that were planned with.
        tokenizer: the `tokenizer.json` that was planned with.
        steward: keys to sign and to wrap with.
        store: the campaign's object store.

    Returns:
        The manifests, in the plan's order.

    Raises:
        ShardError: no such cell, documents or tokenizer are not those planned with, or another plan
            was sealed under this generation.
        SealError: what an interrupted run left does not open with the steward's key.
    """
    if cell not in plan.cells:
        raise ShardError(f"the plan has no cell {cell!r}; it has {', '.join(plan.cells)}")
    if hash_file(tokenizer)[0] != plan.tokenizer_sha256:
        raise ShardError(f"{tokenizer} is not the tokenizer of the plan; plan again")
    shards = plan.cells[cell]
    lineage_key = build_lineage_key(cell, plan.settings.generation)
    if store.has(lineage_key):
        _verify_same_plan(store, lineage_key, shards)
        return tuple(_read_own_manifest(store, shard.shard_id, steward) for shard in shards)
    loaded = load_tokenizer(tokenizer)
    with TokenSpool() as spool:
        rows = _spool_documents(shards, documents, loaded, spool)
        sealing = _CellSealing(plan, rows, spool, loaded.get_vocab_size(), steward, store)
        manifests = tuple(sealing.seal(shard) for shard in shards)
    lineage = [row for shard in shards for row in _build_lineage(shard, rows)]
    lineage.sort(key=lambda row: (row.doc_id, row.part))
    complete = CellLineage(tuple(lineage), plan.tokenizer_sha256, plan.config_sha256)
    write_lineage(store, lineage_key, complete)
    return manifests


def _verify_same_plan(store: ObjectStore, key: str, shards: Sequence[PlannedShard]) -> None:
    sealed = {row.shard_id for row in read_lineage(store, key).rows}
    if sealed != {shard.shard_id for shard in shards}:
        raise ShardError(
            f"{key} stands for another plan of this cell and generation; raise the recipe's "
            "shards.generation"
        )


def _spool_documents(
    shards: Sequence[PlannedShard],
    documents: Sequence[Path],
    tokenizer: "Tokenizer",
    spool: TokenSpool,
) -> dict[str, Row]:
    """Tokenise the documents of some shards; return doc_id -> source, origin and licence."""
    wanted = {document.doc_id for shard in shards for document in shard.documents}
    rows: dict[str, Row] = {}
    for row, tokens in iter_tokenized(documents, tokenizer, _COLUMNS, only=wanted):
        spool.append(row["doc_id"], tokens)
        rows[row["doc_id"]] = {name: row[name] for name in _COLUMNS if name != "text"}
    if missing := sorted(wanted - set(rows)):
        raise ShardError(
            f"{len(missing)} planned documents are no longer in the corpus (first: {missing[0]}); "
            "plan again"
        )
    return rows


@dataclass(frozen=True)
class _CellSealing:
    """What sealing the shards of one cell has in common."""

    plan: ShardPlan
    rows: Mapping[str, Row]
    spool: TokenSpool
    vocab_size: int
    steward: Steward
    store: ObjectStore

    def seal(self, shard: PlannedShard) -> ShardManifest:
        """Return the manifest of a shard, after storing whatever of it is missing."""
        keys = ShardKeys(shard.shard_id)
        if self.store.has(keys.manifest):
            return _read_own_manifest(self.store, shard.shard_id, self.steward)
        plaintext = encode_tokens(self._build_tokens(shard), vocab_size=self.vocab_size)
        data_key = self._keep_data_key(keys)
        self._keep_body(keys, plaintext, data_key)
        manifest = self._build_manifest(shard, plaintext, data_key)
        self.store.put_bytes(keys.manifest, sign_record(manifest, self.steward.signing))
        return manifest

    def _build_tokens(self, shard: PlannedShard) -> TokenShard:
        parts = [self.spool.read_part(document) for document in shard.documents]
        leaves = [
            build_leaf(d.doc_id, d.part, tokens)
            for d, tokens in zip(shard.documents, parts, strict=True)
        ]
        plan = self.plan
        if build_shard_id(leaves, plan.tokenizer_sha256, plan.config_sha256) != shard.shard_id:
            raise ShardError(
                f"the documents of shard {shard.shard_id[:12]} changed since they were planned; "
                "plan again"
            )
        return TokenShard(
            cell=shard.cell,
            tokenizer_sha256=plan.tokenizer_sha256,
            tokens=np.concatenate(parts),
            offsets=np.cumsum([0, *map(len, parts)], dtype=np.int64),
        )

    def _keep_data_key(self, keys: ShardKeys) -> bytes:
        context = steward_context(keys.shard_id)
        if self.store.has(keys.data_key):
            wrapped = self.store.get_bytes(keys.data_key).decode("ascii", "replace")
            return unwrap_data_key(wrapped, self.steward.sealing, context)
        data_key = generate_data_key()
        wrapped = wrap_data_key(data_key, self.steward.sealing.public_key, context)
        self.store.put_bytes(keys.data_key, wrapped.encode())
        return data_key

    def _keep_body(self, keys: ShardKeys, plaintext: bytes, data_key: bytes) -> None:
        context = body_context(keys.shard_id)
        if self.store.has(keys.body):
            if open_sealed(self.store.local_path(keys.body), data_key, context) != plaintext:
                raise SealError(f"{keys.body} holds other tokens; remove it and seal again")
            return
        building = self.store.reserve(keys.body)
        seal_bytes(plaintext, data_key, context, building)
        self.store.put_file(keys.body, building)

    def _build_manifest(
        self, shard: PlannedShard, plaintext: bytes, data_key: bytes
    ) -> ShardManifest:
        language, domain = parse_cell_key(shard.cell)
        body = self.store.local_path(ShardKeys(shard.shard_id).body)
        ciphertext_sha256, ciphertext_bytes = hash_file(body)
        rows = [self.rows[document.doc_id] for document in shard.documents]
        return ShardManifest(
            shard_id=shard.shard_id,
            cell=shard.cell,
            language=language,
            domain=domain,
            generation=self.plan.settings.generation,
            num_tokens=shard.num_tokens,
            num_documents=len(shard.documents),
            complexity=shard.complexity,
            tokenizer_sha256=self.plan.tokenizer_sha256,
            ciphertext_sha256=ciphertext_sha256,
            ciphertext_bytes=ciphertext_bytes,
            plaintext_commitment=commit_plaintext(data_key, plaintext),
            licences=dict(Counter(row["licence"] for row in rows)),
            sources=dict(Counter(row["source"] for row in rows)),
            created_at=now_at(),
        )


def _read_own_manifest(store: ObjectStore, shard_id: str, steward: Steward) -> ShardManifest:
    own = Keyring()
    own.add(KeyEntry("steward", "steward", steward.signing.public_key))
    data = store.get_bytes(ShardKeys(shard_id).manifest)
    return open_envelope(data, ShardManifest, own, roles=("steward",))


def _build_lineage(shard: PlannedShard, rows: Mapping[str, Row]) -> list[LineageRow]:
    lineage, begin_token = [], 0
    for document in shard.documents:
        row = rows[document.doc_id]
        lineage.append(
            LineageRow(
                doc_id=document.doc_id,
                shard_id=shard.shard_id,
                cell=shard.cell,
                part=document.part,
                num_parts=document.num_parts,
                begin_token=begin_token,
                num_tokens=document.num_tokens,
                source=row["source"],
                origin=row["origin"],
                licence=row["licence"],
            )
        )
        begin_token += document.num_tokens
    return lineage
