"""What a node keeps about itself: its keys, the coordinator key that it trusts, its agreement.

This file belongs to the node. The coordinator never reads or writes it.
"""

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
        for name in ("signing_key", "sealing_key", "exposure_file")
        if (value := getattr(settings, name)) is not None and not value.is_absolute()
    }
    return settings.model_copy(update=updates)
