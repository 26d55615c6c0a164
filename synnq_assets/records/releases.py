"""What the release key signs."""

from typing import Annotated, ClassVar, Self

from pydantic import NonNegativeInt, StringConstraints, model_validator

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import NodeId, RoundKey, Sha256

# No segment begins with a dot, so that no path is hidden or leaves the folder.
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
ReleasePath = Annotated[
    str, StringConstraints(pattern=rf"^{_SEGMENT}(/{_SEGMENT}){{0,3}}$", max_length=200)
]


class ReleaseFile(Record):
    """One file of a release by its path in the folder, SHA-256 and length."""

    path: ReleasePath
    sha256: Sha256
    num_bytes: NonNegativeInt


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
    files: tuple[ReleaseFile, ...]  # every file of the folder but the signed record itself
    audit_size: NonNegativeInt
    audit_root: Sha256
    released_at: UtcTime

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        folded = [file.path.casefold() for file in self.files]
        if len(set(folded)) != len(folded):
            raise ValueError("two files have the same path, or differ in upper and lower case only")
        if not self.chain or self.chain[-1] != self.checkpoint_sha256:
            raise ValueError("chain does not end at checkpoint_sha256")
        return self
