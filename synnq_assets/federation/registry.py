"""Who takes part, as the coordinator writes it down: one version of a record for each change.

Each version names the audit intent that it was made under (`at`), and all of them together say when
which key counts: trust/registry/validity.py. What is written here is published by
trust/registry/publishing.py.
"""

from typing import Any, Literal, TypeVar

from synnq_assets.errors import EnrolmentError, RecordError, SynnqError, TrustError
from synnq_assets.federation.enrolment import KeyRotation, NodeApplication
from synnq_assets.records.base import Record, now_at, sha256_hex
from synnq_assets.records.federation import (
    KeyGrant,
    NodeProfile,
    NodeRecord,
    ParticipationAgreement,
    Role,
)
from synnq_assets.records.identifiers import parse_node_id
from synnq_assets.trust.envelopes import open_envelope, peek_record
from synnq_assets.trust.keyring import KeyEntry, Keyring
from synnq_assets.trust.keys import SigningKey, build_key_id, load_sealing_public_key
from synnq_assets.trust.ledger import Ledger, Skip, leave_out, skipping
from synnq_assets.trust.registry.targets import (
    GRANT_PREFIX,
    NODE_PREFIX,
    iter_histories,
    list_version_keys,
)
from synnq_assets.trust.registry.validity import trust_node

PROFILE_PREFIX = "registry/profiles"
ROTATION_PREFIX = "registry/rotations"

R = TypeVar("R", bound=Record)


