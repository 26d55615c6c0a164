"""Check a release folder without a network, from one root key or none.

Each signature is checked before what it covers is believed: the root signs key grants, a granted
release key signs the list of all files, the files are compared with the list, and only then is
their content read.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from synnq_assets.errors import ReleaseError, SignatureError, SynnqError
from synnq_assets.records.base import Record, parse_strict_json
from synnq_assets.records.federation import KeyGrant
from synnq_assets.records.orders import FileDigest, digest_files
from synnq_assets.records.releases import ReleaseRecord
from synnq_assets.records.rounds import CheckpointRecord, EvaluationRecord
from synnq_assets.release.contents import (
    EVALUATIONS_FOLDER,
    KEYS_FOLDER,
    MODEL_FILE,
    PROMOTION_FILE,
    PROOF_FILE,
    RECORD_FILE,
    ROOT_KEY_FILE,
    ROUNDS_FOLDER,
    SHARDS_FILE,
    list_paths,
    read_small_file,
    verify_files,
)
from synnq_assets.release.inputs import verify_chain, verify_evaluations
from synnq_assets.release.llama import verify_weights
from synnq_assets.trust.audit import AuditEntry, LogVerifier
from synnq_assets.trust.audit.receipts import Evidence, parse_proof, verify_receipt
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keyring import Keyring

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class VerifiedRelease:
    """A folder that passed every check."""

    record: ReleaseRecord
    is_pinned: bool  # False: the root key came from the folder itself; it says nothing of who
    checks: tuple[tuple[str, str], ...]  # (name, what was found)


def verify_release(folder: Path, root_public_key: str | None = None) -> VerifiedRelease:
    """Check every file, signature and link of a release folder; the weights are read once.

    A grant that was revoked after the release cannot be seen offline.

    Args:
        folder: the release; nothing outside of it is read.
        root_public_key: the coordinator's root key (ed25519:…), obtained apart from the folder.
            Without it, the folder is checked against the root key that it carries.

    Raises:
        ReleaseError: names the first thing that is wrong. Do not use the model; fetch it again,
            or ask the provider.
    """
    try:
        return _verify(folder, root_public_key)
    except SynnqError as error:
        raise ReleaseError(f"{folder} does not verify: {error}") from error
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{folder} does not verify: cannot read it: {error}") from error


def _verify(folder: Path, root_public_key: str | None) -> VerifiedRelease:
    checks: list[tuple[str, str]] = []
    paths = list_paths(folder)
    root = _verify_root(folder, paths, root_public_key)
    is_pinned = root_public_key is not None
    checks.append(("root key", "the given one" if is_pinned else "from the folder; not pinned"))
    grants = _open_grants(folder, paths, root)
    record = _open_record(folder, grants)
    checks.append(("signature", f"release key of {record.federation}, granted by the root"))
    verify_files(folder, record.files)
    checks.append(("files", f"{len(record.files)} files, exact set, digests and lengths"))
    _verify_checkpoint(record)
    checks.append(("checkpoint", record.checkpoint_sha256))
    chain = _verify_lineage(folder, record)
    checks.append(("chain", f"{chain[0].round} to {chain[-1].round}, {len(chain)} checkpoints"))
    checks.append(("promotion", _verify_promotion(folder, record, grants)))
    checks.append(("shards", f"{_verify_shards(folder, record)} shards"))
    checks.append(("weights", f"{verify_weights(folder)} parameters, as config.json calls for"))
    return VerifiedRelease(record, is_pinned, tuple(checks))


def _verify_root(folder: Path, paths: list[str], pinned: str | None) -> Keyring:
    if ROOT_KEY_FILE not in paths or RECORD_FILE not in paths:
        missing = RECORD_FILE if RECORD_FILE not in paths else ROOT_KEY_FILE
        raise ReleaseError(f"{missing} is missing; this is not a release folder")
    text = read_small_file(folder / ROOT_KEY_FILE).decode("ascii")
    held = text.removesuffix("\n")
    if pinned is not None and held != pinned:
        raise ReleaseError("it was made under another root key than the one given")
    return Keyring.with_root("coordinator", held)


def _open_grants(folder: Path, paths: list[str], root: Keyring) -> Keyring:
    """Return the keys of releases and of the audit log that the root granted."""
    ring = Keyring()
    for path in paths:
        if path.startswith(f"{KEYS_FOLDER}/"):
            try:
                data = read_small_file(folder / path)
                grant = open_envelope(data, KeyGrant, root, roles=("coordinator",))
            except SignatureError as error:
                raise ReleaseError(f"{path}: {error}") from error
            if grant.role in ("release", "log"):
                ring.add_grant(grant)
    return ring


def _open_record(folder: Path, keys: Keyring) -> ReleaseRecord:
    data = read_small_file(folder / RECORD_FILE)
    try:
        record = open_envelope(data, ReleaseRecord, keys, roles=("release",))
    except SignatureError as error:
        raise ReleaseError(f"{RECORD_FILE}: {error}") from error
    envelope = parse_strict_json(data)
    # No signature covers the envelope's own bytes, so only one spelling of it is accepted.
    spelling = json.dumps(envelope, separators=(",", ":")).encode()
    if data != spelling or len(envelope["signatures"]) != 1:
        raise ReleaseError(f"{RECORD_FILE} is signed, but not in the spelling that was written")
    return record


def _verify_checkpoint(record: ReleaseRecord) -> None:
    """Compare the digest of the weights, which `verify_files` has just recomputed."""
    weights = tuple(
        FileDigest(name=file.path, sha256=file.sha256, num_bytes=file.num_bytes)
        for file in record.files
        if file.path == MODEL_FILE
    )
    if digest_files(weights) != record.checkpoint_sha256:
        raise ReleaseError(f"{MODEL_FILE} is not the checkpoint that the record names")


def _verify_promotion(folder: Path, record: ReleaseRecord, grants: Keyring) -> str:
    """Check that the log's signed head covers the entry which promoted this checkpoint."""
    evidence = Evidence(
        entry=read_small_file(folder / PROMOTION_FILE),
        receipt=read_small_file(folder / PROOF_FILE),
    )
    verifier = LogVerifier.from_keyring(record.federation, grants)
    head = verify_receipt(evidence.receipt, evidence.entry, verifier)
    if (head.size, head.root.hex()) != (record.audit_size, record.audit_root):
        raise ReleaseError(f"{PROOF_FILE} is not under the head that the record names")
    entry = AuditEntry.parse(evidence.entry)
    evaluation = EvaluationRecord.parse(
        read_small_file(folder / EVALUATIONS_FOLDER / f"{record.round}.json")
    )
    told = (entry.phase, entry.action, entry.subject, entry.details.get("decision"))
    is_same = entry.details.get("sha256") == evaluation.digest()
    if told != ("result", "evaluation_report", record.round, "promoted") or not is_same:
        raise ReleaseError(f"{PROMOTION_FILE} is not about the promotion of {record.round}")
    return f"entry {parse_proof(evidence.receipt).index} of an audit log of {head.size}"


