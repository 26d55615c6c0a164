"""The signed manifest that completes a submission: whose it is, for which order, of which files.

What it says is intake's to judge; here it only has to be the node's own word for this order, and
name files that may be uploaded.
"""

from synnq_assets.errors import RecordError, TrustError
from synnq_assets.gateway.limits import SubmissionRules
from synnq_assets.gateway.refusals import RefusalError
from synnq_assets.records.federation import NodeRecord
from synnq_assets.records.orders import Order
from synnq_assets.records.submissions import Submission
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keyring import KeyEntry, Keyring


def open_manifest(
    data: bytes, node: NodeRecord, order: Order, rules: SubmissionRules
) -> Submission:
    """Return the manifest, signed by this node's key for this order.

    Raises:
        RefusalError: 422; anything else.
    """
    ring = Keyring()
    ring.add(KeyEntry(node.node_id, "node", node.signing_public_key))
    try:
        found = open_envelope(data, Submission, ring, roles=("node",), identity=node.node_id)
    except (RecordError, TrustError) as error:
        raise _refuse("it is not a submission that this node signed") from error
    claimed = (found.assignment_id, found.node_id, found.round, found.order_sha256)
    if claimed != (order.assignment_id, order.node_id, order.round, order.digest()):
        raise _refuse("it answers another order")
    names = [file.name for file in found.files]
    if sorted(names) != sorted(rules.max_blob_bytes):
        raise _refuse(f"it has to list {', '.join(sorted(rules.max_blob_bytes))}")
    if len({file.sha256 for file in found.files}) != len(names):
        raise _refuse("two of its files have the same digest")
    for file in found.files:
        if file.num_bytes > rules.max_blob_bytes[file.name]:
            limit = rules.max_blob_bytes[file.name]
            raise RefusalError(413, "too_large", f"{file.name} has at most {limit} bytes")
    return found


def _refuse(problem: str) -> RefusalError:
    return RefusalError(422, "manifest_refused", f"the manifest is refused: {problem}")
