"""The federation's rules: who takes part, what a round is, who trains what.

In: node applications, shard manifests, settings. Out: node records, round bases, allocations,
signed orders, and decisions about leases and quorum.

    enrolment.py   at the node: its keys, application, newer profiles, rotation of keys
    registry.py    at the coordinator: node records by version, key grants
    capability.py  which nodes can train a recipe at all; memory as a function of the batch
    schedule.py    the learning rate as a function of trained tokens
    rounds.py      round bases and the quorum rule
    allocation.py  shards to nodes as one mixed-integer programme
    orders.py      one signed order per node
    destruction.py until when shards have to be destroyed; certificates
    erasing.py     at the node: destroy shards, sign the certificate
    leases.py      when a job counts as lost, and who takes its shards
"""

from synnq_assets.federation.allocation import AllocationRequest, allocate_shards
from synnq_assets.federation.capability import find_obstacle
from synnq_assets.federation.enrolment import (
    NodeApplication,
    NodeIdentity,
    activate_rotation,
    create_node,
    request_rotation,
    sign_profile,
)
from synnq_assets.federation.leases import find_lost_reason
from synnq_assets.federation.orders import OrderTerms, build_order
from synnq_assets.federation.registry import Registry
from synnq_assets.federation.rounds import QuorumDecision, build_round_base, decide_quorum
from synnq_assets.federation.schedule import build_segment, learning_rate_at

__all__ = [
    "AllocationRequest",
    "NodeApplication",
    "NodeIdentity",
    "OrderTerms",
    "QuorumDecision",
    "Registry",
    "activate_rotation",
    "allocate_shards",
    "build_order",
    "build_round_base",
    "build_segment",
    "create_node",
    "decide_quorum",
    "find_lost_reason",
    "find_obstacle",
    "learning_rate_at",
    "request_rotation",
    "sign_profile",
]
