"""A coordinator's home: settings, keys, object store, ledger and audit log in one folder.

settings.json      resolved settings, canonical
keys/              coordinator, steward (signing and sealing), release, log, registry, and until
                   they are moved offline root-1 to root-3; see keyfiles.py
store/             the object store (the embedded default; see storage/folder.py)
audit.sqlite       the audit log
jobs/              staged job folders (local backend)
locks/             one empty file per lock
nodes/<node>/      nodes that live on this machine (local profile): their own keys and settings
dagster/           DAGSTER_HOME
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synnq_assets.errors import SettingsError, StorageError
from synnq_assets.records.base import now_at
from synnq_assets.settings import Settings, read_settings
from synnq_assets.storage.files import write_atomically
from synnq_assets.storage.folder import FolderStore
from synnq_assets.trust.audit import AuditLog, LogKeys, LogVerifier, open_database
from synnq_assets.trust.campaign import Campaign
from synnq_assets.trust.concealing import Concealer
from synnq_assets.trust.keyfiles import KeyFile, read_facts
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import SealingKey, SigningKey
from synnq_assets.trust.ledger import Ledger
from synnq_assets.trust.wrapping import KeyWrapper

ROOT_KEYS = ("root-1", "root-2", "root-3")  # of the registry; 2 sign
SIGNING_KEYS = ("coordinator", "steward", "release", "registry")


@dataclass(frozen=True)
class Home:
    """An opened home. Keys are read when first used."""

    path: Path

    @classmethod
    def create(cls, path: Path, settings: Settings, *, wrapper: KeyWrapper | None = None) -> "Home":
        """Create a home with fresh keys, whole or not at all.

        Args:
            path: the folder.
            settings: resolved; fixed for the campaign.
            wrapper: protects the private keys; without it they are plain files.

        Raises:
            SettingsError: the folder holds a home already.
            KeyProtectionError: the keys cannot be protected.
        """
        path = path.absolute()
        if path.exists() and any(path.iterdir()):
            raise SettingsError(f"{path} is not empty; choose another folder, or remove it first")
        building = path.with_name(f".{path.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        try:
            federation = settings.recipe.federation
            keys = {name: SigningKey.generate() for name in (*SIGNING_KEYS, *ROOT_KEYS)}
            for name, key in keys.items():
                key.write(_key_file(building, federation, name), wrapper)
            sealing = _key_file(building, federation, "steward-sealing")
            SealingKey.generate().write(sealing, wrapper)
            LogKeys.generate(federation).write(building / "keys", wrapper)
            for folder in ("store", "jobs", "nodes", "dagster"):
                (building / folder).mkdir()
            _create_root(FolderStore(building / "store"), keys)
            write_atomically(building / "settings.json", settings.canonical_bytes())
            if path.exists():
                path.rmdir()
            os.replace(building, path)
        except OSError as error:
            raise StorageError(f"cannot create {path}: {error.strerror}") from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "Home":
        """Open a home.

        Raises:
            SettingsError: there is none, or its settings are not of this version.
        """
        home = cls(path.absolute())
        _ = home.settings
        return home

    @cached_property
    def settings(self) -> Settings:
        """The resolved settings."""
        return read_settings(self.path / "settings.json")

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold one of the home's locks: one thread of one process at a time, others wait.

        The kernel frees the lock of a holder that was killed.

        Raises:
            StorageError: the home cannot be written to.
        """
        path = self.path / "locks" / f"{name}.lock"
        try:
            path.parent.mkdir(exist_ok=True)
            file = path.open("ab")
        except OSError as error:
            raise StorageError(f"cannot lock {path}: {error.strerror}") from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def key_file(self, name: str) -> KeyFile:
        """Return the file of one of the home's private keys."""
        return _key_file(self.path, self.settings.recipe.federation, name)

    @property
    def key_files(self) -> tuple[KeyFile, ...]:
        """The files of all private keys, by name."""
        names = sorted(path.stem for path in (self.path / "keys").glob("[!.]*.pem"))
        return tuple(self.key_file(name) for name in names)

    def _key(self, name: str) -> SigningKey:
        return SigningKey.read(self.key_file(name))

    @cached_property
    def coordinator(self) -> SigningKey:
        """The root of this federation's trust; signs rounds, orders and verdicts."""
        return self._key("coordinator")

    @cached_property
    def steward(self) -> SigningKey:
        """The data steward's key; signs curation reports and shard manifests."""
        return self._key("steward")

    @cached_property
    def steward_sealing(self) -> SealingKey:
        """The key that data keys are wrapped to at rest."""
        return SealingKey.read(self.key_file("steward-sealing"))

    @cached_property
    def release_key(self) -> SigningKey:
        """Signs releases."""
        return self._key("release")

    @cached_property
    def registry_key(self) -> SigningKey:
        """Signs snapshot and timestamp of the registry, and nothing else."""
        return self._key("registry")

    @cached_property
    def store(self) -> FolderStore:
        """The object store."""
        return FolderStore(self.path / "store")

    @cached_property
    def keyring(self) -> Keyring:
        """The root key; `Registry(ledger).load()` adds the keys that it granted."""
        return Keyring.with_root(self.settings.recipe.federation, self.coordinator.public_key)

    @cached_property
    def ledger(self) -> Ledger:
        """Signed records."""
        return Ledger(self.store, self.keyring)

    @cached_property
    def campaign(self) -> Campaign:
        """The campaign's records, by round and assignment."""
        return Campaign(self.ledger)

    @cached_property
    def audit(self) -> AuditLog:
        """The audit log; every append signs a new head."""
        database = open_database(self.settings.profile.audit, self.path / "audit.sqlite")
        return AuditLog(database, self.log_keys, conceal=self.concealer.conceal)

    @cached_property
    def concealer(self) -> Concealer:
        """Puts pseudonyms in the place of nodes, in the audit log."""
        recipe = self.settings.recipe
        return Concealer(
            self.path / "keys" / "pseudonyms",
            recipe.federation,
            recipe.privacy.pseudonym_epoch_days,
            find_nodes=self._find_nodes,
            find_wrapper=lambda: read_facts(self.key_file("coordinator")).wrapper,
        )

    def _find_nodes(self) -> frozenset[str]:
        """Return the ids of all nodes with a key on the keyring, or with a folder in this home."""
        entries = self.keyring.entries.values()
        try:
            local = os.listdir(self.path / "nodes") if (self.path / "nodes").is_dir() else []
        except OSError as error:
            raise StorageError(f"cannot list {self.path / 'nodes'}: {error.strerror}") from error
        return frozenset([*(entry.identity for entry in entries if entry.role == "node"), *local])

    @cached_property
    def log_keys(self) -> LogKeys:
        """Sign the heads of the audit log, and nothing else."""
        return LogKeys.read(self.path / "keys", self.settings.recipe.federation)

    @property
    def log_verifier(self) -> LogVerifier:
        """The log's public keys, as the coordinator granted them.

        Raises:
            TrustError: they were not granted, or `Registry(ledger).load()` was not called.
        """
        return LogVerifier.from_keyring(self.settings.recipe.federation, self.keyring)


def _create_root(store: FolderStore, keys: Mapping[str, SigningKey]) -> None:
    from synnq_assets.trust.registry.repository import MetadataRepository
    from synnq_assets.trust.registry.roles import RootKeys

    public = {name: key.public_key for name, key in keys.items()}
    named = RootKeys(
        root=tuple(public[name] for name in ROOT_KEYS),
        coordinator=(public["coordinator"],),
        online=(public["registry"],),
    )
    signers = [keys[name] for name in ROOT_KEYS]
    MetadataRepository(store).create_root(named, signers, now_at())


def _key_file(home: Path, federation: str, name: str) -> KeyFile:
    return KeyFile(home / "keys" / f"{name}.pem", federation, name)
