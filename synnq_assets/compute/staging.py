"""A job folder: everything that a node needs, staged beside and renamed.

Inputs are copies, never links: what a payload does to its folder cannot reach the store.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from synnq_assets.errors import ComputeError, RecordError
from synnq_assets.records.jobs import Progress
from synnq_assets.storage.files import copy_file, sync_folder, write_atomically


@dataclass(frozen=True)
class StagedInputs:
    """What goes into a job folder; see records/orders.py for the layout."""

    order: bytes  # signed envelope
    recipe: bytes  # canonical JSON
    checkpoint_files: Mapping[str, Path]
    shard_files: Mapping[str, Path]  # shard id -> sealed file
    registry_files: Mapping[str, bytes] = field(default_factory=dict)  # TUF metadata, by path


def stage_job(job_dir: Path, inputs: StagedInputs) -> None:
    """Create a job folder, whole or not at all; a folder that stands already is left alone.

    Raises:
        ComputeError: the folder cannot be written.
    """
    if (job_dir / "order.json").exists():
        return
    building = job_dir.with_name(f".{job_dir.name}.staging")
    try:
        shutil.rmtree(building, ignore_errors=True)
        for folder in ("inputs/checkpoint", "inputs/shards", "work", "submission"):
            (building / folder).mkdir(parents=True)
        (building / "order.json").write_bytes(inputs.order)
        (building / "recipe.json").write_bytes(inputs.recipe)
        stage_registry(building, inputs.registry_files)
        for name, path in inputs.checkpoint_files.items():
            copy_file(path, building / "inputs" / "checkpoint" / name)
        for shard_id, path in inputs.shard_files.items():
            copy_file(path, building / "inputs" / "shards" / f"{shard_id}.sealed")
        os.replace(building, job_dir)
        sync_folder(job_dir.parent)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise ComputeError(f"cannot stage {job_dir}: {error.strerror or error}") from error


def stage_registry(job_dir: Path, files: Mapping[str, bytes]) -> None:
    """Bring the registry in a job folder up to date, its timestamp last.

    Raises:
        StorageError: the folder cannot be written.
    """
    for name, data in files.items():
        path = job_dir / "registry" / name
        if not path.is_file() or path.read_bytes() != data:
            write_atomically(path, data)


def read_progress(job_dir: Path) -> Progress | None:
    """Return the payload's last progress report, or None before the first."""
    try:
        return Progress.parse((job_dir / "progress.json").read_bytes())
    except (FileNotFoundError, RecordError):
        return None
