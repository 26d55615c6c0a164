"""What the release key signs."""

from typing import ClassVar

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import NodeId, RoundKey, Sha256
from synnq_assets.records.orders import FileDigest


class ReleaseRecord(Record):
    """A released model: every file, its lineage, and the head of the audit log behind it."""

    kind: ClassVar[str] = "release"

    federation: NodeId
    model_name: str
    round: RoundKey
    checkpoint_sha256: Sha256
    chain: tuple[Sha256, ...]  # checkpoint digests from the initial one to this one
    shard_ids: tuple[Sha256, ...]
    settings_sha256: Sha256
    files: tuple[FileDigest, ...]
    audit_size: int
    audit_root: Sha256
    released_at: UtcTime
