import dataclasses
import shutil

import numpy as np
import pytest

from synnq_assets.errors import SealError, ShardError, SignatureError
from synnq_assets.records.shards import ShardManifest
from synnq_assets.shards import (
    Steward,
    list_shards,
    plan_shards,
    verify_shard,
)
from synnq_assets.shards.seal import ShardKeys, body_context
from synnq_assets.shards.tokenizer import load_tokenizer
from synnq_assets.storage import FolderStore, hash_file
from synnq_assets.trust.envelopes import open_envelope, sign_record
from synnq_assets.trust.keys import SigningKey
from synnq_assets.trust.sealing import (
    CHUNK_BYTES,
    HEAD_BYTES,
    TAG_BYTES,
    open_sealed,
    seal_bytes,
)

from .campaign import SETTINGS, build_campaign, build_rows
from .synthetic import build_document, write_documents

CELL = "de.law"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return build_campaign(tmp_path_factory.mktemp("campaign"))


@pytest.fixture(scope="module")
def sealed_root(campaign, tmp_path_factory):
    root = tmp_path_factory.mktemp("sealed")
    for cell in campaign.plan.cells:
        campaign.seal(FolderStore(root), cell)
    return root


@pytest.fixture
def store(sealed_root, tmp_path):
    # without the blobs' modes, so that a test can damage them
    shutil.copytree(sealed_root, tmp_path / "store", copy_function=shutil.copyfile)
    return FolderStore(tmp_path / "store")


def read_all(store):
    return {key: store.get_bytes(key) for key in store.iter_keys("shards")}


def first_shard(campaign):
    return campaign.plan.cells[CELL][0].shard_id


def verify(campaign, store, shard_id):
    return verify_shard(store, shard_id, campaign.keyring, campaign.steward.sealing)


def test_every_shard_verifies_and_decodes_to_its_documents(campaign, store):
    tokenizer = load_tokenizer(campaign.tokenizer)
    texts = {row["doc_id"]: row["text"] for row in build_rows()}
    parts = {}
    for shards in campaign.plan.cells.values():
        for planned in shards:
            shard = verify(campaign, store, planned.shard_id)
            assert shard.tokens.dtype == np.uint16
            assert shard.num_tokens == planned.num_tokens
            for k, document in enumerate(planned.documents):
                tokens = shard.tokens[shard.offsets[k] : shard.offsets[k + 1]]
                assert tokens[-1] == 0
                parts[document.doc_id, document.part] = tokens[:-1].tolist()
    documents = {}
    for (doc_id, _), ids in sorted(parts.items()):
        documents.setdefault(doc_id, []).extend(ids)
    held = {doc_id for ids in campaign.plan.holdout.values() for doc_id in ids}
    assert set(documents) == set(texts) - held
    assert all(tokenizer.decode(ids) == texts[doc_id] for doc_id, ids in documents.items())


def test_manifests_say_what_the_plan_says(campaign, store):
    for planned, manifest in zip(
        campaign.plan.cells["mul.mixed"], campaign.seal(store, "mul.mixed"), strict=True
    ):
        assert (manifest.shard_id, manifest.cell) == (planned.shard_id, "mul.mixed")
        assert (manifest.language, manifest.domain) == ("mul", "mixed")
        assert manifest.num_documents == len(planned.documents)
        assert sum(manifest.licences.values()) == sum(manifest.sources.values())
        assert sum(manifest.licences.values()) == manifest.num_documents
        assert 0 < manifest.complexity < 1
        body = store.local_path(ShardKeys(planned.shard_id).body)
        assert (manifest.ciphertext_sha256, manifest.ciphertext_bytes) == hash_file(body)
    assert list_shards(store) == {
        cell: tuple(sorted(shard.shard_id for shard in shards))
        for cell, shards in campaign.plan.cells.items()
    }


