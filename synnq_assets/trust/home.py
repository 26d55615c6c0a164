"""A coordinator's home: settings, keys, object store, ledger and audit log in one folder.

settings.json      resolved settings, canonical
keys/              coordinator, steward (signing and sealing), release: PEM, owner-readable
store/             the object store (the embedded default; see storage/folder.py)
audit.sqlite       the audit log
jobs/              staged job folders (local backend)
nodes/<node>/      nodes that live on this machine (local profile): their own keys and settings
dagster/           DAGSTER_HOME
"""

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synnq_assets.errors import SettingsError, StorageError
from synnq_assets.settings import Settings, read_settings
from synnq_assets.storage.files import write_atomically
from synnq_assets.storage.folder import FolderStore
from synnq_assets.trust.audit import AuditLog
from synnq_assets.trust.campaign import Campaign
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import SealingKey, SigningKey
from synnq_assets.trust.ledger import Ledger

SIGNING_KEYS = ("coordinator", "steward", "release")


@dataclass(frozen=True)
class Home:
    """An opened home. Keys are read when first used."""

    path: Path

    @classmethod
    def create(cls, path: Path, settings: Settings) -> "Home":
        """Create a home with fresh keys, whole or not at all.

        Raises:
            SettingsError: the folder holds a home already.
        """
        path = path.absolute()
        if path.exists() and any(path.iterdir()):
            raise SettingsError(f"{path} is not empty; choose another folder, or remove it first")
        building = path.with_name(f".{path.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        try:
            for name in SIGNING_KEYS:
                SigningKey.generate().write(building / "keys" / f"{name}.pem")
            SealingKey.generate().write(building / "keys" / "steward-sealing.pem")
            for folder in ("store", "jobs", "nodes", "dagster"):
                (building / folder).mkdir()
            write_atomically(building / "settings.json", settings.canonical_bytes())
            if path.exists():
                path.rmdir()
            os.replace(building, path)
        except OSError as error:
            shutil.rmtree(building, ignore_errors=True)
            raise StorageError(f"cannot create {path}: {error.strerror}") from error
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

    def _key(self, name: str) -> SigningKey:
        return SigningKey.read(self.path / "keys" / f"{name}.pem")

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
        return SealingKey.read(self.path / "keys" / "steward-sealing.pem")

    @cached_property
    def release_key(self) -> SigningKey:
        """Signs releases."""
        return self._key("release")

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
        return AuditLog(self.path / "audit.sqlite", self.coordinator)
