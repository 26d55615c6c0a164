import shutil

import pytest

from synnq_assets.errors import ShardError, StorageError
from synnq_assets.shards.seal import ShardKeys
from synnq_assets.shards.shred import Choice, destroy_data_key, select_shards
from synnq_assets.storage import FolderStore
from synnq_assets.trust.campaign import sealed_key
from synnq_assets_tests.builders import build_manifest, digest_of

SHARDS = [
    build_manifest("s1"),
    build_manifest("s2", sources={"sample-eu": 2, "web": 1}),
    build_manifest("s3", sources={"web": 3}, licences={"MIT": 3}),
]


def names(**choice):
    ids = {digest_of(f"s{k}"): f"s{k}" for k in (1, 2, 3)}
    return [ids[shard.shard_id] for shard in select_shards(SHARDS, Choice(**choice))]


def test_shards_are_chosen_by_id_source_licence_or_all():
    assert names(shard=digest_of("s2")) == ["s2"]
    assert names(shard=digest_of("s3")[:8]) == ["s3"]
    assert names(source="web") == ["s2", "s3"]
    assert names(licence="MIT") == ["s3"]
    assert names(everything=True) == ["s1", "s2", "s3"]


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({}, "exactly one"),
        ({"source": "web", "everything": True}, "exactly one"),
        ({"shard": digest_of("s1")[:7]}, "first 8 digits or more"),
        ({"shard": "0" * 64}, "no shard fits: shard 000"),
        ({"licence": "GPL-2.0-only"}, "no shard fits: licence GPL-2.0-only"),
    ],
)
def test_a_choice_that_names_nothing_or_too_much_is_refused(choice, reason):
    with pytest.raises(ShardError, match=reason):
        select_shards(SHARDS, Choice(**choice))


def test_the_key_and_what_was_sealed_for_orders_go_and_nothing_else(tmp_path):
    store = FolderStore(tmp_path)
    gone, stays = digest_of("s1"), digest_of("s2")
    for shard_id in (gone, stays):
        keys = ShardKeys(shard_id)
        for key in (keys.data_key, keys.body, sealed_key("r0001.node-a.1", shard_id)):
            store.put_bytes(key, b"bytes")
    data = tmp_path / "copy"
    data.hardlink_to(store.local_path(ShardKeys(gone).data_key))  # sees what happens to the bytes
    for _ in range(2):
        destroy_data_key(store, gone)
    assert list(store.iter_keys("shards")) == sorted(
        [ShardKeys(gone).body, ShardKeys(stays).body, ShardKeys(stays).data_key]
    )
    assert list(store.iter_keys("rounds")) == [sealed_key("r0001.node-a.1", stays)]
    assert data.read_bytes() != b"bytes"


def test_a_store_that_refuses_is_said(tmp_path):
    store = FolderStore(tmp_path)
    store.put_bytes("a/b", b"bytes")
    shutil.move(tmp_path / "a" / "b", tmp_path / "moved")
    (tmp_path / "a" / "b").mkdir()
    with pytest.raises(StorageError, match="cannot remove a/b"):
        store.remove("a/b")
