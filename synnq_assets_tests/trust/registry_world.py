"""A registry with real keys: a coordinator's store, what it publishes, and who attacks it."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from synnq_assets.records.base import now_at
from synnq_assets.records.federation import NodeRecord
from synnq_assets.storage import FolderStore
from synnq_assets.trust import SigningKey, sign_record
from synnq_assets.trust.registry.client import RegistryClient
from synnq_assets.trust.registry.publishing import write_registry
from synnq_assets.trust.registry.repository import MetadataRepository, OnlineKeys
from synnq_assets.trust.registry.roles import RootKeys, build_root, sign_metadata
from synnq_assets.trust.registry.targets import Target, describe_node
from synnq_assets_tests.builders import NOW, build_profile, digest_of

DAY = timedelta(days=1)


def build_node(key, node_id="node-a", **changes):
    values = dict(
        node_id=node_id,
        organisation="A",
        signing_public_key=key.public_key,
        sealing_public_key="QUJD",
        profile=build_profile(node_id),
        agreement_sha256=digest_of("agreement"),
        status="active",
        enrolled_at=NOW,
        audit_index=1,
    )
    return NodeRecord(**{**values, **changes})


@dataclass
class RegistryWorld:
    """Keys, repository and a node's client; `folder` is what the client is shown."""

    path: Path
    roots: list[SigningKey] = field(default_factory=lambda: generate(3))
    coordinator: SigningKey = field(default_factory=SigningKey.generate)
    online: SigningKey = field(default_factory=SigningKey.generate)
    node: SigningKey = field(default_factory=SigningKey.generate)

    def __post_init__(self):
        self.repository = MetadataRepository(FolderStore(self.path / "store"))
        self.repository.create_root(self.root_keys(), self.roots[:2], now_at())
        self.wanted: dict[str, Target] = {}
        self.enrol(build_node(self.node))
        self.client = RegistryClient.pin(self.path / "client", self.repository.read("root", 1))

    @property
    def folder(self):
        return self.path / "shown"

    def root_keys(self, **changes):
        values = dict(
            root=tuple(key.public_key for key in self.roots),
            coordinator=(self.coordinator.public_key,),
            online=(self.online.public_key,),
        )
        return RootKeys(**{**values, **changes})

    def enrol(self, *versions):
        data = sign_record(versions[-1], self.coordinator)
        path = f"nodes/{versions[-1].node_id}.json"
        self.wanted[path] = Target(data, describe_node(list(versions)))

    def publish(self, now=None):
        keys = OnlineKeys(self.coordinator, self.online)
        return self.repository.publish(self.wanted, keys, now or now_at())

    def show(self, **publish):
        """Publish, and lay everything where the client looks."""
        self.publish(**publish)
        write_registry(self.folder, self.repository.list_files(self.wanted))
        return self.folder

    def refresh(self):
        return self.client.refresh(self.folder)

    # --- forgery with whatever keys an attacker holds

    def file(self, name):
        return self.folder / "metadata" / name

    def signed(self, name):
        return Metadata.from_bytes(self.file(name).read_bytes()).signed

    def put(self, name, signed, *keys):
        self.file(name).write_bytes(sign_metadata(signed, list(keys)))

    def forge_timestamp(self, version, *, expires=None, key=None, snapshot=None):
        held = self.signed("timestamp.json")
        self.put(
            "timestamp.json",
            Timestamp(
                version=version,
                expires=expires or held.expires,
                snapshot_meta=snapshot or held.snapshot_meta,
            ),
            key or self.online,
        )

    def forge_snapshot(self, version, targets_version, data):
        meta = {"targets.json": MetaFile.from_data(targets_version, data, ["sha256"])}
        forged = Snapshot(version=version, expires=now_at().replace(microsecond=0) + DAY, meta=meta)
        self.put(f"{version}.snapshot.json", forged, self.online)
        return MetaFile.from_data(
            version, self.file(f"{version}.snapshot.json").read_bytes(), ["sha256"]
        )


def generate(count):
    return [SigningKey.generate() for _ in range(count)]


def edit_json(path, change):
    value = json.loads(path.read_bytes())
    change(value)
    path.write_bytes(json.dumps(value).encode())


__all__ = ["DAY", "RegistryWorld", "TargetFile", "Targets", "build_node", "build_root", "edit_json"]
