"""Valid bytes of every kind, made once for a process."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from synnq_assets.records.base import Record, now_at
from synnq_assets.records.orders import FileDigest, digest_files
from synnq_assets.storage.tensors import encode_tensors
from synnq_assets.storage.tokens import TokenShard, encode_tokens
from synnq_assets.trust.audit import LogKeys
from synnq_assets.trust.audit.receipts import render_proof
from synnq_assets.trust.audit.witness import render_request
from synnq_assets.trust.encoding import encode_base64

# A text for each pattern of records/identifiers.py, and for the few others.
TEXTS = (
    *("a" * 64, "r0001", "r0001.node-a.1", "node-a", "de.law", "de", "law", "a.json", "0.1.0"),
    *("1", "cuda", "a", "A", "TrainingError@0123456789ab", ""),
)
LOG_COLUMNS = {
    "step": [0, 1],
    "epoch": [1, 1],
    "num_steps": [1, 1],
    "shard": [0, 0],
    "tokens": [256, 256],
    "loss": [4.0, 3.9],
    "gradient_norm": [1.0, 1.0],
    "learning_rate": [0.001, 0.001],
    "tokens_per_second": [1000.0, 1000.0],
}
DIAGNOSTIC_COLUMNS = {
    "seconds": [0.0, 1.0],
    "cpu_percent": [50.0, 60.0],
    "memory_bytes": [2**30, 2**30],
    "gpu_percent": pa.array([None, None], pa.float64()),
    "gpu_watts": pa.array([None, None], pa.float64()),
}


def list_record_types() -> list[type[Record]]:
    """Return every record class of the package, by name."""
    import synnq_assets.federation.enrolment
    import synnq_assets.gateway.attachments
    import synnq_assets.gateway.inbox
    import synnq_assets.records.corpora
    import synnq_assets.records.jobs
    import synnq_assets.records.releases
    import synnq_assets.records.rounds
    import synnq_assets.records.shards
    import synnq_assets.records.submissions
    import synnq_assets.trust.concealing
    import synnq_assets.trust.keyfiles  # noqa: F401 - imported so that their records are known

    def below(kind: type[Record]) -> Iterator[type[Record]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    ours = {kind for kind in below(Record) if kind.__module__.startswith("synnq_assets.")}
    return sorted(ours, key=lambda kind: f"{kind.__name__} {kind.__module__}")


def build_skeleton(model: type[BaseModel]) -> Any:
    """Return a JSON value with every field of a model; most are valid."""
    schema = model.model_json_schema()
    return _fill(schema, schema.get("$defs", {}))


def _fill(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _fill(known[schema["$ref"].rsplit("/", 1)[1]], known)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _fill(schema[choice][0], known)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type")
    if kind == "object":
        parts = schema.get("properties", {})
        return _agree({name: _fill(part, known) for name, part in parts.items()})
    if kind == "array":
        parts = schema.get("prefixItems")
        if parts is None:
            parts = [schema["items"]] * max(1, schema.get("minItems", 1))
        return [_fill(part, known) for part in parts]
    if kind == "string":
        return _fill_text(schema)
    filled = {"integer": schema.get("minimum", 1), "number": 0.5, "boolean": False}
    return filled.get(str(kind))


def _agree(value: dict[str, Any]) -> dict[str, Any]:
    """Mend what has to agree between the fields of a record."""
    if "fractions" in value:
        value |= {"fractions": [0.0, 1.0], "learning_rates": [0.001, 0.001]}
    if {"round", "checkpoint_sha256", "files"} == set(value):
        files = tuple(FileDigest.from_json_value(file) for file in value["files"])
        value["checkpoint_sha256"] = digest_files(files)
    return value


def _fill_text(schema: dict[str, Any]) -> str:
    if schema.get("format") == "date-time":
        return "2026-11-01T12:00:00Z"
    least, most = schema.get("minLength", 0), schema.get("maxLength", 100)
    fitting = (text for text in TEXTS if least <= len(text) <= most)
    return next(text for text in fitting if re.search(schema.get("pattern", ""), text))


def render_table(columns: dict[str, Any]) -> bytes:
    """Return Parquet bytes, as the payload writes them."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, store_schema=False)
    return sink.getvalue()


def render_tensors() -> bytes:
    """Return a safetensors file with a few dtypes."""
    values = np.arange(8, dtype=np.uint16)
    return encode_tensors(
        {
            "model.norm.weight": ("BF16", values),
            "b": ("F32", np.ones((2, 2), np.float32)),
            "c": ("I64", np.arange(2)),
        },
        {"format": "pt"},
    )


def render_tokens() -> bytes:
    """Return a shard's plaintext."""
    shard = TokenShard(
        cell="de.law",
        tokenizer_sha256="a" * 64,
        tokens=np.array([5, 6, 0, 7, 0], np.uint16),
        offsets=np.array([0, 3, 5]),
    )
    return encode_tokens(shard, vocab_size=600)


def render_log_samples(keys: LogKeys) -> tuple[bytes, bytes, bytes]:
    """Return a signed head, a receipt and a witness's request."""
    note = keys.sign(4, b"\1" * 32, at=now_at())
    path = [b"\2" * 32, b"\3" * 32]
    return note, render_proof(1, path, note), render_request(2, path, note)


def render_envelope_around(payload: bytes, key: Any) -> bytes:
    """Return a correctly signed envelope around any payload."""
    from synnq_assets.trust.envelopes import PAYLOAD_TYPE, encode_for_signing

    message = encode_for_signing(PAYLOAD_TYPE, payload)
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": encode_base64(payload),
        "signatures": [{"keyid": key.key_id, "sig": encode_base64(key.sign(message))}],
    }
    return json.dumps(envelope).encode()


def read_payload(envelope: bytes) -> bytes:
    """Return what an envelope holds."""
    return base64.b64decode(json.loads(envelope)["payload"])


def read_shipped(kind: str) -> list[bytes]:
    """Return the shipped settings files of a kind."""
    import synnq_assets.settings

    folder = Path(synnq_assets.settings.__file__).parent / kind
    return [path.read_bytes() for path in sorted(folder.glob("*.yaml"))]
