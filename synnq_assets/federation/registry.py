"""Enrolment: a node proves its keys, states its profile, and signs the agreement.

A node is created on its own machine: private keys never leave it. What it hands over is an
application, signed with its own key: proof of possession and signature of the terms in one. A later
profile comes from the node in the same way.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import yaml

from synnq_assets.errors import EnrolmentError, RecordError, TrustError
from synnq_assets.records.base import Record, now_at, sha256_hex
from synnq_assets.records.federation import (
    KeyGrant,
    NodeProfile,
    NodeRecord,
    ParticipationAgreement,
    Role,
)
from synnq_assets.records.identifiers import NodeId, parse_node_id
from synnq_assets.settings import load_node_settings
from synnq_assets.settings.base import Variant
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.envelopes import open_envelope, sign_record
from synnq_assets.trust.keyfiles import KeyFile, node_key_file
from synnq_assets.trust.keyring import KeyEntry, Keyring
from synnq_assets.trust.keys import SealingKey, SigningKey, load_sealing_public_key
from synnq_assets.trust.ledger import Ledger, Skip, leave_out, skipping
from synnq_assets.trust.wrapping import KeyWrapper

GRANT_PREFIX = "registry/grants"
NODE_PREFIX = "registry/nodes"
PROFILE_PREFIX = "registry/profiles"


class NodeApplication(Record):
    """What a node hands over to be enrolled, signed with the key that it applies with."""

    kind: ClassVar[str] = "node-application"

    node_id: NodeId
    organisation: str
    signing_public_key: str
    sealing_public_key: str
    profile: NodeProfile
    agreement: ParticipationAgreement


@dataclass(frozen=True)
class NodeIdentity:
    """Who a new node is, and whom it trusts."""

    node_id: str
    federation: str
    organisation: str
    coordinator_public_key: str


def create_node(
    folder: Path,
    identity: NodeIdentity,
    *,
    profile: NodeProfile,
    agreement: ParticipationAgreement,
    parallelism: Variant | None = None,
    wrapper: KeyWrapper | None = None,
) -> bytes:
    """Create a node's keys and configuration on its own machine; return its signed application.

    Args:
        folder: on the node; gets `node.yaml`, `keys/` and the exposure list.
        identity: the node's id, and the coordinator's public key, received out of band.
        profile: what the node can do.
        agreement: the terms that it accepts.
        parallelism: overrides the recipe's, where the site must.
        wrapper: protects the private keys; without it they are plain files.

    Raises:
        EnrolmentError: the folder already holds a node.
    """
    if (folder / "node.yaml").exists():
        raise EnrolmentError(f"{folder} already holds a node; its keys are not overwritten")
    signing, sealing = SigningKey.generate(), SealingKey.generate()
    keys: dict[str, SigningKey | SealingKey] = {"signing": signing, "sealing": sealing}
    for use, key in keys.items():
        place = folder / "keys" / f"{use}.pem"
        key.write(KeyFile(place, identity.federation, f"{identity.node_id}/{use}"), wrapper)
    config: dict[str, object] = {
        "node_id": identity.node_id,
        "federation": identity.federation,
        "organisation": identity.organisation,
        "signing_key": "keys/signing.pem",
        "sealing_key": "keys/sealing.pem",
        "coordinator_public_key": identity.coordinator_public_key,
        "agreement_sha256": agreement.digest(),
        "exposure_file": "exposure.json",
    }
    if parallelism is not None:
        config["parallelism"] = parallelism.model_dump()
    write_atomically(folder / "node.yaml", yaml.safe_dump(config, sort_keys=False).encode())
    application = NodeApplication(
        node_id=identity.node_id,
        organisation=identity.organisation,
        signing_public_key=signing.public_key,
        sealing_public_key=sealing.public_key,
        profile=profile,
        agreement=agreement,
    )
    return sign_record(application, signing)


def sign_profile(folder: Path, profile: NodeProfile) -> bytes:
    """Return a node's newer profile, signed with the key in its folder; runs on the node.

    Raises:
        SettingsError: the folder holds no node.
        EnrolmentError: the profile is another node's.
    """
    settings = load_node_settings(folder / "node.yaml")
    if profile.node_id != settings.node_id:
        raise EnrolmentError(f"{folder} is node {settings.node_id}, not {profile.node_id}")
    return sign_record(profile, SigningKey.read(node_key_file(settings, "signing")))


class Registry:
    """Enrolled nodes and granted keys, as signed records in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        """Read and write through `ledger`."""
        self.ledger = ledger

    def grant_key(self, identity: str, role: Role, public_key: str, signer: SigningKey) -> None:
        """Let a key sign in a role; the coordinator's signature makes it so."""
        grant = KeyGrant(
            identity=parse_node_id(identity), role=role, public_key=public_key, granted_at=now_at()
        )
        self.ledger.put(f"{GRANT_PREFIX}/{identity}.json", grant, signer)
        self.ledger.keyring.add_grant(grant)

    def enrol(self, application: bytes, signer: SigningKey) -> NodeRecord:
        """Enrol a node from its signed application.

        Raises:
            EnrolmentError: not signed by its own key, ids disagree, an unsafe key, or the node is
                enrolled already.
        """
        claim = self._read_application(application)
        if self.find(claim.node_id) is not None:
            raise EnrolmentError(f"node {claim.node_id} is enrolled already; see `synnq nodes`")
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
        )
        return self._put_version(record, signer)

    def _put_version(self, record: NodeRecord, signer: SigningKey) -> NodeRecord:
        folder = f"{NODE_PREFIX}/{record.node_id}"
        version = 1 + sum(1 for _ in self.ledger.store.iter_keys(folder))
        self.ledger.put(f"{folder}/{version:04d}.json", record, signer)
        self._trust(record)
        return record

    def _read_application(self, application: bytes) -> NodeApplication:
        # The key is inside the statement that it signs: first read, then verify with that key.
        try:
            claimed = _peek_application(application)
            ring = Keyring()
            ring.add(KeyEntry(claimed.node_id, "node", claimed.signing_public_key))
            load_sealing_public_key(claimed.sealing_public_key)
            claim = open_envelope(
                application, NodeApplication, ring, roles=("node",), identity=claimed.node_id
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
        self, node_id: str, status: Literal["active", "suspended", "revoked"], signer: SigningKey
    ) -> NodeRecord:
        """Write a new version of a node's record with another status.

        Raises:
            EnrolmentError: the node is not enrolled, or was revoked for good.
        """
        held = self.get(node_id)
        if held.status == "revoked":
            raise EnrolmentError(f"node {node_id} is revoked; enrol it anew under another id")
        return self._put_version(held.model_copy(update={"status": status}), signer)

    def update_profile(self, node_id: str, envelope: bytes, signer: SigningKey) -> NodeRecord:
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
        return self._put_version(held.model_copy(update={"profile": profile}), signer)

    def _trust(self, record: NodeRecord) -> None:
        self.ledger.keyring.add(
            KeyEntry(record.node_id, "node", record.signing_public_key, record.status == "active")
        )

    def load(self) -> "Registry":
        """Put all granted and enrolled keys on the ledger's keyring, and return the registry.

        Who has a damaged record is not trusted, and found by `list_nodes`; the others go on.
        """
        for grant in self.ledger.list_all(GRANT_PREFIX, KeyGrant, skip=leave_out):
            self.ledger.keyring.add_grant(grant)
        for record in self.list_nodes(skip=leave_out):
            self._trust(record)
        return self

    def find(self, node_id: str) -> NodeRecord | None:
        """Return the newest record of a node, or None."""
        versions = list(self.ledger.store.iter_keys(f"{NODE_PREFIX}/{parse_node_id(node_id)}"))
        return self.ledger.get(versions[-1], NodeRecord) if versions else None

    def get(self, node_id: str) -> NodeRecord:
        """Return the newest record of a node.

        Raises:
            EnrolmentError: it is not enrolled.
        """
        record = self.find(node_id)
        if record is None:
            raise EnrolmentError(f"node {node_id} is not enrolled; see `synnq nodes list`")
        return record

    def list_nodes(self, *, skip: Skip | None = None) -> list[NodeRecord]:
        """Return the newest record of every node, by id.

        A damaged one is an error, or its node is left out where `skip` takes note of it: an older
        version does not step in, since the newer one may have revoked the node.
        """
        newest = {key.split("/")[-2]: key for key in self.ledger.store.iter_keys(NODE_PREFIX)}
        records = []
        for node_id, key in sorted(newest.items()):
            with skipping(skip, f"node {node_id}"):
                records.append(self.ledger.get(key, NodeRecord))
        return records


def _peek_application(application: bytes) -> NodeApplication:
    from synnq_assets.records.base import parse_strict_json
    from synnq_assets.trust.keys import decode_base64

    envelope = parse_strict_json(application)
    if not isinstance(envelope, dict) or not isinstance(envelope.get("payload"), str):
        raise RecordError("not a DSSE envelope")
    statement = parse_strict_json(decode_base64(envelope["payload"]))
    predicate = statement.get("predicate") if isinstance(statement, dict) else None
    return NodeApplication.from_json_value(predicate)
