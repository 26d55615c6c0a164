"""Keys of pseudonyms and salts of commitments, in a home: made when needed, destroyed on order.

    keys/pseudonyms/0001.json    an epoch: when it begins and ends, and its key, wrapped or plain
    keys/pseudonyms/salts/<c>    the salt of one commitment

An epoch begins when something has to be named and none is open. Its key is protected as the
coordinator's is. Destroying it leaves the epoch's pseudonyms in the log for good, and nobody able
to say whose they were; the file stays, without its key, so that the number is not used again.

Sources: RFC 2104 (HMAC); EDPB Guidelines 02/2025 on blockchain (salted hashes on the immutable
store, salts beside it).
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import PositiveInt

from synnq_assets.errors import KeyProtectionError, RecordError, StorageError, TrustError
from synnq_assets.privacy import build_pseudonym, commit_text, find_tripwire
from synnq_assets.privacy.pseudonyms import COMMITMENT, is_of_form, replace_nodes, reveal_nodes
from synnq_assets.records.base import Record, UtcTime, now_at
from synnq_assets.storage.files import hold_lock, overwrite_content, sync_folder, write_atomically
from synnq_assets.trust.encoding import decode_base64, encode_base64
from synnq_assets.trust.wrapping import KeyContext, KeyWrapper, open_wrapper

KEY_BYTES = 32
SALT_BYTES = 16
ALGORITHM = "hmac-sha256"


class Epoch(Record):
    """A stretch of time in which a node has one pseudonym."""

    kind: ClassVar[str] = "pseudonym-epoch"

    number: PositiveInt
    begins_at: UtcTime
    ends_at: UtcTime
    wrapper: str | None  # None: the secret is plain
    secret: str | None  # None: destroyed

    @property
    def name(self) -> str:
        """How commands call it."""
        return f"{self.number:04d}"


@dataclass
class Concealer:
    """Replaces what names somebody in the text of audit entries.

    Attributes:
        folder: of keys and salts.
        federation: goes into the context of wrapped keys.
        epoch_days: how long a new epoch lasts.
        find_nodes: returns the ids of all nodes that are known now.
        find_wrapper: returns the name of the wrapper that protects new keys, or None.
    """

    folder: Path
    federation: str
    epoch_days: int
    find_nodes: Callable[[], frozenset[str]]
    find_wrapper: Callable[[], str | None]

    def __post_init__(self) -> None:
        """Hold no key yet."""
        self._held: dict[tuple[int, int], bytes] = {}  # by inode and time of its file: it may go
        self._named: set[str] = set()
        self._seen: tuple[int, tuple[Epoch, ...]] = (0, ())  # the folder's time, and what it held

    def conceal(self, text: str) -> str:
        """Return a text with pseudonyms for nodes; a commitment, where it looks personal.

        Raises:
            KeyProtectionError: the epoch's key does not open.
            StorageError: a new key or salt cannot be written.
        """
        text = replace_nodes(text, self.find_nodes() | self._named, self.name_node)
        return text if find_tripwire(text) is None else self.commit(text)

    def name_node(self, node_id: str) -> str:
        """Return a node's pseudonym of the open epoch; what was named once, is a node's name."""
        self._named.add(node_id)
        epoch = next((e for e in self.epochs if _is_open(e)), None) or self._begin()
        return build_pseudonym(self._read_key(epoch), node_id)

    def reveal(self, text: str) -> str:
        """Return a text with the names of nodes, where their epoch's key still exists."""
        nodes = self.find_nodes()
        names = {
            build_pseudonym(key, node): node
            for epoch in self.epochs
            if epoch.secret is not None
            for key in (self._read_key(epoch),)
            for node in nodes
        }
        return reveal_nodes(text, names.get)

    # --- epochs

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """The epochs, the newest first.

        Raises:
            TrustError: a file of theirs is damaged.
        """
        changed_at = self.folder.stat().st_mtime_ns if self.folder.is_dir() else 0
        if self._seen[0] != changed_at:
            self._seen = (changed_at, tuple(self._iter_epochs()))
        return self._seen[1]

    def _iter_epochs(self) -> Iterator[Epoch]:
        for path in sorted(self.folder.glob("[0-9]*.json"), reverse=True):
            try:
                yield Epoch.parse(path.read_bytes())
            except (OSError, RecordError) as error:
                raise TrustError(
                    f"{path} is damaged ({type(error).__name__}); restore it from a backup"
                ) from error

    def _begin(self) -> Epoch:
        with hold_lock(self.folder / ".lock"):
            newest = next(self._iter_epochs(), None)
            if newest is not None and _is_open(newest):
                return newest  # another process was first
            number, now = (newest.number if newest else 0) + 1, now_at()
            name = self.find_wrapper()
            epoch = self._seal(
                Epoch(
                    number=number,
                    begins_at=now,
                    ends_at=now + timedelta(days=self.epoch_days),
                    wrapper=None,
                    secret=None,
                ),
                secrets.token_bytes(KEY_BYTES),
                open_wrapper(name) if name else None,
            )
            write_atomically(self._path(epoch), epoch.canonical_bytes(), mode=0o600)
        self._seen = (0, ())
        return epoch

    def _seal(self, epoch: Epoch, key: bytes, wrapper: KeyWrapper | None) -> Epoch:
        secret = wrapper.wrap(key, self._context(epoch)) if wrapper else encode_base64(key)
        return epoch.model_copy(
            update={"wrapper": wrapper.name if wrapper else None, "secret": secret}
        )

    def _read_key(self, epoch: Epoch) -> bytes:
        status = self._path(epoch).stat()
        place = (status.st_ino, status.st_mtime_ns)
        if place not in self._held:
            if epoch.secret is None:
                raise KeyProtectionError(f"the key of epoch {epoch.name} was destroyed")
            if epoch.wrapper is None:
                key = decode_base64(epoch.secret, num_bytes=KEY_BYTES)
            else:
                key = open_wrapper(epoch.wrapper).unwrap(epoch.secret, self._context(epoch))
            self._held[place] = key
        return self._held[place]

    def rewrap(self, wrapper: KeyWrapper | None) -> int:
        """Protect the keys of all epochs anew; return how many there are."""
        count = 0
        with hold_lock(self.folder / ".lock"):
            for epoch in self._iter_epochs():
                if epoch.secret is not None:
                    self._replace(self._seal(epoch, self._read_key(epoch), wrapper))
                    count += 1
        return count

    def forget(self, name: str) -> None:
        """Destroy an epoch's key, for good; an open epoch ends with it.

        Where the wrapper can destroy, what copies of the file hold is unreadable as well. The old
        bytes of the file are overwritten, best effort.

        Raises:
            TrustError: there is no such epoch.
            StorageError: the disk refuses.
        """
        with hold_lock(self.folder / ".lock"):
            epoch = next((e for e in self._iter_epochs() if e.name == name), None)
            if epoch is None:
                known = ", ".join(e.name for e in self._iter_epochs()) or "none"
                raise TrustError(f"there is no epoch {name[:20]!r}; there are: {known}")
            if epoch.wrapper is not None:
                wrapper = open_wrapper(epoch.wrapper)
                if wrapper.can_destroy:
                    wrapper.destroy(self._context(epoch))
            self._held.clear()
            self._replace(epoch.model_copy(update={"wrapper": None, "secret": None}))

    def _replace(self, epoch: Epoch) -> None:
        path = self._path(epoch)
        try:
            with path.open("r+b") as old:
                write_atomically(path, epoch.canonical_bytes(), mode=0o600)
                overwrite_content(old)
            self._seen = (0, ())
        except OSError as error:
            raise StorageError(f"cannot replace {path}: {error.strerror}") from error

    def _path(self, epoch: Epoch) -> Path:
        return self.folder / f"{epoch.name}.json"

    def _context(self, epoch: Epoch) -> KeyContext:
        return KeyContext(
            federation=self.federation, name=f"pseudonyms/{epoch.name}", algorithm=ALGORITHM
        )

    # --- commitments

    def commit(self, text: str) -> str:
        """Return a commitment to a text under a new salt; the text itself is kept nowhere."""
        salt = secrets.token_bytes(SALT_BYTES)
        commitment = commit_text(salt, text)
        write_atomically(self.folder / "salts" / commitment, salt, mode=0o600)
        return commitment

    def is_committed(self, commitment: str, text: str) -> bool:
        """Return whether a commitment was made to this text; False once its salt was erased."""
        path = self._salt_path(commitment)
        return path.is_file() and commit_text(path.read_bytes(), text) == commitment

    def erase(self, commitment: str) -> None:
        """Erase a salt: the commitment says nothing any more, to anybody.

        Raises:
            TrustError: it has no salt here.
        """
        path = self._salt_path(commitment)
        try:
            with path.open("r+b") as file:
                overwrite_content(file)
            path.unlink()
            sync_folder(path.parent)
        except OSError as error:
            raise TrustError(f"no salt of {commitment} to erase: {error.strerror}") from error

    def _salt_path(self, commitment: str) -> Path:
        if not is_of_form(COMMITMENT, commitment):
            raise TrustError("a commitment is c- and 32 hexadecimal digits")
        return self.folder / "salts" / commitment


def _is_open(epoch: Epoch) -> bool:
    return epoch.secret is not None and now_at() < epoch.ends_at
