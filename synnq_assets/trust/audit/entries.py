"""One line of the audit log: ids, digests, enums and figures, never text of documents."""

import json
from typing import Any, ClassVar, Literal

from pydantic import NonNegativeInt

from synnq_assets.errors import AuditError
from synnq_assets.records.base import Record, UtcTime, now_at

Phase = Literal["intent", "result", "failure", "event"]
MAX_ENTRY_BYTES = 65_535  # an entry bundle counts an entry's bytes in 16 bits


class AuditEntry(Record):
    """What was to be done, was done, failed, or was seen."""

    kind: ClassVar[str] = "audit-entry"

    phase: Phase
    action: str  # "global_checkpoint", "enrol_node", …
    subject: str  # a partition key or an id
    actor: str  # node id or role
    run_id: str  # Dagster run, or "" outside of one
    intent: NonNegativeInt | None  # position of the intent that this result answers
    details: dict[str, str | int | float | bool | list[str]]
    logged_at: UtcTime


def build_entry(
    phase: Phase,
    action: str,
    subject: str,
    *,
    actor: str,
    details: dict[str, Any],
    run_id: str = "",
    intent: int | None = None,
) -> AuditEntry:
    """Return an entry of this moment; `details` may hold whatever JSON can."""
    return AuditEntry(
        phase=phase,
        action=action,
        subject=subject,
        actor=actor,
        run_id=run_id,
        intent=intent,
        details=json.loads(json.dumps(details)),
        logged_at=now_at(),
    )


def render_entry(entry: AuditEntry) -> bytes:
    """Return the bytes that are hashed and stored: JSON, fields in the order of the class.

    Raises:
        AuditError: more than `MAX_ENTRY_BYTES`; log digests of large things, not the things.
    """
    body = entry.model_dump_json().encode()
    if len(body) > MAX_ENTRY_BYTES:
        raise AuditError(f"an audit entry of {len(body)} bytes; at most {MAX_ENTRY_BYTES} are held")
    return body
