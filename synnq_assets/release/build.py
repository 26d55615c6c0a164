"""Build a release beside its final place, verify it, and rename it as a whole folder."""

import os
import secrets
import shutil
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from synnq_assets.errors import ReleaseError, StorageError, SynnqError
from synnq_assets.records.releases import ReleaseRecord
from synnq_assets.release.card import render_card
from synnq_assets.release.contents import (
    CARD_FILE,
    FIGURES_FOLDER,
    PAPERS_FOLDER,
    RECORD_FILE,
    describe_files,
)
from synnq_assets.release.documentation import build_documentation
from synnq_assets.release.facts import ReleaseFacts, build_facts
from synnq_assets.release.inputs import ReleaseInputs, verify_inputs
from synnq_assets.release.provenance import render_json, render_provenance
from synnq_assets.release.summary import build_summary, render_summary
from synnq_assets.release.verify import verify_release
from synnq_assets.storage.files import sync_folder, write_atomically
from synnq_assets.storage.tensors import TensorFile
from synnq_assets.trust.envelopes import sign_record
from synnq_assets.trust.keys import SigningKey

_BLOCK_ELEMENTS = 1 << 22


def build_release(inputs: ReleaseInputs, release_key: SigningKey, out_dir: Path) -> ReleaseRecord:
    """Write a release folder and return its signed record; all of it appears, or nothing.

    An existing release of the same checkpoint is verified and returned as it is.

    Args:
        inputs: records, weights and plots; the card and the papers say nothing else.
        release_key: must have a grant of the role `release` among the inputs.
        out_dir: must not hold anything else.

    Raises:
        ReleaseError: inputs are missing or disagree, weights are not finite, the release key has
            no grant, or `out_dir` holds something else.
        StorageError: the disk is full or refuses.
    """
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        return _read_existing(inputs, out_dir)
    verify_inputs(inputs)
    beside = out_dir.with_name(f".{out_dir.name}.{secrets.token_hex(6)}.building")
    try:
        record = _write_release(inputs, release_key, beside)
        verify_release(beside, inputs.root_public_key)
        _sync_all(beside)
        os.replace(beside, out_dir)
        sync_folder(out_dir.parent)
    except (ReleaseError, StorageError):
        raise
    except SynnqError as error:
        raise ReleaseError(f"cannot build the release of {inputs.record.round}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ReleaseError(f"cannot sign the release: {first['loc']}: {first['msg']}") from error
    except OSError as error:
        raise StorageError(f"cannot write {out_dir}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return record


def _read_existing(inputs: ReleaseInputs, out_dir: Path) -> ReleaseRecord:
    record = verify_release(out_dir, inputs.root_public_key).record
    wanted = (inputs.record.round, inputs.record.checkpoint.checkpoint_sha256)
    if (record.round, record.checkpoint_sha256) != wanted:
        raise ReleaseError(f"{out_dir} holds the release of {record.round}; choose another folder")
    return record


def _write_release(inputs: ReleaseInputs, key: SigningKey, folder: Path) -> ReleaseRecord:
    from synnq_assets.modeling.export import export_huggingface  # imports torch

    facts = build_facts(inputs)
    _verify_finite(inputs.weights)
    export_huggingface(inputs.recipe, inputs.weights, inputs.tokenizer, folder)
    for path, data in {**render_provenance(inputs), **_render_papers(inputs, facts)}.items():
        write_atomically(folder / path, data)
    checkpoint_sha256 = inputs.record.checkpoint.checkpoint_sha256
    record = ReleaseRecord(
        federation=inputs.record.federation,
        model_name=inputs.recipe.release.model_name,
        round=inputs.record.round,
        checkpoint_sha256=checkpoint_sha256,
        chain=tuple(item.checkpoint.checkpoint_sha256 for item in inputs.chain),
        shard_ids=tuple(sorted(manifest.shard_id for manifest in inputs.manifests)),
        settings_sha256=inputs.settings_sha256,
        files=describe_files(folder),
        audit_size=inputs.promotion.head.size,
        audit_root=inputs.promotion.head.root.hex(),
        released_at=facts.released_at,
    )
    write_atomically(folder / RECORD_FILE, sign_record(record, key))
    return record


def _render_papers(inputs: ReleaseInputs, facts: ReleaseFacts) -> dict[str, bytes]:
    summary = build_summary(inputs, facts)
    summary_text = render_summary(inputs, facts, summary)
    return {
        CARD_FILE: render_card(inputs, facts).encode(),
        f"{PAPERS_FOLDER}/training-content-summary.json": render_json(summary),
        f"{PAPERS_FOLDER}/training-content-summary.md": summary_text.encode(),
        f"{PAPERS_FOLDER}/model-documentation.json": render_json(
            build_documentation(inputs, facts)
        ),
        f"{PAPERS_FOLDER}/compliance.json": render_json(inputs.compliance),
        f"{PAPERS_FOLDER}/compliance.md": inputs.compliance_markdown.encode(),
        **{f"{FIGURES_FOLDER}/{name}": data for name, data in inputs.plots.items()},
    }


def _verify_finite(weights: Path) -> None:
    with TensorFile(weights) as file:
        for name in file.tensors:
            for begin, end in file.iter_blocks(name, _BLOCK_ELEMENTS):
                if not np.isfinite(file.read_float32(name, begin, end)).all():
                    raise ReleaseError(f"{weights.name}: {name} holds NaN or infinity")


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)
