"""C2SP signed notes: a text, and lines that sign it.

    — <key name> base64(4 bytes of key id || signature)

Three kinds of signature, told apart by one byte in the key id: plain Ed25519 (0x01), Ed25519 with
a time (0x04, a witness), ML-DSA-44 with a time (0x06). A line of an unknown key is ignored; one of
a known key has to verify, or the whole note is refused.

Sources: c2sp.org/signed-note@v1.0.0, c2sp.org/tlog-cosignature, c2sp.org/tlog-checkpoint.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synnq_assets.errors import AuditError, TrustError
from synnq_assets.trust.keys import SigningKey, decode_base64, encode_base64, parse_public_key

ED25519, TIMED_ED25519, TIMED_ML_DSA_44 = 0x01, 0x04, 0x06
MAX_NOTE_BYTES = 256 * 1024
MAX_SIGNATURES = 16
_ALGORITHM = {ED25519: "ed25519", TIMED_ED25519: "ed25519", TIMED_ML_DSA_44: "ml-dsa-44"}
_PREFIX = "— "
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True)
class Head:
    """A tree of a log: `root` is 32 bytes."""

    origin: str
    size: int
    root: bytes

    def render(self) -> str:
        """Return the note's text."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read a checkpoint's text; extension lines are refused, since nobody audits them.

        Raises:
            AuditError: not an origin, a size and a root, each in its one spelling.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not all(lines[:3]):
            raise AuditError("a head has three lines: origin, size, root")
        origin, size, root = lines[:3]
        if not (size.isascii() and size.isdigit()) or str(int(size[:20])) != size:
            raise AuditError("the size in a head is not a plain decimal number")
        try:
            return cls(origin, int(size), decode_base64(root, num_bytes=32))
        except TrustError as error:
            raise AuditError(f"the root in a head: {error}") from error


def _signed_bytes(kind: int, name: str, head: Head, timestamp: int) -> bytes:
    """Return what a signature of a kind covers."""
    if kind == ED25519:
        return head.render().encode()
    if kind == TIMED_ED25519:
        return f"cosignature/v1\ntime {timestamp}\n{head.render()}".encode()
    cosigner, origin = name.encode(), head.origin.encode()
    return b"".join(
        (
            b"subtree/v1\n\0",
            struct.pack(">B", len(cosigner)) + cosigner,
            struct.pack(">Q", timestamp),
            struct.pack(">B", len(origin)) + origin,
            struct.pack(">QQ", 0, head.size),
            head.root,
        )
    )


def _check_name(name: str) -> None:
    if not name or len(name.encode()) > 255 or any(c.isspace() or c == "+" for c in name):
        raise AuditError(f"{name[:60]!r} cannot name a key: no spaces, no plus, 1 to 255 bytes")


