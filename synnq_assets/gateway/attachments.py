"""PEM files with a signed envelope attached, so that certificates are trusted as records are.

A certificate request travels with the node's signature over it, and an issued certificate, together
with the authority's, with the coordinator's: nobody on the way can exchange either. The envelope is
a PEM block of its own (RFC 7468), which other programs skip.
"""

import base64
import re
from typing import ClassVar, Literal

from synnq_assets.errors import GatewayError, RecordError, TrustError
from synnq_assets.records.base import Record, sha256_hex
from synnq_assets.records.federation import Role
from synnq_assets.records.identifiers import NodeId, Sha256
from synnq_assets.trust.envelopes import open_envelope, sign_record
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import SigningKey

MAX_PEM_BYTES = 64 << 10
_BLOCK = re.compile(
    rb"-----BEGIN SYNNQ ENVELOPE-----\n([A-Za-z0-9+/=\n]+)-----END SYNNQ ENVELOPE-----\n"
)
Purpose = Literal["certificate-request", "certificate"]


class PemStatement(Record):
    """The signer's word for the PEM text before its envelope."""

    kind: ClassVar[str] = "pem-statement"

    node_id: NodeId
    purpose: Purpose
    pem_sha256: Sha256


def attach_envelope(pem: bytes, *, node_id: str, purpose: Purpose, key: SigningKey) -> bytes:
    """Return PEM text followed by a signed statement about it."""
    statement = PemStatement(node_id=node_id, purpose=purpose, pem_sha256=sha256_hex(pem))
    encoded = base64.encodebytes(sign_record(statement, key))
    return b"%s-----BEGIN SYNNQ ENVELOPE-----\n%s-----END SYNNQ ENVELOPE-----\n" % (pem, encoded)


def open_attached(
    data: bytes, keyring: Keyring, *, node_id: str, purpose: Purpose, role: Role
) -> bytes:
    """Verify the envelope at the end of a PEM file, and return the PEM text before it.

    Args:
        data: the file's bytes.
        keyring: which key may sign in which role.
        node_id: whom the file has to be about.
        purpose: what it has to be.
        role: who has to have signed; a node only for itself.

    Raises:
        GatewayError: no envelope, another node's, or not signed by that party.
    """
    if len(data) > MAX_PEM_BYTES:
        raise GatewayError(f"a {purpose} has at most {MAX_PEM_BYTES} bytes")
    match = _BLOCK.search(data)
    if match is None or match.end() != len(data):
        raise GatewayError(f"the {purpose} of {node_id} carries no signature; have it made anew")
    pem = data[: match.start()]
    try:
        statement = open_envelope(
            base64.b64decode(match[1]),
            PemStatement,
            keyring,
            roles=(role,),
            identity=node_id if role == "node" else None,
        )
    except (RecordError, TrustError, ValueError) as error:
        raise GatewayError(f"the {purpose} of {node_id} is refused: {error}") from error
    expected = PemStatement(node_id=node_id, purpose=purpose, pem_sha256=sha256_hex(pem))
    if statement != expected:
        raise GatewayError(f"the signature is not over this {purpose} of {node_id}")
    return pem
