"""Which key may sign in which role, and when. The coordinator's key grants the others.

*When* is a position in the audit log, never a clock: a signature counts if and only if the log had
its key enrolled, and not suspended, rotated out or revoked, at the position that it is judged at.
"""

import re
from dataclasses import dataclass, field, replace

from synnq_assets.errors import SignatureError, TrustError
from synnq_assets.records.federation import KeyGrant, Role
from synnq_assets.trust.keys import build_key_id


@dataclass(frozen=True)
class Window:
    """Positions of the audit log, from `begin` up to and without `end`; None: still open."""

    begin: int
    end: int | None = None

    def holds(self, at: int | None) -> bool:
        """Return whether a position lies inside; None stands for now, after all entries."""
        if at is None:
            return self.end is None
        return self.begin <= at and (self.end is None or at < self.end)


ALWAYS = (Window(0),)


@dataclass(frozen=True)
class KeyEntry:
    """A public key, bound to one identity and one role, and the windows in which it counts."""

    identity: str
    role: Role
    public_key: str
    windows: tuple[Window, ...] = ALWAYS


@dataclass
class Keyring:
    """Keys by id. Looking a key up by the id in an envelope never widens what it may sign."""

    entries: dict[str, KeyEntry] = field(default_factory=dict)

    @classmethod
    def with_root(cls, identity: str, *public_keys: str) -> "Keyring":
        """Start from the coordinator's pinned public key, or from its keys as a root names them."""
        ring = cls()
        for public_key in public_keys:
            ring.add(KeyEntry(identity, "coordinator", public_key))
        return ring

    def add(self, entry: KeyEntry) -> None:
        """Add a key after checking that it is safe to verify with, or change its windows.

        Raises:
            TrustError: an unsafe key, or one that belongs to another identity or role.
        """
        key_id = build_key_id(entry.public_key)
        held = self.entries.get(key_id)
        if held is not None and (held.identity, held.role) != (entry.identity, entry.role):
            raise TrustError(
                f"the key of {entry.identity!r} is the {held.role} key of {held.identity!r} "
                "already; every party needs a key of its own"
            )
        self.entries[key_id] = entry

    def add_grant(self, grant: KeyGrant) -> None:
        """Add the key of a verified grant."""
        windows = (Window(grant.audit_index),)
        self.add(KeyEntry(grant.identity, grant.role, grant.public_key, windows))

    def distrust(self, identity: str) -> None:
        """Let no key of an identity count at any position."""
        for key_id, entry in self.entries.items():
            if entry.identity == identity:
                self.entries[key_id] = replace(entry, windows=())

    def find(
        self,
        key_id: str,
        *,
        roles: tuple[Role, ...],
        identity: str | None,
        at: int | None = None,
    ) -> KeyEntry:
        """Return the entry of a key that may sign in one of `roles` (as `identity`, if given).

        Raises:
            SignatureError: unknown key, wrong role, wrong identity, or not valid at `at`.
        """
        entry = self.entries.get(key_id)
        if entry is None:
            is_id = re.fullmatch("[0-9a-f]{64}", key_id)
            shown = f"{key_id[:12]}…" if is_id else "not a key's id"  # it is the signer's own text
            raise SignatureError(f"signed by an unknown key ({shown})")
        if entry.role not in roles:
            raise SignatureError(f"signed by a {entry.role} key; expected {' or '.join(roles)}")
        if identity is not None and entry.identity != identity:
            raise SignatureError(f"signed by {entry.identity!r}, but it claims to be {identity!r}")
        if not any(window.holds(at) for window in entry.windows):
            if at is None:
                raise SignatureError(
                    f"the key of {entry.identity!r} is suspended or revoked, or was rotated out"
                )
            raise SignatureError(
                f"the key of {entry.identity!r} was not valid at position {at} of the audit log: "
                "not yet enrolled, suspended, rotated out or revoked"
            )
        return entry