@dataclass(frozen=True)
class NoteVerifier:
    """A key that a reader knows: name, kind of signature, public key `<algorithm>:<base64>`."""

    name: str
    kind: int
    public_key: str

    @property
    def key_id(self) -> bytes:
        """The 4 bytes before every signature of this key."""
        raw = parse_public_key(self.public_key).raw
        named = self.name.encode() + b"\n" + bytes([self.kind]) + raw
        return hashlib.sha256(named).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key as text: `<name>+<key id, hex>+<base64 of kind and public bytes>`."""
        raw = parse_public_key(self.public_key).raw
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.kind]) + raw)}"

    @classmethod
    def parse(cls, vkey: str) -> "NoteVerifier":
        """Read a key from its text.

        Raises:
            AuditError: not a key of a known kind, or its id is not its own.
        """
        name, _, rest = vkey.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        _check_name(name)
        try:
            data = decode_base64(encoded)
            if not data or data[0] not in _ALGORITHM:
                raise AuditError(f"{name}: not a kind of key that is known here")
            found = cls(name, data[0], f"{_ALGORITHM[data[0]]}:{encode_base64(data[1:])}")
            if found.key_id.hex() != key_id:
                raise AuditError(f"{name}: the key's id does not belong to it")
        except TrustError as error:
            raise AuditError(f"not a verifier key: {error}") from error
        return found

    def verify(self, head: Head, signature: bytes) -> int:
        """Check a signature (without key id) of a head; return its time, 0 for a plain one.

        Raises:
            TrustError: it does not verify.
        """
        timestamp = 0
        if self.kind != ED25519:
            if len(signature) < 8:
                raise AuditError("a timed signature is cut")
            (timestamp,) = struct.unpack(">Q", signature[:8])
            signature = signature[8:]
            if timestamp >= 2**63:
                raise AuditError("a timed signature is out of time")
        message = _signed_bytes(self.kind, self.name, head, timestamp)
        parse_public_key(self.public_key).verify(encode_base64(signature), message)
        return timestamp


@dataclass(frozen=True)
class NoteSigner:
    """A key that signs heads under a name."""

    name: str
    kind: int
    key: SigningKey

    @property
    def verifier(self) -> NoteVerifier:
        """The public side."""
        return NoteVerifier(self.name, self.kind, self.key.public_key)

    def sign(self, head: Head, timestamp: int) -> str:
        """Return one signature line; `timestamp` in POSIX seconds, unused by plain signatures."""
        signature = self.key.sign(_signed_bytes(self.kind, self.name, head, timestamp))
        timed = b"" if self.kind == ED25519 else struct.pack(">Q", timestamp)
        return f"{_PREFIX}{self.name} {encode_base64(self.verifier.key_id + timed + signature)}\n"


def render_note(head: Head, lines: Sequence[str]) -> bytes:
    """Return a note of a head and its signature lines."""
    return (head.render() + "\n" + "".join(lines)).encode()


@dataclass(frozen=True)
class SignatureLine:
    """A signature line, taken apart and not verified."""

    name: str
    key_id: bytes
    signature: bytes


def parse_note(data: bytes) -> tuple[Head, tuple[SignatureLine, ...]]:
    """Return a note's head and its lines; nothing is verified.

    Raises:
        AuditError: not a note, more than `MAX_SIGNATURES` lines, or two of the same key.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise AuditError(f"a note of {len(data)} bytes; at most {MAX_NOTE_BYTES} are read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AuditError("a note that is not UTF-8") from error
    if _CONTROL.search(text) or not text.endswith("\n"):
        raise AuditError("a note with control characters, or without its last line's end")
    body, blank, tail = text.rpartition("\n\n")
    lines = tail.split("\n")[:-1]
    if not blank or not 1 <= len(lines) <= MAX_SIGNATURES:
        raise AuditError(f"a note carries 1 to {MAX_SIGNATURES} signatures")
    parsed = tuple(_parse_line(line) for line in lines)
    if len({(line.name, line.key_id) for line in parsed}) != len(parsed):
        raise AuditError("a note with two signatures of the same key")
    return Head.parse(body + "\n"), parsed


def _parse_line(line: str) -> SignatureLine:
    parts = line.removeprefix(_PREFIX).split(" ")
    if not line.startswith(_PREFIX) or len(parts) != 2:
        raise AuditError("a signature line is a dash, a name and a signature")
    _check_name(parts[0])
    try:
        data = decode_base64(parts[1])
    except TrustError as error:
        raise AuditError(f"a signature line: {error}") from error
    if len(data) < 5:
        raise AuditError("a signature line is cut")
    return SignatureLine(parts[0], data[:4], data[4:])


def open_note(
    data: bytes,
    verifiers: Sequence[NoteVerifier],
    *,
    is_enough: Callable[[frozenset[NoteVerifier]], bool] = bool,
) -> tuple[Head, dict[NoteVerifier, int]]:
    """Return a note's head, and the known keys that signed it with their times.

    Args:
        data: the note as received.
        verifiers: keys that the reader knows; lines of others are ignored.
        is_enough: whether a set of known keys suffices; one does, unless told otherwise.

    Raises:
        AuditError: not a note, a known key's signature fails, or too few known keys signed.
    """
    head, lines = parse_note(data)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed: dict[NoteVerifier, int] = {}
    for line in lines:
        verifier = known.get((line.name, line.key_id))
        if verifier is None:
            continue
        try:
            signed[verifier] = verifier.verify(head, line.signature)
        except TrustError as error:
            raise AuditError(f"head of {head.size} entries: {line.name}: {error}") from error
    if not is_enough(frozenset(signed)):
        names = ", ".join(sorted(verifier.name for verifier in signed)) or "no known key"
        raise AuditError(f"head of {head.size} entries is signed by {names}; that is not enough")
    return head, signed
