"""The layout of a release folder, and the exact set of files in it.

model.safetensors config.json generation_config.json tokenizer.json tokenizer_config.json
README.md                             the model card
figures/*.png
papers/compliance.{json,md}
papers/model-documentation.json
papers/training-content-summary.{json,md}
provenance/release.json               DSSE envelope of the ReleaseRecord; lists all the others
provenance/root.pub                   the coordinator's root key, ed25519:…
provenance/keys/*.json                key grants, signed by the root
provenance/rounds/<round>.json        checkpoint records, canonical JSON
provenance/evaluations/<round>.json   evaluation records, canonical JSON
provenance/curation/<source>.json     curation reports, canonical JSON
provenance/shards.json                the shards that were trained on
provenance/promotion.json             the audit entry that promoted the checkpoint, as logged
provenance/promotion.tlog-proof       its place under a signed head of the audit log
"""

import os
from pathlib import Path

from synnq_assets.errors import ReleaseError
from synnq_assets.records.base import MAX_RECORD_BYTES
from synnq_assets.records.releases import ReleaseFile
from synnq_assets.storage.files import hash_file

MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"
RECORD_FILE = "provenance/release.json"
ROOT_KEY_FILE = "provenance/root.pub"
KEYS_FOLDER = "provenance/keys"
ROUNDS_FOLDER = "provenance/rounds"
EVALUATIONS_FOLDER = "provenance/evaluations"
CURATION_FOLDER = "provenance/curation"
SHARDS_FILE = "provenance/shards.json"
PROMOTION_FILE = "provenance/promotion.json"
PROOF_FILE = "provenance/promotion.tlog-proof"
FIGURES_FOLDER = "figures"
PAPERS_FOLDER = "papers"
MAX_DEPTH = 3  # folders below the release; as in `ReleasePath`


def list_paths(folder: Path) -> list[str]:
    """Return the relative paths of all files, dot files included, sorted.

    Raises:
        ReleaseError: the folder is missing, or holds a link, a device, or an empty folder.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise ReleaseError(f"{folder} is not a folder")
    return sorted(_list_below(folder, ""))


def _list_below(folder: Path, prefix: str) -> list[str]:
    if prefix.count("/") > MAX_DEPTH:
        raise ReleaseError(f"folders are nested more than {MAX_DEPTH} deep")
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                found.extend(_list_below(folder / entry.name, path + "/"))
            elif entry.is_file(follow_symlinks=False):
                found.append(path)
            else:
                raise ReleaseError(f"{path!r} is a link or a special file; a release has none")
    if not found:
        raise ReleaseError(f"folder {prefix or folder!s} is empty; a release has no empty folder")
    return found


def describe_files(folder: Path) -> tuple[ReleaseFile, ...]:
    """Return path, digest and length of every file but the signed record."""
    rows = []
    for path in list_paths(folder):
        if path != RECORD_FILE:
            sha256, num_bytes = hash_file(folder / path)
            rows.append(ReleaseFile(path=path, sha256=sha256, num_bytes=num_bytes))
    return tuple(rows)


def verify_files(folder: Path, files: tuple[ReleaseFile, ...]) -> None:
    """Check that the folder holds exactly these files, each with its digest and length.

    Raises:
        ReleaseError: a file was added, is missing, or has other bytes.
    """
    held, listed = set(list_paths(folder)) - {RECORD_FILE}, {file.path for file in files}
    if extra := sorted(held - listed):
        raise ReleaseError(f"{extra[0]!r} is in the folder, but not in the signed list of files")
    if missing := sorted(listed - held):
        raise ReleaseError(f"{missing[0]} is in the signed list of files, but not in the folder")
    for file in files:
        if (folder / file.path).stat().st_size != file.num_bytes:
            raise ReleaseError(f"{file.path} does not have the signed length")
        if hash_file(folder / file.path) != (file.sha256, file.num_bytes):
            raise ReleaseError(f"{file.path} does not have the signed digest")


def read_small_file(path: Path) -> bytes:
    """Return a whole file of at most `MAX_RECORD_BYTES`.

    Raises:
        ReleaseError: missing, unreadable, or larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECORD_BYTES + 1)
    except OSError as error:
        raise ReleaseError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_RECORD_BYTES:
        raise ReleaseError(f"{path} has more than {MAX_RECORD_BYTES} bytes")
    return data
