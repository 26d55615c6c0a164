"""When shards are due, what counts as a certificate, and what a node does to earn one."""

from datetime import timedelta
from pathlib import Path

import pytest

from synnq_assets.errors import FederationError
from synnq_assets.federation import NodeIdentity, Registry, create_node
from synnq_assets.federation.destruction import (
    accept_certificate,
    describe_overdue,
    find_due_at,
    list_certificates,
    list_overdue,
)
from synnq_assets.federation.erasing import destroy_shards
from synnq_assets.records.base import now_at
from synnq_assets.records.destruction import DestructionCertificate
from synnq_assets.records.jobs import Progress
from synnq_assets.records.orders import Order, OrderShard
from synnq_assets.storage import FolderStore
from synnq_assets.trust import SigningKey, sign_record
from synnq_assets.trust.envelopes import peek_record
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.ledger import Ledger
from synnq_assets_tests.builders import (
    build_agreement,
    build_checkpoint_ref,
    build_profile,
    build_segment,
    digest_of,
)

FEDERATION = "synnq-test"
ISSUED = now_at() - timedelta(days=2)
COORDINATOR = SigningKey.generate()


def build_order(node="node-a", attempt=1, names=("s1", "s2"), **changes):
    agreement = build_agreement(node)
    values = dict(
        federation=FEDERATION,
        round="r0001",
        assignment_id=f"r0001.{node}.{attempt}",
        node_id=node,
        agreement_sha256=agreement.digest(),
        base=build_checkpoint_ref(),
        shards=tuple(
            OrderShard(
                shard_id=digest_of(name),
                cell="de.health",
                num_tokens=10,
                ciphertext_sha256=digest_of("c"),
                ciphertext_bytes=10,
                plaintext_commitment=digest_of("p"),
                wrapped_key="QUJD",
            )
            for name in names
        ),
        tokenizer_sha256=digest_of("t"),
        recipe_sha256=digest_of("r"),
        epochs=1,
        lr=build_segment(),
        optimizer_state="reset",
        seed=0,
        image_sha256=None,
        issued_at=ISSUED,
        deadline_at=ISSUED + timedelta(hours=1),
        nonce=digest_of("n"),
    )
    return Order(**{**values, **changes})


def build_certificate(order, **changes):
    values = dict(
        federation=FEDERATION,
        node_id=order.node_id,
        agreement_sha256=order.agreement_sha256,
        assignment_ids=(order.assignment_id,),
        shard_ids=tuple(shard.shard_id for shard in order.shards),
        method="overwritten-and-removed",
        destroyed_at=now_at(),
    )
    return DestructionCertificate(**{**values, **changes})


# --- when


def test_shards_are_due_after_the_retention_and_sooner_when_the_campaign_ends():
    order, agreement = build_order(), build_agreement().model_copy(update={"retention_days": 30})
    assert find_due_at(order, agreement) == ISSUED + timedelta(days=30)
    ended = ISSUED + timedelta(days=5)
    assert find_due_at(order, agreement, ended_at=ended) == ended + timedelta(days=1)
    late = ISSUED + timedelta(days=90)
    assert find_due_at(order, agreement, ended_at=late) == ISSUED + timedelta(days=30)


def test_an_order_is_overdue_one_moment_after_it_was_due():
    order, agreement = build_order(), build_agreement()
    agreements = {agreement.digest(): agreement}
    due = ISSUED + timedelta(days=1)
    assert list_overdue([order], agreements, [], due) == []
    (item,) = list_overdue([order], agreements, [], due + timedelta(microseconds=1))
    assert (item.assignment_id, item.due_at, len(item.shard_ids)) == ("r0001.node-a.1", due, 2)


