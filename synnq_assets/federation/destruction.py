"""Until when a node has to destroy the shards of its orders, and what it hands over as evidence.

An order's shards are due at the earlier of two times, both from the agreement that it was issued
under: `retention_days` after its issue, `destruction_deadline_days` after the end of the campaign.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from synnq_assets.errors import FederationError, RecordError, TrustError
from synnq_assets.federation.registry import Registry
from synnq_assets.records.base import now_at, sha256_hex
from synnq_assets.records.destruction import CertifiedDestruction, DestructionCertificate
from synnq_assets.records.federation import ParticipationAgreement
from synnq_assets.records.orders import Order
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keys import SigningKey
from synnq_assets.trust.ledger import leave_out

RECEIVED_PREFIX = "registry/certificates"  # envelopes of nodes, as received
CERTIFIED_PREFIX = "registry/destructions"  # what the coordinator says about them
CLOCK_SLACK = timedelta(minutes=10)  # between a node's clock and the coordinator's


@dataclass(frozen=True)
class OverdueAssignment:
    """An order whose shards were to be destroyed, and are not certified."""

    assignment_id: str
    node_id: str
    due_at: datetime
    shard_ids: tuple[str, ...]  # those without a certificate


def find_due_at(
    order: Order, agreement: ParticipationAgreement, *, ended_at: datetime | None = None
) -> datetime:
    """Return when an order's shards have to be destroyed; `ended_at` is the campaign's end."""
    due_at = order.issued_at + timedelta(days=agreement.retention_days)
    if ended_at is None:
        return due_at
    return min(due_at, ended_at + timedelta(days=agreement.destruction_deadline_days))


def list_overdue(
    orders: Iterable[Order],
    agreements: Mapping[str, ParticipationAgreement],
    certificates: Iterable[DestructionCertificate],
    now: datetime,
    *,
    ended_at: datetime | None = None,
) -> list[OverdueAssignment]:
    """Return the orders whose shards should be destroyed by now and are not certified, oldest due.

    Args:
        orders: all that were issued.
        agreements: by digest; orders under other agreements are not judged.
        certificates: that were verified.
        now: the present.
        ended_at: when the campaign ended, if it did.
    """
    certified: dict[str, set[str]] = {}
    for certificate in certificates:
        for assignment_id in certificate.assignment_ids:
            certified.setdefault(assignment_id, set()).update(certificate.shard_ids)
    overdue = []
    for order in orders:
        agreement = agreements.get(order.agreement_sha256)
        if agreement is None:
            continue
        due_at = find_due_at(order, agreement, ended_at=ended_at)
        done = certified.get(order.assignment_id, set())
        left = tuple(shard.shard_id for shard in order.shards if shard.shard_id not in done)
        if left and now > due_at:
            overdue.append(OverdueAssignment(order.assignment_id, order.node_id, due_at, left))
    return sorted(overdue, key=lambda item: (item.due_at, item.assignment_id))


def describe_overdue(overdue: Iterable[OverdueAssignment]) -> dict[str, str]:
    """Return node -> why it gets no order, for the nodes that are late."""
    late: dict[str, list[OverdueAssignment]] = {}
    for item in overdue:
        late.setdefault(item.node_id, []).append(item)
    return {
        node_id: (
            f"owes certificates of destruction for {len(items)} orders (first: "
            f"{items[0].assignment_id}, due {items[0].due_at:%Y-%m-%d}); see `synnq nodes certify`"
        )
        for node_id, items in late.items()
    }


def accept_certificate(
    registry: Registry,
    envelope: bytes,
    orders: Mapping[str, Order],
    signer: SigningKey,
    *,
    at: int,
) -> CertifiedDestruction:
    """Verify a node's certificate, keep it as received, and write down that it counts.

    Given again, the same bytes change nothing.

    Args:
        registry: whose ledger keeps it.
        envelope: as the node signed it.
        orders: all orders that were issued, by assignment id.
        signer: the coordinator.
        at: position of the audit intent.

    Raises:
        FederationError: not signed by the present key of the node that it names, under other terms,
            or about orders or shards that this node never got.
    """
    certificate = _open_certificate(registry, envelope)
    _verify_contents(registry, certificate, orders)
    ledger, node_id, sha256 = registry.ledger, certificate.node_id, sha256_hex(envelope)
    key = f"{CERTIFIED_PREFIX}/{node_id}/{sha256}.json"
    held = ledger.find(key, CertifiedDestruction)
    if held is not None:
        return held
    ledger.store.put_bytes(f"{RECEIVED_PREFIX}/{node_id}/{sha256}.json", envelope)
    record = CertifiedDestruction(certificate=certificate, envelope_sha256=sha256, audit_index=at)
    ledger.put(key, record, signer)
    return record


def _open_certificate(registry: Registry, envelope: bytes) -> DestructionCertificate:
    keyring = registry.ledger.keyring
    try:
        claim = open_envelope(envelope, DestructionCertificate, keyring, roles=("node",))
        return open_envelope(
            envelope, DestructionCertificate, keyring, roles=("node",), identity=claim.node_id
        )
    except (RecordError, TrustError) as error:
        raise FederationError(f"certificate refused: {error}") from error


def _verify_contents(
    registry: Registry, certificate: DestructionCertificate, orders: Mapping[str, Order]
) -> None:
    node = registry.get(certificate.node_id)
    told = f"certificate of {node.node_id} refused"
    had: set[str] = set()
    for assignment_id in certificate.assignment_ids:
        order = orders.get(assignment_id)
        if order is None or order.node_id != node.node_id:
            raise FederationError(f"{told}: it never got the order {assignment_id}")
        if certificate.federation != order.federation:
            raise FederationError(f"{told}: it is about federation {certificate.federation!r}")
        if certificate.agreement_sha256 != order.agreement_sha256:
            raise FederationError(f"{told}: {assignment_id} was issued under another agreement")
        if not order.issued_at <= certificate.destroyed_at <= now_at() + CLOCK_SLACK:
            raise FederationError(
                f"{told}: destroyed_at is before {assignment_id} was issued, or in the future"
            )
        had.update(shard.shard_id for shard in order.shards)
    if foreign := sorted(set(certificate.shard_ids) - had):
        raise FederationError(
            f"{told}: {len(foreign)} of its shards are in none of its orders (first: "
            f"{foreign[0][:12]})"
        )


def list_certificates(registry: Registry) -> list[DestructionCertificate]:
    """Return all certificates that the coordinator took; a damaged record certifies nothing."""
    records = registry.ledger.list_all(CERTIFIED_PREFIX, CertifiedDestruction, skip=leave_out)
    return [record.certificate for record in records]