def _read_records(
    folder: Path, record: ReleaseRecord, subfolder: str, record_type: type[R]
) -> tuple[R, ...]:
    paths = sorted(file.path for file in record.files if file.path.startswith(f"{subfolder}/"))
    return tuple(record_type.parse(read_small_file(folder / path)) for path in paths)


def _verify_lineage(folder: Path, record: ReleaseRecord) -> tuple[CheckpointRecord, ...]:
    chain = _read_records(folder, record, ROUNDS_FOLDER, CheckpointRecord)
    verify_chain(chain)
    if tuple(item.checkpoint.checkpoint_sha256 for item in chain) != record.chain:
        raise ReleaseError(f"{ROUNDS_FOLDER} does not hold the chain that the record names")
    if (chain[-1].round, chain[-1].federation) != (record.round, record.federation):
        raise ReleaseError(f"the chain ends at {chain[-1].round}, the record is of {record.round}")
    evaluations = _read_records(folder, record, EVALUATIONS_FOLDER, EvaluationRecord)
    verify_evaluations(chain, evaluations)
    if not any(item.round == record.round for item in evaluations):
        raise ReleaseError(f"there is no evaluation of the released round {record.round}")
    return chain


def _verify_shards(folder: Path, record: ReleaseRecord) -> int:
    value = parse_strict_json(read_small_file(folder / SHARDS_FILE))
    rows = value.get("shards") if isinstance(value, dict) else None
    listed = [row.get("shard_id") for row in rows or () if isinstance(row, dict)]
    if listed != list(record.shard_ids):
        raise ReleaseError(f"{SHARDS_FILE} does not list the shards that the record names")
    return len(listed)
