"""A witness: another organisation that co-signs a log's heads, each an extension of the last.

The log's own keys can sign two histories; a witness signs one. It keeps the last head that it
signed, and asks for a consistency proof from there to the next. It sees heads and hashes only.

    <folder>/witness.json    name, and the log's public keys
    <folder>/witness.pem     Ed25519 key, used for nothing else
    <folder>/last            the last head that was co-signed

Source: c2sp.org/tlog-witness (add-checkpoint), c2sp.org/tlog-cosignature (Ed25519).
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from synnq_assets.errors import AuditError, TrustError
from synnq_assets.records.base import Record
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.audit.heads import Head
from synnq_assets.trust.audit.notes import TIMED_ED25519, NoteSigner, NoteVerifier, open_note
from synnq_assets.trust.keys import SigningKey, decode_base64, encode_base64
from synnq_assets.trust.merkle import is_consistent

MAX_REQUEST_BYTES = 256 * 1024
MAX_PROOF = 63


class WitnessSettings(Record):
    """Whose heads this witness co-signs."""

    kind: ClassVar[str] = "witness-settings"

    name: str
    log_vkeys: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a witness says to a request: an HTTP status, and the body that belongs to it."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


def render_request(old: int, proof: list[bytes], note: bytes) -> bytes:
    """Return the request to co-sign a head, given the size that the witness has seen."""
    lines = [f"old {old}", *(encode_base64(item) for item in proof), "", ""]
    return "\n".join(lines).encode() + note


def parse_request(data: bytes) -> tuple[int, list[bytes], bytes]:
    """Return (old size, consistency proof, note) of a request.

    Raises:
        AuditError: not such a request.
    """
    top, blank, note = data.partition(b"\n\n")
    try:
        first, *rest = top.decode("ascii").split("\n")
        word, _, number = first.partition(" ")
        if not blank or word != "old" or not number.isdigit() or str(int(number[:20])) != number:
            raise AuditError("a request begins with the old size, and ends with a head")
        if len(rest) > MAX_PROOF:
            raise AuditError(f"a consistency proof has at most {MAX_PROOF} hashes")
        return int(number), [decode_base64(line, num_bytes=32) for line in rest], note
    except (UnicodeDecodeError, TrustError) as error:
        raise AuditError(f"not a request to co-sign: {error}") from error


class Witness:
    """One witness of one log, in one folder."""

    def __init__(self, folder: Path) -> None:
        """Open a witness.

        Raises:
            AuditError: the folder holds none.
        """
        self.folder = folder
        try:
            self.settings = WitnessSettings.parse((folder / "witness.json").read_bytes())
        except OSError as error:
            raise AuditError(f"{folder} holds no witness: {error.strerror}") from error
        self._signer = NoteSigner(
            self.settings.name, TIMED_ED25519, SigningKey.read(folder / "witness.pem")
        )
        self._log = tuple(NoteVerifier.parse(vkey) for vkey in self.settings.log_vkeys)

    @classmethod
    def create(cls, folder: Path, name: str, log_vkeys: tuple[str, ...]) -> "Witness":
        """Create a witness with a fresh key.

        Raises:
            AuditError: the folder holds one already, or what was given are no keys of one log.
        """
        if (folder / "witness.pem").exists():
            raise AuditError(f"{folder} holds a witness already; its key is not overwritten")
        origins = {NoteVerifier.parse(vkey).name for vkey in log_vkeys}
        if len(origins) != 1:
            raise AuditError(
                "a witness needs the keys of one log, as `synnq audit keys` prints them"
            )
        NoteVerifier.parse(
            NoteVerifier(name, TIMED_ED25519, (key := SigningKey.generate()).public_key).vkey
        )
        key.write(folder / "witness.pem")
        settings = WitnessSettings(name=name, log_vkeys=log_vkeys)
        write_atomically(folder / "witness.json", settings.canonical_bytes())
        return cls(folder)

    @property
    def verifier(self) -> NoteVerifier:
        """The key that others check this witness's co-signatures with."""
        return self._signer.verifier

    def last(self) -> Head | None:
        """Return the last head that was co-signed."""
        path = self.folder / "last"
        return Head.parse(path.read_text("utf-8")) if path.exists() else None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def add_checkpoint(self, data: bytes) -> Answer:
        """Answer a request to co-sign a head; the new head is on disk before the answer is given.

        Nothing in a request raises an error: a request that is refused is an answer with a status.
        """
        if len(data) > MAX_REQUEST_BYTES:
            return _refuse(413, "the request is too large")
        try:
            old, proof, note = parse_request(data)
            head, _ = open_note(note, self._log, is_enough=lambda signed: True)
        except AuditError as error:
            return _refuse(400, str(error))
        if head.origin != self._log[0].name:
            return _refuse(404, "this witness does not know the log")
        try:
            open_note(note, self._log, is_enough=lambda signed: signed == frozenset(self._log))
        except AuditError as error:
            return _refuse(403, str(error))
        with self._alone():
            return self._compare(old, proof, head)

    def _compare(self, old: int, proof: list[bytes], head: Head) -> Answer:
        last = self.last()
        seen = last.size if last else 0
        if old > head.size:
            return _refuse(400, "the old size is larger than the new one")
        if old != seen:
            return Answer(409, f"{seen}\n".encode(), "text/x.tlog.size")
        if last is None or seen == 0:
            if proof:
                return _refuse(422, "there is nothing to be consistent with yet")
        elif head.size == seen:
            if head.root != last.root:
                return _refuse(409, "another tree of the same size was co-signed before")
        elif not is_consistent(seen, head.size, proof, last.root, head.root):
            return _refuse(422, "the new tree does not extend the one that was co-signed before")
        write_atomically(self.folder / "last", head.render().encode())
        return Answer(200, self._signer.sign(head, int(time.time())).encode())


def _refuse(status: int, why: str) -> Answer:
    return Answer(status, f"{why}\n".encode())
