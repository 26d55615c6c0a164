"""Who takes part, on which terms, and what a round is."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import (
    AssignmentId,
    NodeId,
    RoundKey,
    Sha256,
    build_assignment_id,
)
from synnq_assets.records.orders import LrSegment

Accelerator = Literal["rocm", "cuda", "cpu"]
Role = Literal["coordinator", "steward", "release", "log", "node"]


class ParticipationAgreement(Record):
    """The terms that a node signs before it may hold a shard."""

    kind: ClassVar[str] = "participation-agreement"

    node_id: NodeId
    organisation: str
    terms_sha256: Sha256
    retention_days: NonNegativeInt  # how long an opened shard may stay on the node
    destruction_deadline_days: NonNegativeInt  # after the campaign ends
    isolation: Literal["process", "container", "virtual-machine", "bare-metal"]
    signed_at: UtcTime


class NodeProfile(Record):
    """What a node can do; the figures that allocation optimises over."""

    kind: ClassVar[str] = "node-profile"

    node_id: NodeId
    site: str  # name of the site profile
    accelerator: Accelerator
    architectures: tuple[str, ...]  # model architectures it can run; ("*",) for all
    memory_gib: PositiveFloat  # accelerator memory available to one job
    num_hosts: PositiveInt
    num_accelerators: PositiveInt
    tokens_per_second: PositiveFloat  # measured, for the campaign's recipe
    power_watts: PositiveFloat  # mean draw while training
    power_cap_watts: PositiveFloat
    thermal_limit_celsius: PositiveFloat
    temperature_celsius: NonNegativeFloat
    container_runtime: Literal["none", "apptainer", "singularity", "podman", "kubernetes"]


class NodeRecord(Record):
    """An enrolled node: its keys, profile and agreement, signed by the coordinator.

    Each change is a new version; all versions together say when which key was valid.
    """

    kind: ClassVar[str] = "node-record"

    node_id: NodeId
    organisation: str
    signing_public_key: str  # <algorithm>:<base64>, see trust/algorithms
    sealing_public_key: str  # X25519, base64 of 32 bytes
    profile: NodeProfile
    agreement_sha256: Sha256
    status: Literal["active", "suspended", "revoked"]
    enrolled_at: UtcTime
    weight_cap: float = Field(default=1.0, gt=0.0, le=1.0)  # largest share of a round's weights
    audit_index: NonNegativeInt = 0  # of the intent that this version was made under


class KeyGrant(Record):
    """The coordinator's statement that a key may sign in a role."""

    kind: ClassVar[str] = "key-grant"

    identity: NodeId
    role: Role
    public_key: str  # <algorithm>:<base64>
    granted_at: UtcTime
    audit_index: NonNegativeInt = 0  # of the intent that it was granted under


class RoundBase(Record):
    """What a round starts from; written once, when the round opens."""

    kind: ClassVar[str] = "round-base"

    federation: NodeId
    round: RoundKey
    parent_round: RoundKey
    parent_checkpoint_sha256: Sha256
    settings_sha256: Sha256
    roster: tuple[NodeId, ...]
    quorum: PositiveInt  # accepted submissions that close the round at once
    minimum: PositiveInt  # accepted submissions that close it at the deadline
    opened_at: UtcTime
    deadline_at: UtcTime
    lr: LrSegment
    tokens_before: NonNegativeInt  # trained tokens (with epochs) up to the parent


class AllocatedShards(Record):
    """The shards that one node gets, and why it fits."""

    node_id: NodeId
    shard_ids: tuple[Sha256, ...]
    num_tokens: NonNegativeInt
    expected_seconds: NonNegativeFloat
    expected_joules: NonNegativeFloat


class Allocation(Record):
    """Shards to nodes for one round, with the solver's figures."""

    kind: ClassVar[str] = "allocation"

    round: RoundKey
    nodes: tuple[AllocatedShards, ...]
    excluded: dict[str, str]  # node id -> the constraint that kept it out
    left_out: dict[str, PositiveInt] = Field(default_factory=dict)  # reason -> shards
    num_unallocated: NonNegativeInt  # apart from those left out
    makespan_seconds: NonNegativeFloat
    objective: float
    solver: str

    @property
    def assignments(self) -> dict[str, tuple[str, ...]]:
        """The orders that follow from it: assignment id -> shard ids."""
        return {
            build_assignment_id(self.round, row.node_id, 1): row.shard_ids
            for row in self.nodes
            if row.shard_ids
        }


class Reassignment(Record):
    """Shards of a lost assignment, handed to other nodes; their orders follow from it."""

    kind: ClassVar[str] = "reassignment"

    lost: AssignmentId
    replacements: dict[AssignmentId, tuple[Sha256, ...]]  # new order -> shards that it takes over
    reason: str
    decided_at: UtcTime
