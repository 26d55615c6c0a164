"""Destroyed shards and nodes that owe a certificate, in a real home."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from synnq_assets.cli.demo.setup import NODES, RETENTION_DAYS
from synnq_assets.cli.destruction import destroy_keys
from synnq_assets.defs.compute import build_job
from synnq_assets.defs.destruction import block_overdue, destruction_due, find_end
from synnq_assets.defs.federation import (
    ALLOCATION_LOCK,
    decide_allocation,
    issue_orders,
    list_unissued,
    node_profiles,
)
from synnq_assets.defs.operations import reassign
from synnq_assets.errors import AllocationError, SealError, ShardError
from synnq_assets.federation import Registry
from synnq_assets.federation.destruction import accept_certificate
from synnq_assets.records.base import now_at
from synnq_assets.records.destruction import DestructionCertificate
from synnq_assets.settings import load_node_settings
from synnq_assets.shards.shred import Choice
from synnq_assets.shards.verify import read_data_key
from synnq_assets.training.folder import JobFolder
from synnq_assets.training.opening import open_shards
from synnq_assets.trust import SigningKey, sign_record
from synnq_assets.trust.campaign import sealed_key
from synnq_assets_tests.builders import build_checkpoint_record, digest_of
from synnq_assets_tests.defs.by_hand import (
    evaluate,
    publish_shard,
    put_base,
    reopen,
    resources,
    start,
)

ROSTER = tuple(sorted(node.node_id for node in NODES))
LATER = timedelta(days=RETENTION_DAYS, seconds=1)


@pytest.fixture
def home(home):
    start(home)
    for k in range(8):
        publish_shard(home, f"s{k}")
    return home


def open_round_one(home):
    base = put_base(home, nodes=ROSTER)
    with home.lock(ALLOCATION_LOCK):
        issue_orders(home, base, decide_allocation(home, base).assignments)
    return {order.node_id: order for order in home.campaign.list_orders("r0001")}


def shred(home, *ids, **choice):
    chosen = [m for m in home.campaign.list_manifests() if not ids or m.shard_id in ids]
    destroy_keys(home, chosen, Choice(**choice or {"everything": True}))


def events(home, action):
    entries = [entry for _, entry in home.audit.iter_entries() if entry.action == action]
    return [(entry.phase, home.concealer.reveal(entry.subject)) for entry in entries]


# --- sealed for one node


def build_folder(home, order, path):
    """A job folder with the order's own sealed files."""
    (path / "inputs" / "shards").mkdir(parents=True)
    for shard in order.shards:
        sealed = home.store.local_path(sealed_key(order.assignment_id, shard.shard_id))
        target = path / "inputs" / "shards" / f"{shard.shard_id}.sealed"
        target.write_bytes(sealed.read_bytes())
    return JobFolder(path / "order.json")


def node_settings(home, node_id):
    return load_node_settings(home.path / "nodes" / node_id / "node.yaml")


def test_what_is_sealed_for_one_node_does_not_open_at_another(home, tmp_path):
    orders = open_round_one(home)
    north, south = orders["node-north"], orders["node-south"]
    folder = build_folder(home, north, tmp_path / "job")
    with pytest.raises(ShardError, match="does not open with this node's sealing key"):
        open_shards(north, folder, node_settings(home, "node-south"), vocab_size=512)
    # nor with an order of its own that names the other's file and key
    claimed = north.shards[0].model_copy(update={"wrapped_key": south.shards[0].wrapped_key})
    forged = south.model_copy(update={"shards": (claimed,)})
    with pytest.raises(ShardError, match="wrong node, wrong context, or damaged"):
        open_shards(forged, folder, node_settings(home, "node-south"), vocab_size=512)


# --- destroyed at rest


def test_after_shredding_nothing_opens_and_no_order_gets_the_shard(home):
    gone = digest_of("s0"), digest_of("s1")
    shred(home, *gone)
    for shard_id in gone:
        with pytest.raises(SealError, match="was destroyed: its data key is gone for good"):
            read_data_key(home.store, shard_id, home.steward_sealing)
    orders = open_round_one(home)
    given = {shard.shard_id for order in orders.values() for shard in order.shards}
    assert given == {digest_of(f"s{k}") for k in range(2, 8)}
    allocation = home.campaign.find_allocation("r0001")
    assert allocation.left_out == {"data key destroyed": 2}
    assert allocation.num_unallocated == 0
    assert events(home, "destroy_shards") == [("intent", "all"), ("result", "all")]


def test_the_record_of_a_destruction_is_the_steward_s(home):
    shred(home, digest_of("s0"), source="sample-eu")
    own = reopen(home.path)
    envelope = own.store.get_bytes(f"shards/{digest_of('s0')}/destruction.json")
    assert own.steward.key_id.encode() in envelope
    assert events(own, "destroy_shards")[0] == ("intent", "source sample-eu")


def test_a_shredding_that_was_cut_short_is_completed_by_the_next(home):
    home.store.remove(f"shards/{digest_of('s0')}/data_key.txt")
    shred(home)
    first = home.store.get_bytes(f"shards/{digest_of('s0')}/destruction.json")
    shred(home)
    assert home.store.get_bytes(f"shards/{digest_of('s0')}/destruction.json") == first
    assert all(home.campaign.is_destroyed(digest_of(f"s{k}")) for k in range(8))


