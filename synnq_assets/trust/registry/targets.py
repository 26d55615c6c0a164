"""What the registry says: one target a node, one a grant, taken from the ledger as signed there.

    nodes/<node>.json         newest node record; custom: status, organisation, weight cap, keys
    grants/<identity>.json    a key grant; custom: role

`keys` lists every signing key that the node ever had with its windows in the audit log, so that an
auditor needs no older version to judge an old signature.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from synnq_assets.records.federation import KeyGrant, NodeRecord
from synnq_assets.records.identifiers import parse_node_id
from synnq_assets.trust.ledger import Ledger, Skip, leave_out, skipping
from synnq_assets.trust.registry.validity import build_windows

GRANT_PREFIX = "registry/grants"
NODE_PREFIX = "registry/nodes"


@dataclass(frozen=True)
class Target:
    """One file of the registry, and what its metadata says about it."""

    data: bytes
    custom: dict[str, Any]


def list_version_keys(ledger: Ledger, node_id: str) -> list[str]:
    """Return the object keys of all versions of a node's record, oldest first."""
    return list(ledger.store.iter_keys(f"{NODE_PREFIX}/{parse_node_id(node_id)}"))


def iter_histories(
    ledger: Ledger, *, skip: Skip | None = None
) -> Iterator[tuple[str, list[NodeRecord]]]:
    """Yield (node id, all versions of its record, oldest first), by id.

    A node with a damaged version is an error, or is left out where `skip` takes note of it: what
    the damaged version said about its keys is unknown.
    """
    node_ids = {key.split("/")[-2] for key in ledger.store.iter_keys(NODE_PREFIX)}
    for node_id in sorted(node_ids):
        with skipping(skip, f"node {node_id}"):
            keys = list_version_keys(ledger, node_id)
            yield node_id, [ledger.get(key, NodeRecord) for key in keys]


def collect_targets(ledger: Ledger) -> dict[str, Target]:
    """Return path -> target for all grants and nodes whose records verify."""
    targets = {}
    for grant in ledger.list_all(GRANT_PREFIX, KeyGrant, skip=leave_out):
        data = ledger.store.get_bytes(f"{GRANT_PREFIX}/{grant.identity}.json")
        targets[f"grants/{grant.identity}.json"] = Target(data, {"role": grant.role})
    for node_id, versions in iter_histories(ledger, skip=leave_out):
        data = ledger.store.get_bytes(list_version_keys(ledger, node_id)[-1])
        targets[f"nodes/{node_id}.json"] = Target(data, describe_node(versions))
    return targets


def describe_node(versions: list[NodeRecord]) -> dict[str, Any]:
    """Return what the metadata says of a node beside its record's digest."""
    newest = versions[-1]
    windows = build_windows(versions).items()
    return {
        "status": newest.status,
        "organisation": newest.organisation,
        "weight_cap": str(newest.weight_cap),  # TUF's canonical JSON has no fractions
        "keys": [
            {"public_key": key, "windows": [[w.begin, w.end] for w in held]}
            for key, held in windows
        ],
    }
