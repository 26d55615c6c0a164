"""From the versions of a node's record to the windows in which its keys count.

A version is made under the intent at its `audit_index`, and holds until the next. A key's window is
open while the node is active and the key is its signing key: suspending closes it, resuming opens
another, rotating closes the old key's and opens the new one's, revoking closes all for good.
"""

from collections.abc import Sequence
from itertools import pairwise, zip_longest

from synnq_assets.errors import TrustError
from synnq_assets.records.federation import NodeRecord
from synnq_assets.trust.keyring import KeyEntry, Keyring, Window


def build_windows(versions: Sequence[NodeRecord]) -> dict[str, tuple[Window, ...]]:
    """Return public key -> its windows, in ascending order; a key without one has none.

    Args:
        versions: all versions of one node's record, oldest first.

    Raises:
        TrustError: they are of several nodes, or their positions descend.
    """
    for older, newer in pairwise(versions):
        if newer.node_id != older.node_id or newer.audit_index < older.audit_index:
            raise TrustError(f"the versions of node {older.node_id} do not follow each other")
    windows: dict[str, list[Window]] = {version.signing_public_key: [] for version in versions}
    ends = [version.audit_index for version in versions[1:]]
    for version, end in zip_longest(versions, ends):
        if version.status != "active":
            continue
        held = windows[version.signing_public_key]
        if held and held[-1].end == version.audit_index:  # nothing came between: one window
            held[-1] = Window(held[-1].begin, end)
        else:
            held.append(Window(version.audit_index, end))
    return {key: tuple(held) for key, held in windows.items()}


def trust_node(keyring: Keyring, versions: Sequence[NodeRecord]) -> None:
    """Put all keys that a node ever had on a keyring, each with its windows.

    Raises:
        TrustError: the versions do not follow each other, or a key belongs to somebody else.
    """
    for public_key, windows in build_windows(versions).items():
        keyring.add(KeyEntry(versions[0].node_id, "node", public_key, windows))
