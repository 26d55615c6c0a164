"""Publish a home's registry: after every change, and before what was published expires."""

from datetime import datetime
from pathlib import Path

from synnq_assets.records.base import now_at
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.home import Home
from synnq_assets.trust.registry.repository import MetadataRepository, OnlineKeys, Published
from synnq_assets.trust.registry.targets import collect_targets

LOCK = "registry-metadata"


def publish_registry(home: Home, *, now: datetime | None = None) -> Published:
    """Bring what is published up to date with the ledger; no work where it is.

    Raises:
        RegistryError: the root of the registry does not name this home's keys.
        KeyProtectionError: the keys do not open.
    """
    with home.lock(LOCK):
        repository = MetadataRepository(home.store)
        keys = OnlineKeys(home.coordinator, home.registry_key)
        return repository.publish(collect_targets(home.ledger), keys, now or now_at())


def find_due_version(home: Home) -> int | None:
    """Return the version of the timestamp that is to be replaced; None where none is."""
    repository = MetadataRepository(home.store)
    if not repository.is_due(collect_targets(home.ledger), now_at()):
        return None
    held = repository.find_published()
    return held.timestamp.version if held else 0


def render_registry(home: Home, *, with_targets: bool = True) -> dict[str, bytes]:
    """Return path -> bytes of the registry, up to date, as a plain TUF repository.

    Args:
        home: the coordinator's.
        with_targets: also the records that the metadata is about.

    Raises:
        RegistryError: as `publish_registry`.
    """
    publish_registry(home)
    targets = collect_targets(home.ledger) if with_targets else {}
    return MetadataRepository(home.store).list_files(targets)


def write_registry(folder: Path, files: dict[str, bytes]) -> None:
    """Write a repository's files, the timestamp last; those that stand already are replaced.

    Raises:
        StorageError: the disk refuses.
    """
    for name, data in files.items():
        write_atomically(folder / name, data)
