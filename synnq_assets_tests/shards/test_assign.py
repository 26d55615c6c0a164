"""A shard sealed once more: for one order of one node, whatever a crash left behind."""

import pytest

from synnq_assets.errors import SealError
from synnq_assets.records.shards import ShardManifest
from synnq_assets.shards import Recipient, forget_data_keys, remove_sealed, seal_for_order
from synnq_assets.shards.seal import ShardKeys, body_context
from synnq_assets.storage import FolderStore, decode_tokens, hash_file
from synnq_assets.trust.campaign import sealed_folder, sealed_key
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keys import SealingKey
from synnq_assets.trust.sealing import (
    build_shard_context,
    commit_plaintext,
    open_sealed,
    seal_bytes,
    unwrap_data_key,
    wrap_data_key,
)

from .campaign import build_campaign

CELL = "de.law"
NODE, OTHER = SealingKey.generate(), SealingKey.generate()
ORDER = Recipient("synnq-test", "r0001.node-a.1", "node-a", NODE.public_key)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return build_campaign(tmp_path_factory.mktemp("campaign"))


@pytest.fixture
def store(campaign, tmp_path):
    store = FolderStore(tmp_path / "store")
    campaign.seal(store, CELL)
    return store


@pytest.fixture
def manifest(campaign, store):
    shard_id = campaign.plan.cells[CELL][0].shard_id
    data = store.get_bytes(ShardKeys(shard_id).manifest)
    return open_envelope(data, ShardManifest, campaign.keyring, roles=("steward",))


def context_of(manifest, order=ORDER):
    return build_shard_context(
        order.federation, manifest.shard_id, order.assignment_id, order.node_id
    )


def open_for(store, manifest, shard, key, order=ORDER):
    data_key = unwrap_data_key(shard.wrapped_key, key, context_of(manifest, order))
    path = store.local_path(sealed_key(order.assignment_id, manifest.shard_id))
    return open_sealed(path, data_key, context_of(manifest, order)), data_key


def test_the_receiving_node_opens_what_its_order_says(campaign, store, manifest):
    shard = seal_for_order(store, manifest, campaign.steward.sealing, ORDER)
    plaintext, data_key = open_for(store, manifest, shard, NODE)
    path = store.local_path(sealed_key(ORDER.assignment_id, manifest.shard_id))
    assert hash_file(path) == (shard.ciphertext_sha256, shard.ciphertext_bytes)
    assert shard.plaintext_commitment == commit_plaintext(data_key, plaintext)
    assert decode_tokens(plaintext, vocab_size=600).num_tokens == manifest.num_tokens
    assert shard.ciphertext_sha256 != manifest.ciphertext_sha256
    assert shard.plaintext_commitment != manifest.plaintext_commitment
    with pytest.raises(SealError, match="does not unwrap: wrong node, wrong context, or damaged"):
        open_for(store, manifest, shard, OTHER)


def test_what_was_sealed_for_one_node_does_not_open_for_another(campaign, store, manifest):
    theirs = Recipient("synnq-test", "r0001.node-b.1", "node-b", OTHER.public_key)
    steward = campaign.steward.sealing
    own = seal_for_order(store, manifest, steward, ORDER)
    other = seal_for_order(store, manifest, steward, theirs)
    assert own.ciphertext_sha256 != other.ciphertext_sha256
    path = store.local_path(sealed_key(ORDER.assignment_id, manifest.shard_id))
    _, other_key = open_for(store, manifest, other, OTHER, theirs)
    for context in (context_of(manifest), context_of(manifest, theirs)):
        with pytest.raises(SealError, match="sealed under another key or context"):
            open_sealed(path, other_key, context)


def test_the_same_file_follows_after_a_crash_at_any_point(campaign, store, manifest):
    steward, folder = campaign.steward.sealing, sealed_folder(ORDER.assignment_id)
    first = seal_for_order(store, manifest, steward, ORDER)
    again = seal_for_order(store, manifest, steward, ORDER)
    kept = {"wrapped_key"}  # HPKE makes another encapsulation of the same key
    assert first.model_dump(exclude=kept) == again.model_dump(exclude=kept)
    assert open_for(store, manifest, first, NODE) == open_for(store, manifest, again, NODE)
    store.remove(sealed_key(ORDER.assignment_id, manifest.shard_id))
    assert [key.rsplit(".", 2)[1:] for key in store.iter_keys(folder)] == [["key", "txt"]]
    anew = seal_for_order(store, manifest, steward, ORDER)
    plaintext, data_key = open_for(store, manifest, anew, NODE)
    assert anew.plaintext_commitment == first.plaintext_commitment
    assert commit_plaintext(data_key, plaintext) == first.plaintext_commitment


def test_the_steward_keeps_no_data_key_once_the_order_stands(campaign, store, manifest):
    seal_for_order(store, manifest, campaign.steward.sealing, ORDER)
    forget_data_keys(store, ORDER.assignment_id)
    keys = list(store.iter_keys(sealed_folder(ORDER.assignment_id)))
    assert keys == [sealed_key(ORDER.assignment_id, manifest.shard_id)]
    assert remove_sealed(store, ORDER.assignment_id) == 1
    assert remove_sealed(store, ORDER.assignment_id) == 0


def test_what_stands_and_is_damaged_is_never_handed_out(campaign, store, manifest):
    seal_for_order(store, manifest, campaign.steward.sealing, ORDER)
    path = store.local_path(sealed_key(ORDER.assignment_id, manifest.shard_id))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SealError, match="damaged, cut"):
        seal_for_order(store, manifest, campaign.steward.sealing, ORDER)


def test_a_body_that_its_steward_did_not_commit_to_is_not_handed_on(campaign, store, manifest):
    keys, key = ShardKeys(manifest.shard_id), b"k" * 32
    for name in (keys.body, keys.data_key):
        store.remove(name)
    wrapped = wrap_data_key(
        key, campaign.steward.sealing.public_key, b"steward\0" + manifest.shard_id.encode()
    )
    store.put_bytes(keys.data_key, wrapped.encode())
    body = store.reserve(keys.body)
    seal_bytes(b"other tokens", key, body_context(manifest.shard_id), body)
    store.put_file(keys.body, body)
    with pytest.raises(SealError, match="is not what its manifest commits to"):
        seal_for_order(store, manifest, campaign.steward.sealing, ORDER)
    assert not store.has(sealed_key(ORDER.assignment_id, manifest.shard_id))


def test_another_steward_s_key_seals_nothing(store, manifest):
    with pytest.raises(SealError, match="does not unwrap"):
        seal_for_order(store, manifest, OTHER, ORDER)
