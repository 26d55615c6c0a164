"""Destroy the data keys of shards at rest: their bodies, and all copies of them, stay shut.

That holds for the keys that lie in this store. A backup with `data_key.txt` still opens under the
steward's key, and a node that trained on a shard has had its tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from synnq_assets.errors import ShardError
from synnq_assets.records.shards import ShardManifest
from synnq_assets.shards.seal import ShardKeys
from synnq_assets.storage.objects import ObjectStore

MIN_PREFIX = 8


@dataclass(frozen=True)
class Choice:
    """Which shards: exactly one of the four."""

    shard: str | None = None  # id, or its first 8 digits or more
    source: str | None = None  # every shard with a document of this corpus source
    licence: str | None = None  # every shard with a document under this SPDX expression
    everything: bool = False

    def __str__(self) -> str:
        if self.everything:
            return "all"
        given = (("shard", self.shard), ("source", self.source), ("licence", self.licence))
        return ", ".join(f"{name} {value}" for name, value in given if value is not None)


def select_shards(manifests: Sequence[ShardManifest], choice: Choice) -> list[ShardManifest]:
    """Return the shards that a choice names; whole shards, whatever else is in them.

    Raises:
        ShardError: not exactly one thing was chosen, it names no shard, or a prefix is ambiguous.
    """
    given = [choice.shard, choice.source, choice.licence, choice.everything or None]
    if sum(value is not None for value in given) != 1:
        raise ShardError("choose the shards by exactly one of shard, source, licence, or all")
    if choice.shard is not None and len(choice.shard) < MIN_PREFIX:
        raise ShardError(f"a shard is named by its first {MIN_PREFIX} digits or more")
    chosen = [manifest for manifest in manifests if _fits(manifest, choice)]
    if not chosen:
        raise ShardError(f"no shard fits: {choice}")
    if choice.shard is not None and len(chosen) > 1:
        raise ShardError(f"{len(chosen)} shards begin with {choice.shard}; give more digits")
    return chosen


def _fits(manifest: ShardManifest, choice: Choice) -> bool:
    if choice.shard is not None:
        return manifest.shard_id.startswith(choice.shard)
    if choice.source is not None:
        return choice.source in manifest.sources
    return choice.everything or choice.licence in manifest.licences


def destroy_data_key(store: ObjectStore, shard_id: str) -> None:
    """Destroy a shard's data key at rest, and remove what was sealed of it for open orders.

    Destroying what is gone is no error, so an interrupted run is simply repeated.

    Raises:
        StorageError: the store refuses.
    """
    store.remove(ShardKeys(shard_id).data_key, overwrite=True)
    for key in [*store.iter_keys("rounds")]:
        parts = key.split("/")
        if len(parts) == 5 and parts[2] == "sealed" and parts[4].startswith(shard_id):
            store.remove(key, overwrite=True)
