"""DSSE envelopes over in-toto statements: how every record is signed.

The statement's predicate is the record; its one subject carries the record's digest.
Sources: DSSE v1.0 (secure-systems-lab/dsse, protocol.md), in-toto Statement v1.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from synnq_assets.errors import RecordError, SignatureError, TrustError
from synnq_assets.records.base import Record, canonical_json, parse_strict_json
from synnq_assets.records.federation import Role
from synnq_assets.trust.keyring import KeyEntry, Keyring
from synnq_assets.trust.keys import SigningKey, decode_base64, encode_base64, parse_public_key

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_BASE = "https://synnq.eu/attestations"
MAX_SIGNATURES = 8

R = TypeVar("R", bound=Record)


def encode_for_signing(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding (PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _predicate_type(record_type: type[Record]) -> str:
    return f"{PREDICATE_BASE}/{record_type.kind}/v1"


def sign_record(record: Record, *keys: SigningKey) -> bytes:
    """Return the DSSE envelope (JSON bytes) of a record, signed with each of the keys."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": record.kind, "digest": {"sha256": record.digest()}}],
        "predicateType": _predicate_type(type(record)),
        "predicate": record.model_dump(mode="json"),
    }
    payload = canonical_json(statement)
    message = encode_for_signing(PAYLOAD_TYPE, payload)
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": encode_base64(payload),
        "signatures": [
            {"keyid": key.key_id, "sig": encode_base64(key.sign(message))} for key in keys
        ],
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


def _open_signed(data: bytes, find: Callable[[str], KeyEntry]) -> Any:
    envelope = parse_strict_json(data)
    if not isinstance(envelope, dict) or set(envelope) != {"payloadType", "payload", "signatures"}:
        raise SignatureError("not a DSSE envelope: needs payloadType, payload, signatures")
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise SignatureError(f"payload type must be {PAYLOAD_TYPE}")
    signatures = envelope["signatures"]
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise SignatureError(f"an envelope carries 1 to {MAX_SIGNATURES} signatures")
    if not isinstance(envelope["payload"], str):
        raise SignatureError("payload must be base64 text")
    payload = decode_base64(envelope["payload"])
    message = encode_for_signing(PAYLOAD_TYPE, payload)
    problem = "no signature"
    for item in signatures:
        if not isinstance(item, dict) or set(item) != {"keyid", "sig"}:
            raise SignatureError("a signature needs exactly keyid and sig")
        if not all(isinstance(value, str) for value in item.values()):
            raise SignatureError("keyid and sig must be text")
        try:
            entry = find(item["keyid"])
            parse_public_key(entry.public_key).verify(item["sig"], message)
        except TrustError as error:
            problem = str(error)
            continue
        return parse_strict_json(payload)
    raise SignatureError(problem)


def peek_record(data: bytes, record_type: type[R]) -> R:
    """Return what an envelope claims to hold; nothing of it is verified.

    Raises:
        RecordError: not an envelope with such a record.
        TrustError: its payload is not base64.
    """
    envelope = parse_strict_json(data)
    if not isinstance(envelope, dict) or not isinstance(envelope.get("payload"), str):
        raise RecordError("not a DSSE envelope")
    statement = parse_strict_json(decode_base64(envelope["payload"]))
    predicate = statement.get("predicate") if isinstance(statement, dict) else None
    return record_type.from_json_value(predicate)


def open_envelope(
    data: bytes,
    record_type: type[R],
    keyring: Keyring,
    *,
    roles: tuple[Role, ...],
    identity: str | None = None,
    at: int | None = None,
) -> R:
    """Verify an envelope as received, and return its record.

    Args:
        data: the envelope's bytes.
        record_type: the only record kind that is accepted.
        keyring: which key may sign in which role.
        roles: roles that may sign this record.
        identity: if given, the signer must be exactly this party.
        at: position in the audit log at which the key must have been valid; None: it must be now.

    Raises:
        SignatureError: not an envelope, wrong type, or no valid signature by an entitled key.
        RecordError: correctly signed, but not the expected record.
    """
    try:
        find = partial(keyring.find, roles=roles, identity=identity, at=at)
        statement = _open_signed(data, find)
    except RecordError as error:
        raise SignatureError(f"not an envelope: {error}") from error
    if not isinstance(statement, dict) or statement.get("_type") != STATEMENT_TYPE:
        raise SignatureError("payload is not an in-toto statement")
    if statement.get("predicateType") != _predicate_type(record_type):
        raise SignatureError(f"the statement is of another type, expected {record_type.kind}")
    record = record_type.from_json_value(statement.get("predicate"))
    subject = [{"name": record.kind, "digest": {"sha256": record.digest()}}]
    if statement.get("subject") != subject:
        raise SignatureError("the statement's subject is not the digest of its record")
    return record
