"""Which key may sign in which role. The coordinator's key is the root; it grants the others."""

from dataclasses import dataclass, field

from synnq_assets.errors import SignatureError
from synnq_assets.records.federation import KeyGrant, Role
from synnq_assets.trust.keys import build_key_id


@dataclass(frozen=True)
class KeyEntry:
    """A public key, bound to one identity and one role."""

    identity: str
    role: Role
    public_key: str
    is_active: bool = True


@dataclass
class Keyring:
    """Keys by id. Looking a key up by the id in an envelope never widens what it may sign."""

    entries: dict[str, KeyEntry] = field(default_factory=dict)

    @classmethod
    def with_root(cls, identity: str, public_key: str) -> "Keyring":
        """Start from the coordinator's pinned public key."""
        ring = cls()
        ring.add(KeyEntry(identity, "coordinator", public_key))
        return ring

    def add(self, entry: KeyEntry) -> None:
        """Add a key after checking that it is safe to verify with."""
        self.entries[build_key_id(entry.public_key)] = entry

    def add_grant(self, grant: KeyGrant) -> None:
        """Add the key of a verified grant."""
        self.add(KeyEntry(grant.identity, grant.role, grant.public_key))

    def find(self, key_id: str, *, roles: tuple[Role, ...], identity: str | None) -> KeyEntry:
        """Return the entry of a key that may sign in one of `roles` (as `identity`, if given).

        Raises:
            SignatureError: unknown key, wrong role, wrong identity, or no longer active.
        """
        entry = self.entries.get(key_id)
        if entry is None:
            raise SignatureError(f"signed by an unknown key ({key_id[:12]}…)")
        if entry.role not in roles:
            raise SignatureError(f"signed by a {entry.role} key; expected {' or '.join(roles)}")
        if identity is not None and entry.identity != identity:
            raise SignatureError(f"signed by {entry.identity!r}, but it claims to be {identity!r}")
        if not entry.is_active:
            raise SignatureError(f"the key of {entry.identity!r} is suspended or revoked")
        return entry
