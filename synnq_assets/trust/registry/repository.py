"""The registry's metadata in the object store: written once, newest version counts.

    registry/metadata/<version>.<role>.json

Files of the targets are the ledger's own; an export copies them. Versions rise over what was ever
stored, so metadata that a killed writer left behind, named by nothing, only costs a number. A
timestamp is written last: until then, nothing that was written before it counts.

The coordinator reads its own store, so it does not mind expired metadata; clients do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from synnq_assets.errors import RegistryError
from synnq_assets.storage.objects import ObjectStore
from synnq_assets.trust.keys import SigningKey
from synnq_assets.trust.registry.roles import (
    RootKeys,
    build_root,
    expires_at,
    read_keys,
    sign_metadata,
    verify_root,
)
from synnq_assets.trust.registry.targets import Target

METADATA_PREFIX = "registry/metadata"
REFRESH_BEFORE = timedelta(hours=12)  # of snapshot and timestamp; half of their life
TARGETS_BEFORE = timedelta(days=30)

S = TypeVar("S", bound=Signed)


@dataclass(frozen=True)
class Published:
    """The newest state of the registry, as it stands in the store."""

    timestamp: Timestamp
    snapshot: Snapshot
    targets: Targets


@dataclass(frozen=True)
class OnlineKeys:
    """The private keys that publish: of the coordinator, and of the registry."""

    coordinator: SigningKey
    registry: SigningKey


def _key(role: str, version: int) -> str:
    return f"{METADATA_PREFIX}/{version}.{role}.json"


class MetadataRepository:
    """All metadata of one registry. Writers hold a lock of their home."""

    def __init__(self, store: ObjectStore) -> None:
        """Read from and write to `store`."""
        self.store = store

    # --- reading

    def list_versions(self, role: str) -> list[int]:
        """Return the stored versions of a role, ascending."""
        names = (key.split("/")[-1].split(".") for key in self.store.iter_keys(METADATA_PREFIX))
        return sorted(int(number) for number, kind, _ in names if kind == role)

    def read(self, role: str, version: int) -> bytes:
        """Return stored metadata."""
        return self.store.get_bytes(_key(role, version))

    def find_root(self) -> Metadata[Root] | None:
        """Return the newest root, every step from the first one verified; None where none is."""
        root: Metadata[Root] | None = None
        for version in self.list_versions(Root.type):
            root = verify_root(self.read(Root.type, version), root)
        return root

    def get_root(self) -> Metadata[Root]:
        """Return the newest root.

        Raises:
            RegistryError: there is none, or one does not follow from the one before.
        """
        root = self.find_root()
        if root is None:
            raise RegistryError("this home has no root of its registry; create it anew")
        return root

    def find_published(self) -> Published | None:
        """Return the newest state, or None before anything was published.

        Raises:
            RegistryError: stored metadata is damaged.
        """
        versions = self.list_versions(Timestamp.type)
        if not versions:
            return None
        timestamp = self._open(Timestamp, versions[-1])
        snapshot = self._open(Snapshot, timestamp.snapshot_meta.version)
        targets = self._open(Targets, snapshot.meta["targets.json"].version)
        return Published(timestamp, snapshot, targets)

    def _open(self, kind: type[S], version: int) -> S:
        try:
            signed = Metadata[Any].from_bytes(self.read(kind.type, version)).signed
        except RepositoryError as error:
            raise RegistryError(f"{version}.{kind.type}.json is damaged: {error}") from error
        if not isinstance(signed, kind):
            raise RegistryError(f"{version}.{kind.type}.json is metadata of another role")
        return signed

    # --- writing

    def put_root(self, data: bytes) -> int:
        """Store a new root, and return its version.

        Raises:
            RegistryError: not the next version, or not signed to the thresholds.
        """
        version = verify_root(data, self.find_root()).signed.version
        self.store.put_bytes(_key(Root.type, version), data)
        return version

    def create_root(self, keys: RootKeys, signers: Sequence[SigningKey], now: datetime) -> None:
        """Store the first root.

        Raises:
            RegistryError: as `put_root`, or the keys do not make a root.
        """
        self.put_root(sign_metadata(build_root(keys, version=1, now=now), signers))

    def rotate_root(self, keys: RootKeys, signers: Sequence[SigningKey], now: datetime) -> int:
        """Store the next root, with these keys and a new life; return its version.

        Raises:
            RegistryError: as `put_root`, or the keys do not make a root.
        """
        version = self.get_root().signed.version + 1
        return self.put_root(sign_metadata(build_root(keys, version=version, now=now), signers))

    def is_due(self, wanted: Mapping[str, Target], now: datetime) -> bool:
        """Return whether what is published differs from `wanted`, or soon expires."""
        held = self.find_published()
        return held is None or _is_stale(held, now) or _differ(held.targets, wanted, now)

    def publish(self, wanted: Mapping[str, Target], keys: OnlineKeys, now: datetime) -> Published:
        """Bring what is published up to date, if it is due; return it.

        Raises:
            RegistryError: the newest root names other keys than these.
        """
        held = self.find_published()
        if held is not None and not self.is_due(wanted, now):
            return held
        named = read_keys(self.get_root().signed)
        for what, key, allowed in (
            ("coordinator", keys.coordinator, named.coordinator),
            ("registry", keys.registry, named.online),
        ):
            if key.public_key not in allowed:
                raise RegistryError(
                    f"the root of the registry does not name this home's {what} key; sign a root "
                    "that does with `synnq nodes root rotate`"
                )
        if held is None or _differ(held.targets, wanted, now):
            targets = Targets(
                version=self._next(Targets.type),
                expires=expires_at(Targets.type, now),
                targets={path: _describe(path, target) for path, target in wanted.items()},
            )
            self._put(targets, keys.coordinator)
        else:
            targets = held.targets
        return self._put_online(targets, keys.registry, now)

    def _put_online(self, targets: Targets, key: SigningKey, now: datetime) -> Published:
        data = self.read(Targets.type, targets.version)
        snapshot = Snapshot(
            version=self._next(Snapshot.type),
            expires=expires_at(Snapshot.type, now),
            meta={"targets.json": MetaFile.from_data(targets.version, data, ["sha256"])},
        )
        stored = self._put(snapshot, key)
        timestamp = Timestamp(
            version=self._next(Timestamp.type),
            expires=expires_at(Timestamp.type, now),
            snapshot_meta=MetaFile.from_data(snapshot.version, stored, ["sha256"]),
        )
        self._put(timestamp, key)
        return Published(timestamp, snapshot, targets)

    def _next(self, role: str) -> int:
        return max(self.list_versions(role), default=0) + 1

    def _put(self, signed: Signed, key: SigningKey) -> bytes:
        data = sign_metadata(signed, [key])
        self.store.put_bytes(_key(signed.type, signed.version), data)
        return data

    # --- for clients

    def list_files(self, targets: Mapping[str, Target]) -> dict[str, bytes]:
        """Return path -> bytes of a plain TUF repository: all roots, the newest of the others.

        Args:
            targets: those whose files are wanted; the metadata is always that of all.

        Raises:
            RegistryError: nothing was published yet.
        """
        held = self.find_published()
        if held is None:
            raise RegistryError("nothing was published yet; grant a key or enrol a node first")
        roots = {
            f"metadata/{version}.root.json": self.read(Root.type, version)
            for version in self.list_versions(Root.type)
        }
        files = {f"targets/{name}": target.data for path, target in targets.items()
                 for name in held.targets.targets[path].get_prefixed_paths()}  # fmt: skip
        for signed in (held.targets, held.snapshot):
            name = f"{signed.version}.{signed.type}.json"
            files[f"metadata/{name}"] = self.read(signed.type, signed.version)
        # The timestamp last: a copy that was cut short is older, and not torn.
        timestamp = self.read(Timestamp.type, held.timestamp.version)
        return {**roots, **files, "metadata/timestamp.json": timestamp}


def _is_stale(held: Published, now: datetime) -> bool:
    soonest = min(held.timestamp.expires, held.snapshot.expires)
    return soonest - now < REFRESH_BEFORE


def _differ(held: Targets, wanted: Mapping[str, Target], now: datetime) -> bool:
    if held.expires - now < TARGETS_BEFORE:
        return True
    described = {path: _describe(path, target) for path, target in wanted.items()}
    return described != held.targets


def _describe(path: str, target: Target) -> TargetFile:
    described = TargetFile.from_data(path, target.data, ["sha256"])
    described.unrecognized_fields["custom"] = target.custom
    return described
