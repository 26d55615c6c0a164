"""Lineage, evaluations, curation, shards and key grants as files of the release folder."""

import json
from typing import Any

from synnq_assets.errors import ReleaseError, TrustError
from synnq_assets.records.base import canonical_json
from synnq_assets.records.federation import KeyGrant
from synnq_assets.release.contents import (
    CURATION_FOLDER,
    EVALUATIONS_FOLDER,
    KEYS_FOLDER,
    PROMOTION_FILE,
    PROOF_FILE,
    ROOT_KEY_FILE,
    ROUNDS_FOLDER,
    SHARDS_FILE,
)
from synnq_assets.release.inputs import ReleaseInputs
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import build_key_id

_SHARD_FIELDS = (
    "shard_id",
    "cell",
    "generation",
    "num_tokens",
    "num_documents",
    "ciphertext_sha256",
    "licences",
    "sources",
)


def render_json(value: Any) -> bytes:
    """Return a JSON value as readable UTF-8 text.

    Raises:
        ReleaseError: the value holds NaN, infinity, or something that is not JSON.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode()
    except (TypeError, ValueError) as error:
        raise ReleaseError(f"a paper of the release is not plain JSON: {error}") from error


def _render_grants(inputs: ReleaseInputs) -> dict[str, bytes]:
    try:
        ring = Keyring.with_root("coordinator", inputs.root_public_key)
        files = {}
        for envelope in inputs.grants:
            grant = open_envelope(envelope, KeyGrant, ring, roles=("coordinator",))
            name = f"{grant.identity}-{build_key_id(grant.public_key)[:12]}.json"
            files[f"{KEYS_FOLDER}/{name}"] = envelope
    except TrustError as error:
        raise ReleaseError(f"a key grant does not verify under the root key: {error}") from error
    return files


def render_provenance(inputs: ReleaseInputs) -> dict[str, bytes]:
    """Return path -> bytes of everything under `provenance/` but the signed record.

    Raises:
        ReleaseError: a key grant was not signed by the root key.
    """
    shards = [
        {
            name: value
            for name, value in manifest.model_dump(mode="json").items()
            if name in _SHARD_FIELDS
        }
        for manifest in sorted(inputs.manifests, key=lambda manifest: manifest.shard_id)
    ]
    files = {
        ROOT_KEY_FILE: f"{inputs.root_public_key}\n".encode(),
        SHARDS_FILE: canonical_json({"shards": shards}),
        PROMOTION_FILE: inputs.promotion.entry,
        PROOF_FILE: inputs.promotion.receipt,
        **_render_grants(inputs),
    }
    for record in inputs.chain:
        files[f"{ROUNDS_FOLDER}/{record.round}.json"] = record.canonical_bytes()
    for evaluation in inputs.evaluations:
        files[f"{EVALUATIONS_FOLDER}/{evaluation.round}.json"] = evaluation.canonical_bytes()
    for report in inputs.curation:
        files[f"{CURATION_FOLDER}/{report.source}.json"] = report.canonical_bytes()
    return files
