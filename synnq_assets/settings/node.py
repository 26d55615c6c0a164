"""What a node keeps about itself: its keys, the coordinator key that it trusts, its agreement.

This file belongs to the node. The coordinator does not read it, but where a node lives on the
coordinator's own machine (the local profile), its jobs are started as this file says.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from synnq_assets.errors import SettingsError
from synnq_assets.records.identifiers import NodeId, Sha256
from synnq_assets.settings.base import SettingsModel, Variant
from synnq_assets.settings.load import describe_invalid, read_yaml


class NodeSettings(SettingsModel):
    """One node's own configuration (node.yaml)."""

    node_id: NodeId
    federation: NodeId
    organisation: str
    signing_key: Path  # Ed25519 private key (PEM)
    sealing_key: Path  # X25519 private key (PEM)
    coordinator_public_key: str  # base64; pinned when the node enrolled
    agreement_sha256: Sha256
    payload: tuple[str, ...] = ("python", "-m", "synnq_assets.training")
    threads: int = Field(default=1, ge=1)
    parallelism: Variant | None = None  # overrides the recipe's, where the site must
    exposure_file: Path | None = None  # shard ids that this node has opened
    previous_sealing_key: Path | None = None  # opens orders from before a rotation
    registry: Path | None = None  # folder of the pinned root, and of what was believed last

    @property
    def command(self) -> tuple[str, ...]:
        """The payload's command; a bare `python` means the interpreter that runs this."""
        first, *rest = self.payload
        return (sys.executable if first == "python" else first, *rest)


@dataclass(frozen=True)
class Launch:
    """Which of a job's processes this one is, as its launcher set it."""

    rank: int = 0
    local_rank: int = 0  # within this host; also the index of the accelerator
    world_size: int = 1


@dataclass(frozen=True)
class VisibleDevices:
    """The accelerators that this process may use, as the drivers' variables say; None: all.

    Entries are indices or ids. AMD's two narrow one after the other: `hip` counts within `rocr`.
    """

    cuda: tuple[str, ...] | None = None
    rocr: tuple[str, ...] | None = None
    hip: tuple[str, ...] | None = None


def default_node_file(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the node file that SYNNQ_NODE names, or None where it is not set."""
    value = (os.environ if environment is None else environment).get("SYNNQ_NODE")
    return Path(value) if value else None


def find_log_folder(node_file: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """Return where this node keeps the payload's output: `SYNNQ_NODE_LOGS`, or `logs` beside it.

    It is found without reading the node file, which may be what is wrong.
    """
    value = (os.environ if environment is None else environment).get("SYNNQ_NODE_LOGS")
    if value:
        return Path(value)
    return (node_file.resolve().parent if node_file else Path.home() / ".synnq") / "logs"


def read_launch(environment: Mapping[str, str] | None = None) -> Launch:
    """Read RANK, LOCAL_RANK and WORLD_SIZE, as torchrun and the batch scripts set them.

    Raises:
        SettingsError: not integers, or a rank outside the world.
    """
    values = os.environ if environment is None else environment
    try:
        launch = Launch(
            *(int(values.get(k, v)) for k, v in (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1)))
        )
    except ValueError as error:
        raise SettingsError("RANK, LOCAL_RANK and WORLD_SIZE must be integers") from error
    if not 0 <= launch.local_rank <= launch.rank < launch.world_size:
        raise SettingsError(
            f"rank {launch.rank} (local {launch.local_rank}) is outside a world of "
            f"{launch.world_size}; check how the job's processes are launched"
        )
    return launch


def read_visible_devices(environment: Mapping[str, str] | None = None) -> VisibleDevices:
    """Read CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES and HIP_VISIBLE_DEVICES.

    HIP heeds CUDA_VISIBLE_DEVICES where its own variable is not set.
    """
    values = os.environ if environment is None else environment

    def split(name: str) -> tuple[str, ...] | None:
        value = values.get(name)
        if value is None:
            return None
        return tuple(entry for part in value.split(",") if (entry := part.strip()))

    cuda, hip = split("CUDA_VISIBLE_DEVICES"), split("HIP_VISIBLE_DEVICES")
    return VisibleDevices(
        cuda=cuda, rocr=split("ROCR_VISIBLE_DEVICES"), hip=cuda if hip is None else hip
    )


_PATHS = ("signing_key", "sealing_key", "previous_sealing_key", "exposure_file", "registry")


def load_node_settings(path: Path) -> NodeSettings:
    """Read a node's configuration. Relative paths are relative to the file.

    Raises:
        SettingsError: the file is missing, unreadable, or has missing or unknown keys.
    """
    raw = read_yaml(path)
    try:
        settings = NodeSettings.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(describe_invalid(str(path), error)) from error
    base = path.resolve().parent
    updates = {
        name: base / value
        for name in _PATHS
        if (value := getattr(settings, name)) is not None and not value.is_absolute()
    }
    return settings.model_copy(update=updates)
