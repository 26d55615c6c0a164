"""Receipts: an entry's place under a signed head, as C2SP tlog-proofs.

Source: c2sp.org/tlog-proof@v1
"""

from collections.abc import Sequence
from dataclasses import dataclass

from synnq_assets.errors import AuditError, TrustError
from synnq_assets.trust.audit.heads import Head, LogVerifier
from synnq_assets.trust.audit.notes import parse_note
from synnq_assets.trust.keys import decode_base64, encode_base64
from synnq_assets.trust.merkle import hash_leaf, is_included

_FIRST_LINE = "c2sp.org/tlog-proof@v1"
MAX_PATH = 63


def render_proof(index: int, path: Sequence[bytes], note: bytes) -> bytes:
    """Return the proof's text: index, audit path from the leaf up, signed head."""
    lines = [_FIRST_LINE, f"index {index}", *(encode_base64(item) for item in path), "", ""]
    return "\n".join(lines).encode() + note


@dataclass(frozen=True)
class Receipt:
    """A proof, taken apart and not verified."""

    index: int
    path: tuple[bytes, ...]
    note: bytes


def parse_proof(data: bytes) -> Receipt:
    """Read a proof's text; a line of extra data, which nothing signs, is skipped.

    Raises:
        AuditError: not a tlog-proof.
    """
    top, blank, note = data.partition(b"\n\n")
    try:
        lines = top.decode("ascii").split("\n")
        if len(lines) > 1 and lines[1].startswith("extra "):
            decode_base64(lines.pop(1)[6:])
        word, _, number = lines[1].partition(" ")
        is_plain = word == "index" and number.isdigit() and str(int(number[:20])) == number
        if not blank or lines[0] != _FIRST_LINE or not is_plain or len(lines) > 2 + MAX_PATH:
            raise AuditError("not a receipt in the form of a tlog-proof")
        path = tuple(decode_base64(line, num_bytes=32) for line in lines[2:])
    except (UnicodeDecodeError, IndexError, TrustError) as error:
        raise AuditError(f"not a receipt in the form of a tlog-proof: {error}") from error
    return Receipt(int(number), path, note)


@dataclass(frozen=True)
class Evidence:
    """An entry's bytes as logged, and the receipt for them: all that a third party needs."""

    entry: bytes
    receipt: bytes

    @property
    def head(self) -> Head:
        """The head in the receipt; not verified.

        Raises:
            AuditError: not a receipt.
        """
        return parse_note(parse_proof(self.receipt).note)[0]


def verify_receipt(data: bytes, entry: bytes, verifier: LogVerifier) -> Head:
    """Check that a log's signed head covers an entry; return the head.

    Args:
        data: the receipt.
        entry: the entry's bytes, as logged.
        verifier: the log's public keys.

    Raises:
        AuditError: another entry, another log, or a damaged proof.
    """
    receipt = parse_proof(data)
    head = verifier.open(receipt.note)
    leaf = hash_leaf(entry)
    if not is_included(leaf, receipt.index, head.size, receipt.path, head.root):
        raise AuditError(f"the receipt does not prove entry {receipt.index}")
    return head
