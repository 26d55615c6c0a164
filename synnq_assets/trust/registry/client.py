"""Believe a registry: from a root that was received by another way, one verified step at a time.

<folder>/root.json           the pinned root; never changes
<folder>/trusted/metadata/   what was believed last; nothing older is believed again

Root after root is followed, then timestamp, snapshot and targets, each by signature, version,
digest and expiry, and none longer than its cap. What does not pass leaves `trusted/` as it was.

Source: TUF specification 1.0, §5; the workflow is `tuf.ngclient`'s.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, Root, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from synnq_assets.errors import RecordError, RegistryError, StaleRegistryError, StorageError
from synnq_assets.records.federation import NodeRecord
from synnq_assets.storage.files import hold_lock, write_atomically
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.registry.roles import open_root, read_keys

PINNED_FILE, TRUSTED_FOLDER, METADATA_FOLDER = "root.json", "trusted", "metadata"
CAPS = UpdaterConfig(
    max_root_rotations=64,
    root_max_length=64 << 10,
    timestamp_max_length=16 << 10,
    snapshot_max_length=16 << 10,
    targets_max_length=4 << 20,
)
BLOCK_BYTES = 16 << 10


@dataclass(frozen=True)
class TrustedRegistry:
    """A registry as it was verified."""

    coordinator_keys: tuple[str, ...]  # as the newest root names them; nobody else signs orders
    targets: Targets
    source: Path

    @property
    def node_ids(self) -> list[str]:
        """The nodes that the registry names, whatever their status."""
        paths = sorted(self.targets.targets)
        return [p[6:-5] for p in paths if p.startswith("nodes/") and p.endswith(".json")]

    def find_status(self, node_id: str) -> tuple[str, tuple[str, ...]]:
        """Return (status, signing keys that count now) of a node.

        Raises:
            RegistryError: the registry does not know the node, or says it in another form.
        """
        held = self._describe(node_id)
        try:
            keys = [(key["public_key"], key["windows"]) for key in held["keys"]]
            current = tuple(str(key) for key, windows in keys if windows and windows[-1][1] is None)
            return str(held["status"]), current
        except (LookupError, TypeError) as error:
            raise RegistryError(f"the registry describes {node_id} in another form") from error

    def read_node(self, node_id: str) -> NodeRecord:
        """Return a node's record: the bytes that the metadata names, signed by the coordinator.

        Raises:
            RegistryError: unknown, missing, or not what the metadata names.
        """
        self._describe(node_id)
        target = self.targets.targets[f"nodes/{node_id}.json"]
        path = self.source / "targets" / target.get_prefixed_paths()[0]
        try:
            with path.open("rb") as file:
                data = file.read(target.length + 1)
            target.verify_length_and_hashes(data)
            ring = Keyring.with_root("coordinator", *self.coordinator_keys)
            record = open_envelope(data, NodeRecord, ring, roles=("coordinator",))
        except (OSError, LengthOrHashMismatchError, RecordError) as error:
            raise RegistryError(f"{path} is not the record that the registry names") from error
        if record.node_id != node_id:
            raise RegistryError(f"{path} is the record of {record.node_id}")
        return record

    def _describe(self, node_id: str) -> dict[str, Any]:
        target = self.targets.targets.get(f"nodes/{node_id}.json")
        if target is None or not isinstance(target.custom, dict):
            raise RegistryError(f"the registry does not know a node {node_id}")
        return target.custom


class RegistryClient:
    """What one party believes about a registry."""

    def __init__(self, folder: Path) -> None:
        """Use a folder that holds the pinned `root.json`."""
        self.folder = folder

    @classmethod
    def pin(cls, folder: Path, root: bytes) -> "RegistryClient":
        """Pin a root that was received by another way.

        Raises:
            RegistryError: not a root, or not signed by enough of its own keys.
            StorageError: the disk refuses.
        """
        opened = open_root(root)
        found = opened.signed.get_verification_result(
            Root.type, opened.signed_bytes, opened.signatures
        )
        if not found:
            raise RegistryError("the root is not signed by enough of its own keys")
        write_atomically(folder / PINNED_FILE, root)
        return cls(folder)

    def refresh(self, source: Path, *, remember: bool = True) -> TrustedRegistry:
        """Verify a repository folder against the pinned root and what was believed before.

        Args:
            source: holds `metadata/`, as an export or a job folder has it.
            remember: keep what was verified, so that nothing older is believed later.

        Raises:
            StaleRegistryError: expired, or older than what was believed before.
            RegistryError: anything else; nothing of it is believed.
        """
        return self._refresh(_FolderFetcher(source), remember=remember)

    def _refresh(self, fetcher: "_FolderFetcher", *, remember: bool) -> TrustedRegistry:
        with ExitStack() as stack:
            if remember:
                with suppress(StorageError):  # some parallel file systems have no locks
                    stack.enter_context(hold_lock(self.folder / ".lock"))
            work = Path(stack.enter_context(TemporaryDirectory(prefix="synnq-registry-")))
            self._recall_into(work)
            _follow(work, fetcher, self._read_pinned())
            if remember:
                self._remember(work)
            root, targets = _read_outcome(work)
        return TrustedRegistry(read_keys(root).coordinator, targets, fetcher.source)

    def recall(self) -> TrustedRegistry:
        """Return what was believed last, if it still counts.

        Raises:
            StaleRegistryError: it expired.
            RegistryError: nothing was believed yet.
        """
        return self._refresh(_MemoryFetcher(self.folder / TRUSTED_FOLDER), remember=False)

    def recall_coordinator(self) -> tuple[str, ...]:
        """Return the coordinator's keys in the newest root that was believed, expired or not."""
        newest = self._read_pinned()
        folder = self._trusted / "root_history"
        numbers = [int(path.name.split(".")[0]) for path in folder.glob("[0-9]*.root.json")]
        if numbers:
            newest = (folder / f"{max(numbers)}.root.json").read_bytes()
        return read_keys(open_root(newest).signed).coordinator

    @property
    def _trusted(self) -> Path:
        return self.folder / TRUSTED_FOLDER / METADATA_FOLDER

    def _read_pinned(self) -> bytes:
        try:
            return (self.folder / PINNED_FILE).read_bytes()
        except OSError as error:
            raise RegistryError(
                f"no pinned root {self.folder / PINNED_FILE}; get it from the coordinator by a way "
                "of its own"
            ) from error

    def _recall_into(self, work: Path) -> None:
        if self._trusted.is_dir():
            shutil.copytree(self._trusted, work, dirs_exist_ok=True)

    def _remember(self, work: Path) -> None:
        for path in sorted(work.rglob("*.json")):
            if not path.is_symlink():
                write_atomically(self._trusted / path.relative_to(work), path.read_bytes())


