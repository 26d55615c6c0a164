"""The submission gateway: for sites that cannot be reached by SSH and can only call out.

In: requests over mutual TLS 1.3. Who asks is what the client certificate says, and whether this
node may ask is looked up in the registry each time. Out: a node's open orders with their files, and
an outbox folder `<home>/inbox/<assignment>/` for each whole submission, for intake to judge.

What a submission consists of is the submissions room's to say, and who is enrolled the federation
room's: both are handed over as `SubmissionRules` and a function.

    limits.py        sizes, rates and times; requests counted per node
    refusals.py      typed refusals, and what of them the audit log gets
    certificates.py  the certificate authority, and requests to it
    attachments.py   PEM files with a signed envelope attached
    channels.py      TLS contexts: who may speak to whom
    connections.py   the peer's certificate per connection; heads in time (uvicorn, h11)
    reading.py       headers and bodies, bounded before anything is done with them
    uploads.py       content-addressed blobs, resumable by byte offset
    manifests.py     the signed manifest that completes a submission
    inbox.py         blobs and manifest to an outbox folder, once
    orders.py        what a node may ask for: its open orders and their files
    receipts.py      proofs of arrival and verdict
    service.py       what the endpoints share
    app.py           the endpoints; FastAPI's other door
    server.py        run under uvicorn
    client.py        the node's side: resume until acknowledged
    credentials.py   the node's side: its certificate, verified under the coordinator's key

Importing this package imports neither FastAPI nor uvicorn.
"""

from synnq_assets.gateway.attachments import attach_envelope, open_attached
from synnq_assets.gateway.certificates import Authority
from synnq_assets.gateway.client import GatewayClient
from synnq_assets.gateway.credentials import NodeCredentials, create_request
from synnq_assets.gateway.inbox import find_inbox
from synnq_assets.gateway.limits import GatewayLimits, SubmissionRules
from synnq_assets.gateway.server import build_server
from synnq_assets.gateway.service import Gateway

__all__ = [
    "Authority",
    "Gateway",
    "GatewayClient",
    "GatewayLimits",
    "NodeCredentials",
    "SubmissionRules",
    "attach_envelope",
    "build_server",
    "create_request",
    "find_inbox",
    "open_attached",
]
