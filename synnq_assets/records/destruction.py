"""What a node states about shards that it destroyed, and what follows from it.

All of it is attested, none of it proved.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import AssignmentId, NodeId, Sha256


class DestructionCertificate(Record):
    """A node's statement that it no longer has the shards of some orders."""

    kind: ClassVar[str] = "destruction-certificate"

    federation: NodeId
    node_id: NodeId
    agreement_sha256: Sha256  # the terms that ask for it
    assignment_ids: Annotated[tuple[AssignmentId, ...], Field(min_length=1, max_length=10_000)]
    shard_ids: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=100_000)]
    method: Literal["overwritten-and-removed"]
    destroyed_at: UtcTime


class CertifiedDestruction(Record):
    """A certificate that the coordinator verified and keeps."""

    kind: ClassVar[str] = "certified-destruction"

    certificate: DestructionCertificate
    envelope_sha256: Sha256  # of the certificate's bytes, as received
    audit_index: NonNegativeInt  # of the intent to take it


class OverdueDestruction(Record):
    """That an order's shards were not certified as destroyed in time; noted once."""

    kind: ClassVar[str] = "overdue-destruction"

    assignment_id: AssignmentId
    node_id: NodeId
    due_at: UtcTime
    audit_index: NonNegativeInt  # of the event