def test_no_token_lies_in_the_clear(campaign, store):
    for planned in campaign.plan.cells[CELL]:
        shard = verify(campaign, store, planned.shard_id)
        run = shard.tokens[:16].tobytes()
        keys = ShardKeys(planned.shard_id)
        assert all(run not in store.get_bytes(key) for key in (keys.body, keys.manifest))


def test_sealing_again_changes_nothing(campaign, store):
    before = read_all(store)
    first = campaign.seal(store, CELL)
    assert campaign.seal(store, CELL) == first
    assert read_all(store) == before


@pytest.mark.parametrize(
    "killed_before",
    [
        ["data_key.txt", "shard.sealed", "manifest.json"],
        ["shard.sealed", "manifest.json"],
        ["manifest.json"],
        [],
    ],
)
def test_an_interrupted_cell_is_completed_and_what_stands_is_kept(campaign, store, killed_before):
    shard_id = campaign.plan.cells[CELL][-1].shard_id
    store.local_path(f"shards/lineage/{CELL}.parquet").unlink()
    for name in killed_before:
        store.local_path(f"shards/{shard_id}/{name}").unlink()
    standing = read_all(store)
    campaign.seal(store, CELL)
    after = read_all(store)
    assert {key: after[key] for key in standing} == standing
    assert f"shards/lineage/{CELL}.parquet" in after
    verify(campaign, store, shard_id)


def test_a_body_left_by_another_key_is_refused_not_overwritten(campaign, store, tmp_path):
    keys = ShardKeys(first_shard(campaign))
    store.local_path(f"shards/lineage/{CELL}.parquet").unlink()
    store.local_path(keys.manifest).unlink()
    seal_bytes(b"other", b"k" * 32, body_context(keys.shard_id), store.local_path(keys.body))
    before = store.get_bytes(keys.body)
    with pytest.raises(SealError, match="damaged, cut, or sealed under another key"):
        campaign.seal(store, CELL)
    assert store.get_bytes(keys.body) == before
    assert not store.has(keys.manifest)


def test_a_flipped_byte_is_noticed(campaign, store):
    path = store.local_path(ShardKeys(first_shard(campaign)).body)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(SealError, match="not what the steward signed: damaged, cut or exchanged"):
        verify(campaign, store, first_shard(campaign))


def resign(campaign, store, standing_id, **changes):
    """Sign a manifest with other content, as a steward might whose key was stolen."""
    keys = ShardKeys(standing_id)
    manifest = open_envelope(
        store.get_bytes(keys.manifest),
        ShardManifest,
        campaign.keyring,
        roles=("steward",),
    )
    sha256, num_bytes = hash_file(store.local_path(keys.body))
    values = {"ciphertext_sha256": sha256, "ciphertext_bytes": num_bytes} | changes
    changed = manifest.model_copy(update=values)
    store.local_path(keys.manifest).write_bytes(sign_record(changed, campaign.steward.signing))


def test_damage_is_noticed_even_under_a_manifest_that_vouches_for_it(campaign, store):
    shard_id = first_shard(campaign)
    path = store.local_path(ShardKeys(shard_id).body)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    resign(campaign, store, shard_id)
    with pytest.raises(SealError, match="damaged, cut, or sealed under another key"):
        verify(campaign, store, shard_id)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"plaintext_commitment": "0" * 64}, SealError, "not what its manifest commits to"),
        ({"num_tokens": 7}, ShardError, "not what its manifest describes"),
        ({"shard_id": "0" * 64}, ShardError, "is the manifest of 000000000000"),
    ],
)
def test_a_manifest_that_lies_is_noticed(campaign, store, changes, error, message):
    resign(campaign, store, first_shard(campaign), **changes)
    with pytest.raises(error, match=message):
        verify(campaign, store, first_shard(campaign))


def test_a_manifest_signed_by_a_stranger_or_in_another_role_is_refused(campaign, store):
    stranger = Steward(SigningKey.generate(), campaign.steward.sealing)
    with pytest.raises(SignatureError, match="unknown key"):
        campaign.seal(store, CELL, steward=stranger)
    entry = next(iter(campaign.keyring.entries.values()))
    ring = type(campaign.keyring)()
    ring.add(dataclasses.replace(entry, role="node"))
    with pytest.raises(SignatureError, match="signed by a node key; expected steward"):
        verify_shard(store, first_shard(campaign), ring, campaign.steward.sealing)