def test_without_a_sound_shard_there_is_no_round(home):
    shred(home)
    with pytest.raises(AllocationError, match="all 8 shards were destroyed; add a corpus"):
        open_round_one(home)


def test_shards_that_are_destroyed_between_allocation_and_order_are_left_out(home):
    base = put_base(home, nodes=ROSTER)
    promises = decide_allocation(home, base).assignments
    kept, lost = promises["r0001.node-north.1"], promises["r0001.node-south.1"]
    shred(home, kept[0], *lost)
    assert "r0001.node-south.1" not in list_unissued(home, promises)
    issue_orders(home, base, promises)
    orders = {order.node_id: order for order in home.campaign.list_orders("r0001")}
    assert {shard.shard_id for shard in orders["node-north"].shards} == set(kept[1:])
    assert "node-south" not in orders


def test_an_order_that_was_not_delivered_is_not_any_more_and_its_sound_shards_go_on(home):
    order = open_round_one(home)["node-south"]
    home.store.put_bytes(
        f"checkpoints/{order.base.checkpoint_sha256}/{order.base.files[0].name}", b"bytes"
    )
    gone, sound = (shard.shard_id for shard in order.shards)
    shred(home, gone)
    assert not home.store.has(sealed_key(order.assignment_id, gone))
    with pytest.raises(SealError, match=r"cannot be delivered: shard .* was destroyed; reassign"):
        build_job(home, order)
    loss = reassign(home, order, "shard destroyed")
    assert [shard for shards in loss.replacements.values() for shard in shards] == [sound]


# --- owed by nodes


def test_the_demo_s_terms_block_nobody_for_years(home):
    open_round_one(home)
    assert block_overdue(home) == {}
    assert block_overdue(home, now=now_at() + timedelta(days=RETENTION_DAYS - 1)) == {}


def test_a_node_that_owes_a_certificate_gets_no_order_and_is_noted_once(home, monkeypatch):
    order = open_round_one(home)["node-south"]
    blocked = block_overdue(home, now=now_at() + LATER)
    assert set(blocked) == set(ROSTER)
    assert blocked["node-south"].startswith("owes certificates of destruction for 1 orders")
    block_overdue(reopen(home.path), now=now_at() + LATER)
    noted = events(home, "destruction_overdue")
    assert sorted(noted) == [("event", f"r0001.{node}.1") for node in ROSTER]
    for node in ROSTER:
        if node != "node-south":
            certify(home, home.campaign.get_order(f"r0001.{node}.1"))
    later = now_at() + LATER
    monkeypatch.setattr("synnq_assets.defs.destruction.now_at", lambda: later)
    for k in range(8, 12):
        publish_shard(home, f"s{k}")
    base = put_base(home, "r0002", nodes=ROSTER)
    allocation = decide_allocation(home, base)
    assert allocation.excluded == {"node-south": blocked["node-south"]}
    assert order.node_id not in {row.node_id for row in allocation.nodes}


def certify(home, order, signer=None):
    certificate = DestructionCertificate(
        federation=order.federation,
        node_id=order.node_id,
        agreement_sha256=order.agreement_sha256,
        assignment_ids=(order.assignment_id,),
        shard_ids=tuple(shard.shard_id for shard in order.shards),
        method="overwritten-and-removed",
        destroyed_at=now_at(),
    )
    key = SigningKey.read(home.path / "nodes" / order.node_id / "keys" / "signing.pem")
    orders = {o.assignment_id: o for o in home.campaign.list_orders("r0001")}
    return accept_certificate(
        Registry(home.ledger),
        sign_record(certificate, key),
        orders,
        home.coordinator,
        at=home.audit.size(),
    )


def test_a_node_whose_agreement_cannot_be_read_gets_no_order(home):
    path: Path = home.store.root / "registry/applications/node-east.json"
    path.chmod(0o600)
    path.write_bytes(b"{}")
    assert block_overdue(home) == {"node-east": "the agreement of node-east cannot be read"}


def test_the_page_of_the_nodes_shows_who_is_blocked_and_a_check_fails(home, instance, monkeypatch):
    open_round_one(home)
    later = now_at() + LATER
    for node in ROSTER[1:]:
        certify(home, home.campaign.get_order(f"r0001.{node}.1"))
    for moment, passed in ((now_at(), True), (later, False)):
        monkeypatch.setattr("synnq_assets.defs.destruction.now_at", lambda at=moment: at)
        result = dg.materialize(
            [node_profiles, destruction_due], instance=instance, resources=resources(home)
        )
        (check,) = result.get_asset_check_evaluations()
        assert (check.check_name, check.passed) == ("destruction_due", passed)
        (shown,) = result.asset_materializations_for_node("node_profiles")
        table = shown.metadata["nodes"].value
        assert ("owes certificates of destruction" in table) is not passed


def test_the_campaign_ends_when_its_last_round_was_judged(home):
    for number in range(1, home.settings.recipe.rounds.num_rounds + 1):
        assert find_end(home) is None
        base = put_base(home, f"r{number:04d}", nodes=ROSTER)
        parent = home.campaign.find_checkpoint(base.parent_round)
        record = build_checkpoint_record(base.round, parent)
        home.campaign.put_checkpoint(record, home.coordinator)
        assert find_end(home) is None
        evaluate(home, base.round)
    assert find_end(home) == home.campaign.find_evaluation(base.round).evaluated_at
