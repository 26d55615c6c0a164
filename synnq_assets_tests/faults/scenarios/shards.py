"""The shard writer: all cells of a small corpus are sealed, from documents to signed manifests."""

from collections.abc import Iterator
from pathlib import Path

from synnq_assets.records.shards import ShardManifest
from synnq_assets.shards import list_shards, verify_shard
from synnq_assets.shards.lineage import build_lineage_key
from synnq_assets.shards.seal import ShardKeys, body_context, steward_context
from synnq_assets.storage import FolderStore, decode_tokens
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.sealing import open_sealed, unwrap_data_key
from synnq_assets_tests.faults.children import Tell, Told
from synnq_assets_tests.faults.scenario import Problem, Scenario, read_visible
from synnq_assets_tests.shards.campaign import build_campaign

CELLS = ("de.law", "fi.law")


class ShardScenario(Scenario):
    """A shard with a manifest opens and holds the planned documents; it is sealed once."""

    name = "shards"

    def prepare(self, folder: Path) -> None:
        (folder / "state").mkdir()
        self.campaign = build_campaign(folder)

    def act(self, state: Path, tell: Tell) -> None:
        store = FolderStore(state / "store")
        for cell in CELLS:
            for manifest in self.campaign.seal(store, cell):
                tell(shard=manifest.shard_id, digest=manifest.digest())

    def check(self, state: Path, told: Told, *, is_complete: bool) -> Iterator[Problem]:
        store = FolderStore(state / "store")
        planned = {
            shard.shard_id: shard for cell in CELLS for shard in self.campaign.plan.cells[cell]
        }
        standing = {shard_id for shard_id in planned if store.has(ShardKeys(shard_id).manifest)}
        for shard_id in standing:
            num_tokens = self._open(store, shard_id)
            if num_tokens != planned[shard_id].num_tokens:
                yield Problem("torn", f"shard {shard_id[:12]} has {num_tokens} tokens")
        digests: dict[str, set[str]] = {}
        for fact in told:
            digests.setdefault(fact["shard"], set()).add(fact["digest"])
            if fact["shard"] not in standing:
                yield Problem("lost", f"shard {fact['shard'][:12]}")
        if any(len(found) > 1 for found in digests.values()):
            yield Problem("twice", "a shard was sealed under two manifests")
        if is_complete:
            listed = {shard_id for ids in list_shards(store).values() for shard_id in ids}
            if listed != set(planned):
                yield Problem("lost", "a planned shard is not listed")
            if len(read_visible(store.root)) != 3 * len(planned) + len(CELLS):
                yield Problem("torn", "files stand that nobody meant")

    def _open(self, store: FolderStore, shard_id: str) -> int:
        """Verify a shard as far as its cell came, and return its tokens."""
        keys, sealing = ShardKeys(shard_id), self.campaign.steward.sealing
        manifest = open_envelope(
            store.get_bytes(keys.manifest), ShardManifest, self.campaign.keyring, roles=("steward",)
        )
        if store.has(build_lineage_key(manifest.cell, manifest.generation)):
            return verify_shard(store, shard_id, self.campaign.keyring, sealing).num_tokens
        wrapped = store.get_bytes(keys.data_key).decode()
        data_key = unwrap_data_key(wrapped, sealing, steward_context(shard_id))
        data = open_sealed(store.local_path(keys.body), data_key, body_context(shard_id))
        return decode_tokens(data, vocab_size=600).num_tokens


SCENARIO = ShardScenario()