class Registry:
    """Enrolled nodes and granted keys, as signed records in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        """Read and write through `ledger`."""
        self.ledger = ledger

    def grant_key(
        self, identity: str, role: Role, public_key: str, signer: SigningKey, *, at: int
    ) -> None:
        """Let a key sign in a role; the coordinator's signature makes it so."""
        grant = KeyGrant(
            identity=parse_node_id(identity),
            role=role,
            public_key=public_key,
            granted_at=now_at(),
            audit_index=at,
        )
        self.ledger.put(f"{GRANT_PREFIX}/{identity}.json", grant, signer)
        self.ledger.keyring.add_grant(grant)

    def enrol(
        self, application: bytes, signer: SigningKey, *, at: int, weight_cap: float = 1.0
    ) -> NodeRecord:
        """Enrol a node from its signed application.

        Args:
            application: as the node signed it.
            signer: the coordinator.
            at: position of the audit intent; the node's key counts from there on.
            weight_cap: largest share of a round's weights that the node may have.

        Raises:
            EnrolmentError: not signed by its own key, ids disagree, an unsafe key, the key of
                somebody else, or the node is enrolled already.
        """
        claim = self._read_application(application)
        if self.find(claim.node_id) is not None:
            raise EnrolmentError(f"node {claim.node_id} is enrolled already; see `synnq nodes`")
        self._refuse_known_key(claim.signing_public_key)
        self.ledger.store.put_bytes(f"registry/applications/{claim.node_id}.json", application)
        record = NodeRecord(
            node_id=claim.node_id,
            organisation=claim.organisation,
            signing_public_key=claim.signing_public_key,
            sealing_public_key=claim.sealing_public_key,
            profile=claim.profile,
            agreement_sha256=claim.agreement.digest(),
            status="active",
            enrolled_at=now_at(),
            weight_cap=weight_cap,
        )
        return self._put_version(record, signer, at=at)

    def _refuse_known_key(self, public_key: str) -> None:
        """A key that anybody ever had says nothing about who signed with it before."""
        held = self.ledger.keyring.entries.get(build_key_id(public_key))
        if held is not None:
            raise EnrolmentError(
                f"this signing key is or was the {held.role} key of {held.identity}; every party "
                "needs a key of its own, never used before"
            )

    def _put_version(
        self, held: NodeRecord, signer: SigningKey, *, at: int, **changes: Any
    ) -> NodeRecord:
        if at < held.audit_index:
            raise EnrolmentError(f"position {at} is before the last change of {held.node_id}")
        record = NodeRecord.model_validate(dict(held) | changes | {"audit_index": at})
        keys = list_version_keys(self.ledger, record.node_id)
        key = f"{NODE_PREFIX}/{record.node_id}/{len(keys) + 1:04d}.json"
        self.ledger.put(key, record, signer)
        versions = [self.ledger.get(key, NodeRecord) for key in [*keys, key]]
        trust_node(self.ledger.keyring, versions)
        return record

    def _read_application(self, application: bytes) -> NodeApplication:
        # The key is inside the statement that it signs: first read, then verify with that key.
        try:
            claimed = peek_record(application, NodeApplication)
            load_sealing_public_key(claimed.sealing_public_key)
            claim = _open_own(
                application, NodeApplication, claimed.node_id, claimed.signing_public_key
            )
        except (RecordError, TrustError) as error:
            raise EnrolmentError(f"application refused: {error}") from error
        ids = {claim.node_id, claim.profile.node_id, claim.agreement.node_id}
        if len(ids) != 1:
            raise EnrolmentError(f"application names several nodes: {', '.join(sorted(ids))}")
        if claim.organisation != claim.agreement.organisation:
            raise EnrolmentError("the agreement was signed for another organisation")
        return claim

    def set_status(
        self,
        node_id: str,
        status: Literal["active", "suspended", "revoked"],
        signer: SigningKey,
        *,
        at: int,
    ) -> NodeRecord:
        """Write a new version of a node's record with another status.

        Raises:
            EnrolmentError: the node is not enrolled, or was revoked for good.
        """
        return self._put_version(self._get_unrevoked(node_id), signer, at=at, status=status)

    def set_weight_cap(
        self, node_id: str, weight_cap: float, signer: SigningKey, *, at: int
    ) -> NodeRecord:
        """Write a new version of a node's record with another cap on its weights.

        Raises:
            EnrolmentError: the node is not enrolled, or was revoked for good.
        """
        held = self._get_unrevoked(node_id)
        return self._put_version(held, signer, at=at, weight_cap=weight_cap)

    def _get_unrevoked(self, node_id: str) -> NodeRecord:
        held = self.get(node_id)
        if held.status == "revoked":
            raise EnrolmentError(f"node {node_id} is revoked; enrol it anew under another id")
        return held

    def rotate(self, envelope: bytes, signer: SigningKey, *, at: int) -> NodeRecord:
        """Write a new version of a node's record with the keys that it asked for.

        The old key's window ends at `at`, the new one's begins there.

        Raises:
            EnrolmentError: the node is not active, the request is not about its present key, the
                new key was seen before, or one of the two signatures is missing.
        """
        try:
            claim = peek_record(envelope, KeyRotation)
            for public_key in (claim.old_signing_public_key, claim.signing_public_key):
                _open_own(envelope, KeyRotation, claim.node_id, public_key)
            load_sealing_public_key(claim.sealing_public_key)
        except (RecordError, TrustError) as error:
            raise EnrolmentError(f"rotation refused: {error}") from error
        held = self._get_unrevoked(claim.node_id)
        if held.status != "active":
            raise EnrolmentError(f"node {held.node_id} is {held.status}; resume it first")
        if claim.old_signing_public_key != held.signing_public_key:
            raise EnrolmentError(f"the rotation of {held.node_id} is not from its present key")
        self._refuse_known_key(claim.signing_public_key)
        name = f"{ROTATION_PREFIX}/{held.node_id}/{sha256_hex(envelope)}.json"
        self.ledger.store.put_bytes(name, envelope)
        return self._put_version(
            held,
            signer,
            at=at,
            signing_public_key=claim.signing_public_key,
            sealing_public_key=claim.sealing_public_key,
        )

    def update_profile(
        self, node_id: str, envelope: bytes, signer: SigningKey, *, at: int
    ) -> NodeRecord:
        """Write a new version of a node's record with the profile that the node signed.

        Raises:
            EnrolmentError: the node is not enrolled or not active, or did not sign this.
        """
        held = self.get(node_id)
        try:
            profile = open_envelope(
                envelope, NodeProfile, self.ledger.keyring, roles=("node",), identity=node_id
            )
        except (RecordError, TrustError) as error:
            raise EnrolmentError(f"profile of {node_id} refused: {error}") from error
        if profile.node_id != node_id:
            raise EnrolmentError(f"{node_id} signed a profile of {profile.node_id}")
        self.ledger.store.put_bytes(
            f"{PROFILE_PREFIX}/{node_id}/{sha256_hex(envelope)}.json", envelope
        )
        return self._put_version(held, signer, at=at, profile=profile)

    def load(self) -> "Registry":
        """Put all granted and enrolled keys on the ledger's keyring, and return the registry.

        Who has a damaged record is not trusted, and found by `list_nodes`; the others go on.
        """
        for grant in self.ledger.list_all(GRANT_PREFIX, KeyGrant, skip=leave_out):
            self.ledger.keyring.add_grant(grant)

        def distrust(item: str, _error: SynnqError) -> None:
            self.ledger.keyring.distrust(item.removeprefix("node "))

        for node_id, versions in iter_histories(self.ledger, skip=distrust):
            with skipping(distrust, f"node {node_id}"):
                trust_node(self.ledger.keyring, versions)
        return self

    def find(self, node_id: str) -> NodeRecord | None:
        """Return the newest record of a node, or None."""
        keys = list_version_keys(self.ledger, node_id)
        return self.ledger.get(keys[-1], NodeRecord) if keys else None

    def get(self, node_id: str, *, at: int | None = None) -> NodeRecord:
        """Return a node's record as it stood at a position of the audit log; None: the newest.

        Raises:
            EnrolmentError: it is not enrolled.
        """
        record = self.find(node_id)
        if record is None:
            raise EnrolmentError(f"node {node_id} is not enrolled; see `synnq nodes list`")
        if at is None or record.audit_index <= at:
            return record
        keys = list_version_keys(self.ledger, node_id)
        versions = [self.ledger.get(key, NodeRecord) for key in keys]
        return next((v for v in reversed(versions) if v.audit_index <= at), versions[0])

    def get_agreement(self, node: NodeRecord) -> ParticipationAgreement:
        """Return the terms that a node signed, as its record names them by digest.

        Raises:
            EnrolmentError: what is stored is not what the record names.
        """
        key = f"registry/applications/{node.node_id}.json"
        try:
            claim = peek_record(self.ledger.store.get_bytes(key), NodeApplication)
        except SynnqError as error:
            raise EnrolmentError(f"the agreement of {node.node_id} cannot be read") from error
        if claim.agreement.digest() != node.agreement_sha256:
            raise EnrolmentError(f"{key} does not hold the agreement that {node.node_id} signed")
        return claim.agreement

    def list_nodes(self, *, skip: Skip | None = None) -> list[NodeRecord]:
        """Return the newest record of every node, by id.

        A damaged version is an error, or its node is left out where `skip` takes note of it: no
        other version steps in, since the damaged one may have revoked the node.
        """
        return [versions[-1] for _, versions in iter_histories(self.ledger, skip=skip)]


def _open_own(data: bytes, record_type: type[R], node_id: str, public_key: str) -> R:
    """Return the record of an envelope that carries a signature by exactly this key."""
    ring = Keyring()
    ring.add(KeyEntry(node_id, "node", public_key))
    return open_envelope(data, record_type, ring, roles=("node",), identity=node_id)