def test_a_certificate_ends_it_for_exactly_its_orders_and_shards():
    first, second = build_order(), build_order(attempt=2, names=("s3",))
    agreements = {first.agreement_sha256: build_agreement()}
    half = build_certificate(first, shard_ids=(digest_of("s1"),))
    overdue = list_overdue([second, first], agreements, [half], now_at())
    left = {item.assignment_id: item.shard_ids for item in overdue}
    assert left == {
        "r0001.node-a.1": (digest_of("s2"),),
        "r0001.node-a.2": (digest_of("s3"),),
    }
    whole = build_certificate(first)
    (item,) = list_overdue([second, first], agreements, [half, whole], now_at())
    assert item.assignment_id == "r0001.node-a.2"
    # the shards alone do not do: the certificate names its orders
    other = build_certificate(first, shard_ids=(digest_of("s3"),))
    assert len(list_overdue([second], agreements, [other], now_at())) == 1


def test_orders_of_other_agreements_are_not_judged():
    assert list_overdue([build_order()], {}, [], now_at()) == []


def test_the_reason_names_the_number_and_the_first_order():
    orders = [build_order(attempt=2, issued_at=now_at()), build_order()]
    agreements = {orders[0].agreement_sha256: build_agreement()}
    overdue = list_overdue(orders, agreements, [], now_at() + timedelta(days=9))
    assert describe_overdue(overdue)["node-a"].startswith(
        "owes certificates of destruction for 2 orders (first: r0001.node-a.1, due 20"
    )


# --- the coordinator's side


@pytest.fixture
def registry(tmp_path):
    ring = Keyring.with_root(FEDERATION, COORDINATOR.public_key)
    return Registry(Ledger(FolderStore(tmp_path / "store"), ring))


def enrol(registry, folder, node="node-a"):
    application = create_node(
        folder / node,
        NodeIdentity(node, FEDERATION, "A", COORDINATOR.public_key),
        profile=build_profile(node),
        agreement=build_agreement(node),
    )
    registry.enrol(application, COORDINATOR, at=1)
    return SigningKey.read(folder / node / "keys" / "signing.pem")


def accept(registry, envelope, *orders):
    issued = {order.assignment_id: order for order in orders}
    return accept_certificate(registry, envelope, issued, COORDINATOR, at=7)


def test_a_certificate_counts_once_and_is_kept_as_received(registry, tmp_path):
    key, order = enrol(registry, tmp_path), build_order()
    envelope = sign_record(build_certificate(order), key)
    record = accept(registry, envelope, order)
    assert accept(registry, envelope, order) == record
    assert list_certificates(registry) == [record.certificate]
    held = registry.ledger.store.get_bytes(
        f"registry/certificates/node-a/{record.envelope_sha256}.json"
    )
    assert held == envelope


def test_a_certificate_by_another_node_is_refused(registry, tmp_path):
    enrol(registry, tmp_path)
    other = enrol(registry, tmp_path, "node-b")
    order = build_order()
    with pytest.raises(FederationError, match=r"signed by 'node-b', but it claims to be 'node-a'"):
        accept(registry, sign_record(build_certificate(order), other), order)
    with pytest.raises(FederationError, match="it never got the order r0001.node-a.1"):
        claim = build_certificate(order, node_id="node-b")
        accept(registry, sign_record(claim, other), order)
    assert list_certificates(registry) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shard_ids": (digest_of("s1"), digest_of("s9"))}, "1 of its shards are in none of its"),
        ({"assignment_ids": ("r0001.node-a.2",)}, "never got the order r0001.node-a.2"),
        ({"federation": "synnq-other"}, "about federation 'synnq-other'"),
        ({"agreement_sha256": digest_of("x")}, "issued under another agreement"),
        ({"destroyed_at": ISSUED - timedelta(seconds=1)}, "before r0001.node-a.1 was issued"),
        ({"destroyed_at": now_at() + timedelta(days=1)}, "or in the future"),
    ],
)
def test_a_certificate_about_anything_else_is_refused(registry, tmp_path, changes, reason):
    key, order = enrol(registry, tmp_path), build_order()
    with pytest.raises(FederationError, match=reason):
        accept(registry, sign_record(build_certificate(order, **changes), key), order)
    assert list_certificates(registry) == []


