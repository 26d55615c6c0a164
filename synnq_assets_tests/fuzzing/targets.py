"""Every parser that reads foreign bytes: what it is, and valid samples to start from."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synnq_assets.errors import SynnqError
from synnq_assets.gateway.attachments import attach_envelope, open_attached
from synnq_assets.gateway.certificates import build_request, parse_request, read_node_id
from synnq_assets.gateway.refusals import RefusalError
from synnq_assets.records.base import Record, canonical_json, parse_strict_json
from synnq_assets.records.federation import ParticipationAgreement
from synnq_assets.records.identifiers import (
    parse_assignment_id,
    parse_node_id,
    parse_round_key,
)
from synnq_assets.settings import load_node_settings, load_profile, load_recipe, read_settings
from synnq_assets.storage.objects import check_key
from synnq_assets.storage.tensors import TensorFile
from synnq_assets.storage.tokens import decode_tokens
from synnq_assets.submissions.logs import iter_texts, read_diagnostics, read_training_log
from synnq_assets.trust import Keyring, SigningKey, sign_record
from synnq_assets.trust.audit import LogKeys, verify_export
from synnq_assets.trust.audit.notes import NoteVerifier, open_note
from synnq_assets.trust.audit.receipts import parse_proof, verify_receipt
from synnq_assets.trust.audit.witness import parse_request as parse_witness_request
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keyfiles import KeyFile, read_facts, read_private, write_private
from synnq_assets.trust.keyring import KeyEntry
from synnq_assets.trust.keys import SealingKey, load_sealing_public_key, parse_public_key
from synnq_assets.trust.sealing import open_sealed, seal_bytes, unwrap_data_key, wrap_data_key
from synnq_assets.trust.wrapping.file import FileWrapper
from synnq_assets_tests.builders import build_agreement
from synnq_assets_tests.fuzzing import samples

TYPED = (SynnqError, RefusalError, verify_export.Broken)
NODE = "node-a"


@dataclass(frozen=True)
class Target:
    """A parser: a value, or one of `TYPED`; everything else is a finding."""

    name: str
    parse: Callable[[bytes], Any]
    samples: tuple[bytes, ...]


@cache
def _folder() -> Path:
    """Files go into memory where the machine has it: the parsers take paths."""
    shared = Path("/dev/shm")
    return Path(
        tempfile.mkdtemp(prefix="synnq-fuzz-", dir=shared if os.access(shared, os.W_OK) else None)
    )


def _from_file(name: str, parse: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    path = _folder() / f"{os.getpid()}-{name}"

    def parse_file(data: bytes) -> Any:
        path.write_bytes(data)
        return parse(path)

    return parse_file


def _parse_ids(data: bytes) -> None:
    text = data.decode("utf-8", "surrogatepass") if data.isascii() else data.decode("latin-1")
    for parse in (parse_node_id, parse_round_key, parse_assignment_id, check_key):
        try:
            parse(text)
        except SynnqError:
            continue
        assert text.isascii()
        assert text.isprintable()
        assert " " not in text
        assert not {"", ".", ".."} & set(text.split("/"))
    read_node_id({"subjectAltName": (("URI", f"urn:synnq:node:{text}"),)})


def _record_targets() -> Target:
    kinds = samples.list_record_types()

    def parse(data: bytes) -> Any:
        """The first byte says which record."""
        if not data:
            return None
        record = kinds[data[0] % len(kinds)].parse(data[1:])
        again = type(record).parse(record.canonical_bytes())
        assert again == record
        return record

    valid = [canonical_json(samples.build_skeleton(kind)) for kind in kinds]
    return Target("records", parse, tuple(bytes([k]) + data for k, data in enumerate(valid)))


def _envelope_targets() -> list[Target]:
    key, agreement = SigningKey.generate(), build_agreement(NODE)
    ring = Keyring()
    ring.add(KeyEntry(NODE, "node", key.public_key))
    envelope = sign_record(agreement, key)

    def open_as_received(data: bytes) -> Record:
        return open_envelope(data, ParticipationAgreement, ring, roles=("node",), identity=NODE)

    def open_signed(data: bytes) -> Record:
        return open_as_received(samples.render_envelope_around(data, key))

    pem = build_request(ec.generate_private_key(ec.SECP256R1()), NODE)
    attached = attach_envelope(pem, node_id=NODE, purpose="certificate-request", key=key)

    def open_pem(data: bytes) -> Any:
        found = open_attached(data, ring, node_id=NODE, purpose="certificate-request", role="node")
        assert attached.startswith(found)
        return found

    return [
        Target("envelope", open_as_received, (envelope,)),
        Target("envelope-signed", open_signed, (samples.read_payload(envelope),)),
        Target("certificate-request", parse_request, (pem,)),
        Target("attached-envelope", open_pem, (attached,)),
    ]


def _log_targets() -> list[Target]:
    keys = LogKeys.generate("synnq-fuzz")
    note, proof, request = samples.render_log_samples(keys)
    vkey = keys.verifier.verifiers[0].vkey

    def open_twice(data: bytes) -> None:
        """Both verifiers, which share no code, open the same heads."""
        try:
            head, _ = open_note(data, [keys.verifier.verifiers[0]])
        except SynnqError:
            head = None
        try:
            other = verify_export.open_note(data, [verify_export.parse_vkey(vkey)])
        except verify_export.Broken:
            other = None
        if head is not None:
            assert other == (head.origin, head.size, head.root), "the verifiers disagree"

    def parse_both(data: bytes) -> None:
        receipt = parse_proof(data)
        verify_receipt(data, b"entry", keys.verifier)
        assert receipt.index >= 0

    def parse_vkey(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        for parse in (NoteVerifier.parse, verify_export.parse_vkey, parse_public_key):
            try:
                parse(text)
            except TYPED:
                continue
        load_sealing_public_key(text)

    vkeys = tuple(verifier.vkey.encode() for verifier in keys.verifier.verifiers)
    public = (keys.ed25519.public_key.encode(), SealingKey.generate().public_key.encode())
    return [
        Target("note", open_twice, (note,)),
        Target("receipt", parse_both, (proof,)),
        Target("witness-request", parse_witness_request, (request,)),
        Target("public-key", parse_vkey, (*vkeys, *public)),
    ]


def _storage_targets() -> list[Target]:
    def read_tensors(data: bytes) -> None:
        file = TensorFile.from_bytes("fuzz", data)
        for name in file.tensors:
            file.read(name)

    return [
        Target("safetensors", read_tensors, (samples.render_tensors(), samples.render_tokens())),
        Target(
            "tokens", lambda data: decode_tokens(data, vocab_size=600), (samples.render_tokens(),)
        ),
    ]


def _read_tables(path: Path) -> None:
    for read in (read_training_log, read_diagnostics, lambda path: list(iter_texts(path))):
        try:
            read(path)
        except SynnqError:
            continue


def _sealing_targets() -> list[Target]:
    key, data_key, context = SealingKey.generate(), b"k" * 32, b"context"
    path = _folder() / "sealed"
    seal_bytes(b"plaintext" * 4000, data_key, context, path)
    wrapped = wrap_data_key(data_key, key.public_key, context).encode()

    def unwrap(data: bytes) -> bytes:
        return unwrap_data_key(data.decode("utf-8", "replace"), key, context)

    return [
        Target(
            "sealed-shard",
            _from_file("sealed", lambda path: open_sealed(path, data_key, context)),
            (path.read_bytes(),),
        ),
        Target("wrapped-data-key", unwrap, (wrapped,)),
    ]


def _key_file_target() -> Target:
    wrapping = _folder() / "wrapping"
    wrapping.mkdir(exist_ok=True)
    wrapper, private = FileWrapper(wrapping), Ed25519PrivateKey.generate()
    found = []
    for held in (wrapper, None):
        file = KeyFile(_folder() / "key", "synnq-fuzz", "coordinator")
        write_private(file, private, held)
        found.append(file.path.read_bytes())

    def read(path: Path) -> None:
        file = KeyFile(path, "synnq-fuzz", "coordinator")
        read_facts(file)
        read_private(file, wrapper)

    return Target("key-file", _from_file("key", read), tuple(found))


def _registry_target() -> Target:
    from synnq_assets.records.base import now_at
    from synnq_assets.trust.registry.roles import RootKeys, build_root, sign_metadata, verify_root

    keys = [SigningKey.generate() for _ in range(5)]
    public = tuple(key.public_key for key in keys)
    named = RootKeys(root=public[:3], coordinator=(public[3],), online=(public[4],))
    root = sign_metadata(build_root(named, version=1, now=now_at()), keys[:2])
    return Target("registry-root", lambda data: verify_root(data, None), (root,))


def _settings_targets() -> list[Target]:
    node = (
        "node_id: node-a\nfederation: synnq-fuzz\norganisation: A\nsigning_key: keys/signing.pem\n"
        f"sealing_key: keys/sealing.pem\ncoordinator_public_key: ed25519:{'A' * 43}=\n"
        f"agreement_sha256: {'a' * 64}\nexposure_file: exposure.json\n"
    )
    recipes, profiles = samples.read_shipped("recipes"), samples.read_shipped("profiles")
    return [
        Target(
            "recipe",
            _from_file("recipe.yaml", lambda path: load_recipe(str(path), {})),
            tuple(recipes),
        ),
        Target(
            "site-profile",
            _from_file("profile.yaml", lambda path: load_profile(str(path), {})),
            tuple(profiles),
        ),
        Target("node-settings", _from_file("node.yaml", load_node_settings), (node.encode(),)),
        Target("settings", _from_file("settings.json", read_settings), (_resolved(),)),
    ]


def _resolved() -> bytes:
    from synnq_assets.settings import resolve_settings

    return resolve_settings("local", "smoke").canonical_bytes()


@cache
def build_targets() -> dict[str, Target]:
    """Return all targets by name."""
    tables = tuple(
        samples.render_table(columns)
        for columns in (samples.LOG_COLUMNS, samples.DIAGNOSTIC_COLUMNS)
    )
    json_samples = (b'{"a": [1, -2.5e3, true, null, "\\u00e9"], "b": {"c": {}}}', b"[0]", b'"x"')
    ids = (b"node-a", b"r0007", b"r0007.lumi-g-03.1", b"rounds/r0001/orders/r0001.node-a.1.json")
    found = [
        Target("json", parse_strict_json, json_samples),
        Target("identifiers", _parse_ids, ids),
        _record_targets(),
        *_envelope_targets(),
        *_log_targets(),
        *_storage_targets(),
        Target("parquet", _from_file("table.parquet", _read_tables), tables),
        *_sealing_targets(),
        _key_file_target(),
        _registry_target(),
        *_settings_targets(),
    ]
    return {target.name: target for target in found}


def try_target(target: Target, data: bytes) -> bool:
    """Parse; return whether there was a value. Whatever is not typed goes through."""
    try:
        target.parse(data)
    except TYPED:
        return False
    return True
