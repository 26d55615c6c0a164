"""The signed heads of a log: C2SP checkpoints under the log's own name.

Each head carries an Ed25519 signature and an ML-DSA-44 co-signature; both have to verify.

Source: c2sp.org/tlog-checkpoint@v1.0.0 (Ed25519 for the public witness network; ML-DSA-44 as it
recommends for new logs).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from synnq_assets.errors import AuditError, TrustError
from synnq_assets.trust.audit.notes import (
    ED25519,
    TIMED_ML_DSA_44,
    Head,
    NoteSigner,
    NoteVerifier,
    open_note,
    render_note,
)
from synnq_assets.trust.keyfiles import KeyFile
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import SigningKey, parse_public_key
from synnq_assets.trust.wrapping import KeyWrapper

__all__ = ["Head", "LogKeys", "LogVerifier", "build_origin"]

_ORIGINS = "synnq.eu/audit/"


def build_origin(federation: str) -> str:
    """Return the name of a federation's log."""
    return f"{_ORIGINS}{federation}"


@dataclass(frozen=True)
class LogVerifier:
    """What a reader has to know to believe a head: the log's name and its two public keys."""

    origin: str
    ed25519: str  # <algorithm>:<base64>
    ml_dsa_44: str

    @classmethod
    def from_keyring(cls, federation: str, keyring: Keyring) -> "LogVerifier":
        """Return the keys that the coordinator granted in the role "log".

        Raises:
            TrustError: one of the two is not on the keyring.
        """
        held = {
            parse_public_key(entry.public_key).algorithm.name: entry.public_key
            for entry in keyring.entries.values()
            if entry.role == "log"
        }
        try:
            return cls(build_origin(federation), held["ed25519"], held["ml-dsa-44"])
        except KeyError as error:
            raise TrustError(f"no {error} key of the audit log was granted") from error

    @property
    def verifiers(self) -> tuple[NoteVerifier, NoteVerifier]:
        """The two keys as note verifiers."""
        return (
            NoteVerifier(self.origin, ED25519, self.ed25519),
            NoteVerifier(self.origin, TIMED_ML_DSA_44, self.ml_dsa_44),
        )

    def open(self, note: bytes) -> Head:
        """Return a head that both keys of the log signed.

        Raises:
            AuditError: it is of another log, or one of the signatures is missing or fails.
        """
        both = frozenset(self.verifiers)
        head, _ = open_note(note, self.verifiers, is_enough=lambda signed: signed == both)
        if head.origin != self.origin:
            raise AuditError(f"a head of the log {head.origin[:80]!r}, expected {self.origin!r}")
        return head


@dataclass(frozen=True)
class LogKeys:
    """The private keys of a log, used for nothing else."""

    origin: str
    ed25519: SigningKey
    ml_dsa_44: SigningKey

    @classmethod
    def generate(cls, federation: str) -> "LogKeys":
        """Create new keys."""
        return cls(
            build_origin(federation), SigningKey.generate(), SigningKey.generate("ml-dsa-44")
        )

    @classmethod
    def read(cls, folder: Path, federation: str) -> "LogKeys":
        """Read `log.pem` and `log-ml-dsa-44.pem`.

        Raises:
            TrustError: missing or unreadable.
        """
        return cls(
            build_origin(federation),
            SigningKey.read(KeyFile(folder / "log.pem", federation, "log")),
            SigningKey.read(KeyFile(folder / "log-ml-dsa-44.pem", federation, "log-ml-dsa-44")),
        )

    def write(self, folder: Path, wrapper: KeyWrapper | None = None) -> None:
        """Write both, wrapped or plain, readable by the owner alone."""
        federation = self.origin.removeprefix(_ORIGINS)
        for name, key in (("log", self.ed25519), ("log-ml-dsa-44", self.ml_dsa_44)):
            key.write(KeyFile(folder / f"{name}.pem", federation, name), wrapper)

    @property
    def verifier(self) -> LogVerifier:
        """The public side."""
        return LogVerifier(self.origin, self.ed25519.public_key, self.ml_dsa_44.public_key)

    def sign(self, size: int, root: bytes, *, at: datetime | None = None) -> bytes:
        """Return the signed head of a tree."""
        head = Head(self.origin, size, root)
        timestamp = int((at or datetime.now(UTC)).timestamp())
        signers = (
            NoteSigner(self.origin, ED25519, self.ed25519),
            NoteSigner(self.origin, TIMED_ML_DSA_44, self.ml_dsa_44),
        )
        return render_note(head, [signer.sign(head, timestamp) for signer in signers])