def test_content_under_a_foreign_lineage_does_not_recompute(campaign, store):
    path = store.local_path(f"shards/lineage/{CELL}.parquet")
    path.write_bytes(store.get_bytes("shards/lineage/fi.law.parquet"))
    with pytest.raises(ShardError, match=r"lineage of de\.law does not match"):
        verify(campaign, store, first_shard(campaign))


def test_a_shard_cut_at_a_chunk_boundary_is_noticed(campaign, tmp_path):
    data_key, context = b"k" * 32, body_context("0" * 64)
    path = tmp_path / "shard.sealed"
    seal_bytes(b"t" * (2 * CHUNK_BYTES + 100), data_key, context, path)
    whole = path.read_bytes()
    for num_chunks in (1, 2):
        path.write_bytes(whole[: HEAD_BYTES + num_chunks * (CHUNK_BYTES + TAG_BYTES)])
        with pytest.raises(SealError, match="damaged, cut, or sealed under another key"):
            open_sealed(path, data_key, context)


def test_shards_have_keys_of_their_own(campaign, store):
    first, second = (shard.shard_id for shard in campaign.plan.cells[CELL][:2])
    shutil.copy(
        store.local_path(ShardKeys(first).data_key), store.local_path(ShardKeys(second).data_key)
    )
    with pytest.raises(SealError, match="does not unwrap"):
        verify(campaign, store, second)


def test_text_that_is_no_shard_id_never_becomes_a_path(campaign, store):
    with pytest.raises(ShardError, match="not a shard id"):
        verify(campaign, store, "../lineage")


def test_other_documents_tokenizer_cell_or_plan_are_refused(campaign, store, tmp_path):
    empty = FolderStore(tmp_path / "empty")
    with pytest.raises(ShardError, match=r"the plan has no cell 'xx\.law'"):
        campaign.seal(empty, "xx.law")
    with pytest.raises(ShardError, match="no longer in the corpus"):
        campaign.seal(empty, CELL, documents=campaign.documents[:1])
    changed = tmp_path / "tokenizer.json"
    changed.write_bytes(campaign.tokenizer.read_bytes() + b"\n")
    with pytest.raises(ShardError, match="is not the tokenizer of the plan"):
        campaign.seal(empty, CELL, tokenizer=changed)
    settings = SETTINGS.model_copy(update={"target_tokens": 1_500})
    other = plan_shards(campaign.documents, campaign.tokenizer, settings)
    with pytest.raises(ShardError, match=r"raise the recipe's shards\.generation"):
        campaign.seal(store, CELL, plan=other)


def test_a_text_that_changed_under_its_id_is_refused(campaign, tmp_path):
    rows = [row | {"text": str(row["text"]) + "!"} for row in build_rows()]
    path = write_documents(tmp_path / "d.parquet", rows)
    with pytest.raises(ShardError, match="changed since they were planned"):
        campaign.seal(FolderStore(tmp_path / "s"), CELL, documents=[path])


def test_a_second_generation_is_added_beside_the_first(campaign, store, tmp_path):
    row = build_document("de", "law", "Ein neues Gesetz. " * 20)
    path = write_documents(tmp_path / "new.parquet", [row])
    settings = SETTINGS.model_copy(update={"generation": 2, "holdout_share": 0.0})
    plan = plan_shards([path], campaign.tokenizer, settings)
    before = read_all(store)
    (manifest,) = campaign.seal(store, "mul.mixed", plan=plan, documents=[path])
    verify(campaign, store, manifest.shard_id)
    after = read_all(store)
    assert {key: after[key] for key in before} == before
    assert manifest.shard_id in list_shards(store)["mul.mixed"]
