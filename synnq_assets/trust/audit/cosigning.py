"""Ask a witness for its co-signature, with a consistency proof from what it saw last.

Source: c2sp.org/tlog-witness (add-checkpoint).
"""

import urllib.error
import urllib.request

from synnq_assets.errors import AuditError
from synnq_assets.trust.audit.log import AuditLog
from synnq_assets.trust.audit.notes import Head, parse_note
from synnq_assets.trust.audit.witness import render_request

SECONDS = 20
MAX_ANSWER_BYTES = 64 * 1024


def fetch_cosignature(log: AuditLog, note: bytes, url: str) -> tuple[Head, bytes]:
    """Return a signed head, and a witness's signature line for it.

    Args:
        log: proves that the head extends what the witness saw.
        note: the signed head.
        url: the witness's submission prefix, `http://…` or `https://…`.

    Raises:
        AuditError: the witness cannot be reached, saw more than the log has, or refuses; when it
            refuses, keep everything: it saw another history than this one.
    """
    head, _ = parse_note(note)
    status, body = _post(url, render_request(0, [], note))
    if status == 409 and body.strip().isdigit():
        old = int(body)
        if old > head.size:
            raise AuditError(
                f"{url} co-signed {old} entries of this log, which has {head.size}: it was cut"
            )
        proof = [bytes.fromhex(item) for item in log.prove_consistency(old, head.size)]
        status, body = _post(url, render_request(old, proof, note))
    if status != 200:
        said = body[:200].decode("utf-8", "replace").strip()
        raise AuditError(f"{url} does not co-sign the head of {head.size} entries: {said}")
    return head, body


def _post(url: str, data: bytes) -> tuple[int, bytes]:
    if not url.startswith(("http://", "https://")):
        raise AuditError(f"{url} is no address of a witness; it begins with http:// or https://")
    request = urllib.request.Request(f"{url.rstrip('/')}/add-checkpoint", data=data, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return int(response.status), response.read(MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(MAX_ANSWER_BYTES)
    except (OSError, ValueError) as error:
        raise AuditError(f"cannot reach the witness {url}: {error}") from error