def _follow(work: Path, fetcher: "_FolderFetcher", pinned: bytes) -> None:
    source = fetcher.source
    try:
        Updater(
            str(work), METADATA_FOLDER, fetcher=fetcher, config=CAPS, bootstrap=pinned
        ).refresh()
    except ExpiredMetadataError as error:
        raise StaleRegistryError(
            f"the registry in {source} expired ({error}); have the coordinator send a fresh one"
        ) from error
    except BadVersionNumberError as error:
        raise StaleRegistryError(
            f"the registry in {source} is older than what was believed before, or does not fit "
            f"together ({error})"
        ) from error
    except (RepositoryError, DownloadError, ValueError) as error:
        raise RegistryError(f"the registry in {source} cannot be believed: {error}") from error
    except OSError as error:
        raise RegistryError(f"cannot read the registry in {source}: {error}") from error


def _read_outcome(work: Path) -> tuple[Root, Targets]:
    root = Metadata[Root].from_file(str(work / "root.json")).signed
    return root, Metadata[Targets].from_file(str(work / "targets.json")).signed


class _FolderFetcher(FetcherInterface):
    """Reads regular files below a folder, in blocks, so that a cap holds whatever lies there."""

    def __init__(self, source: Path) -> None:
        self.source = source

    def _find(self, url: str) -> Path:
        return self.source / url

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self._find(url)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{url} is missing", 404) from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DownloadError(f"{url} is not a regular file")
            while block := file.read(BLOCK_BYTES):
                yield block


class _MemoryFetcher(_FolderFetcher):
    """Reads what was remembered, whose names carry no versions, as if it came from elsewhere."""

    def _find(self, url: str) -> Path:
        folder, _, name = url.rpartition("/")
        version, _, rest = name.partition(".")
        return self.source / folder / (rest if version.isdigit() and "root" not in rest else name)
