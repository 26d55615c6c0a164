"""Whose orders are believed: the registry in the job folder is verified from the pinned root.

An order counts if the newest root that this node knows names the coordinator's key that signed it,
and the registry lists this node as active, with the key that it signs with. A job folder may be
older than what the node believed before (a job that was suspended, say): then what it believed
counts. An order that was believed once goes on after its registry expired, unless its signer's key
was withdrawn since.

A node that pinned no root trusts the coordinator's key in `node.yaml` alone, and learns of no
withdrawal.
"""

from pathlib import Path

from synnq_assets.errors import OrderError, RegistryError, StaleRegistryError
from synnq_assets.records.base import sha256_hex
from synnq_assets.records.orders import Order
from synnq_assets.settings.node import NodeSettings
from synnq_assets.storage.files import write_atomically
from synnq_assets.training.folder import JobFolder
from synnq_assets.training.verifying import verify_order


def believe_order(
    data: bytes, folder: JobFolder, node: NodeSettings, signing_key: str, *, remember: bool
) -> Order:
    """Return the order in an envelope, if it can be believed.

    Args:
        data: the envelope, as received.
        folder: holds the registry that came with it.
        node: this node's own settings.
        signing_key: the public key that this node would sign its answer with.
        remember: keep what was believed; one process of a job does.

    Raises:
        OrderError: it cannot; nothing was opened.
        SettingsError: the pinned coordinator key is not a key.
    """
    if node.registry is None:
        return verify_order(data, node)
    believed = node.registry / "believed" / sha256_hex(data)
    try:
        keys = _find_coordinator(folder, node, node.registry, signing_key, remember=remember)
    except StaleRegistryError as error:
        if not believed.exists():
            raise OrderError(f"{error}; nothing was opened") from error
        keys = _recall_coordinator(node.registry)
    except RegistryError as error:
        raise OrderError(f"{error}; nothing was opened") from error
    order = verify_order(data, node, keys)
    if remember and not believed.exists():
        write_atomically(believed, b"")
    return order


def _find_coordinator(
    folder: JobFolder, node: NodeSettings, place: Path, signing_key: str, *, remember: bool
) -> tuple[str, ...]:
    from synnq_assets.trust.registry.client import RegistryClient

    client = RegistryClient(place)
    try:
        registry = client.refresh(folder.registry_dir, remember=remember)
    except StaleRegistryError as stale:
        try:
            registry = client.recall()
        except RegistryError:
            raise stale from None
    status, keys = registry.find_status(node.node_id)
    if status != "active":
        raise RegistryError(f"the registry lists node {node.node_id} as {status}")
    if signing_key not in keys:
        raise RegistryError(
            f"the registry names another signing key of {node.node_id} than node.yaml; after a "
            "rotation, run `synnq nodes rotate-key --activate`"
        )
    return registry.coordinator_keys


def _recall_coordinator(place: Path) -> tuple[str, ...]:
    from synnq_assets.trust.registry.client import RegistryClient

    return RegistryClient(place).recall_coordinator()