def test_a_suspended_node_s_certificate_does_not_count(registry, tmp_path):
    key, order = enrol(registry, tmp_path), build_order()
    registry.set_status("node-a", "suspended", COORDINATOR, at=2)
    with pytest.raises(FederationError, match="suspended or revoked"):
        accept(registry, sign_record(build_certificate(order), key), order)


# --- the node's side


def write_job(jobs: Path, order, phase="done"):
    job = jobs / order.assignment_id
    for name in ("inputs/shards", "work/step-3", "submission"):
        (job / name).mkdir(parents=True)
    (job / "order.json").write_bytes(sign_record(order, COORDINATOR))
    for shard in order.shards:
        (job / "inputs/shards" / f"{shard.shard_id}.sealed").write_bytes(b"sealed")
    (job / "work/step-3/model.safetensors").write_bytes(b"weights")
    (job / "submission/submission.json").write_bytes(b"{}")
    progress = Progress(
        assignment_id=order.assignment_id,
        phase=phase,
        step=1,
        num_steps=1,
        loss=None,
        tokens_per_second=None,
        failure=None,
        reported_at=now_at(),
    )
    (job / "progress.json").write_bytes(progress.canonical_bytes())
    return job


def list_left(job):
    return sorted(str(path.relative_to(job)) for path in job.rglob("*") if path.is_file())


def test_a_node_destroys_what_ended_and_its_certificate_is_accepted(registry, tmp_path):
    enrol(registry, tmp_path)
    ended, running = build_order(), build_order(attempt=2, names=("s3",))
    job = write_job(tmp_path / "jobs", ended)
    busy = write_job(tmp_path / "jobs", running, phase="training")
    write_job(tmp_path / "jobs", build_order("node-b"))  # another node's, on the same machine
    done = destroy_shards(tmp_path / "node-a", tmp_path / "jobs")
    assert (done.assignment_ids, done.unfinished) == (("r0001.node-a.1",), ("r0001.node-a.2",))
    assert list_left(job) == ["order.json", "progress.json", "submission/submission.json"]
    assert len(list_left(busy)) == 5
    record = accept(registry, done.envelope, ended, running)
    assert set(record.certificate.shard_ids) == {shard.shard_id for shard in ended.shards}


def test_an_order_that_is_named_goes_whether_it_ended_or_not_and_twice(registry, tmp_path):
    enrol(registry, tmp_path)
    order = build_order()
    write_job(tmp_path / "jobs", order, phase="training")
    for _ in range(2):
        done = destroy_shards(tmp_path / "node-a", tmp_path / "jobs", [order.assignment_id])
        claim = peek_record(done.envelope, DestructionCertificate)
        assert claim.assignment_ids == (order.assignment_id,)


def test_what_a_link_points_to_is_left_alone(registry, tmp_path):
    enrol(registry, tmp_path)
    job = write_job(tmp_path / "jobs", build_order())
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "file").write_bytes(b"not a shard")
    (job / "work" / "link").symlink_to(outside)
    (job / "work" / "file").symlink_to(outside / "file")
    destroy_shards(tmp_path / "node-a", tmp_path / "jobs")
    assert (outside / "file").read_bytes() == b"not a shard"
    assert list((job / "work").iterdir()) == []


def test_nothing_to_destroy_is_said(registry, tmp_path):
    enrol(registry, tmp_path)
    with pytest.raises(FederationError, match="has no job of node-a that ended"):
        destroy_shards(tmp_path / "node-a", tmp_path / "jobs")
    with pytest.raises(FederationError, match="has no job folder of r0009.node-a.1"):
        destroy_shards(tmp_path / "node-a", tmp_path / "jobs", ["r0009.node-a.1"])
    (tmp_path / "jobs" / "x").mkdir(parents=True)
    (tmp_path / "jobs" / "x" / "order.json").write_bytes(b"{}")
    with pytest.raises(FederationError, match="is no order"):
        destroy_shards(tmp_path / "node-a", tmp_path / "jobs")
