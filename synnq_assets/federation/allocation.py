"""Shards to nodes for one round, as one mixed-integer programme solved by HiGHS.

Variables: x[n, s] = 1 where node n trains shard s; T, the time of the slowest node; d[k], how far
domain k misses its target share. Each shard goes to at most one node and never to a node that had
it; no node gets more than its cap of shards or more work than `max_job_seconds`.

    minimise   w_T·T + w_E·Σ joules[n, s]·x[n, s] + w_B·Σ d[k] - R·Σ x[n, s]

R exceeds everything else, so that as many shards as possible are trained, then balance, speed and
energy decide. Ties are broken by order of id, so that the same input gives the same allocation.

Source: HiGHS, doi:10.1007/s12532-017-0130-5, through scipy.optimize.milp.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from synnq_assets.errors import AllocationError
from synnq_assets.federation.capability import find_obstacle
from synnq_assets.records.federation import AllocatedShards, Allocation, NodeProfile
from synnq_assets.records.shards import ShardManifest
from synnq_assets.settings.recipe import Recipe

DESTROYED = "data key destroyed"
POOL_FACTOR = 3  # shards offered to the solver, over the shards that can be placed
NOTHING: frozenset[str] = frozenset()
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AllocationRequest:
    """Everything that one allocation depends on."""

    round_key: str
    recipe: Recipe
    num_parameters: int
    nodes: Sequence[NodeProfile]
    shards: Sequence[ShardManifest]
    exposure: Mapping[str, frozenset[str]] = field(default_factory=dict)  # node -> shards it had
    times_trained: Mapping[str, int] = field(default_factory=dict)  # shard -> accepted trainings
    blocked: Mapping[str, str] = field(default_factory=dict)  # node -> why it gets no order
    destroyed: frozenset[str] = NOTHING  # shards that nothing opens any more
    must_place: bool = False  # a reassignment: every shard has to find a node


@dataclass(frozen=True)
class _Problem:
    nodes: list[NodeProfile]
    shards: list[ShardManifest]
    seconds_NS: Float64
    joules_NS: Float64
    allowed_NS: npt.NDArray[np.bool_]


def _rank_shards(request: AllocationRequest) -> list[ShardManifest]:
    """Least trained first; within that, cells take turns, so that no language waits for another."""
    turn: dict[tuple[int, str], int] = {}
    keyed = []
    for shard in sorted(request.shards, key=lambda shard: shard.shard_id):
        trained = request.times_trained.get(shard.shard_id, 0)
        place = turn[(trained, shard.cell)] = turn.get((trained, shard.cell), -1) + 1
        keyed.append(((trained, place, shard.shard_id), shard))
    return [shard for _, shard in sorted(keyed, key=lambda item: item[0])]


def _select_pool(request: AllocationRequest, nodes: list[NodeProfile]) -> list[ShardManifest]:
    """Return the shards that the solver chooses from.

    A shard that every node had is not offered. Beyond the first `POOL_FACTOR` times the capacity a
    shard is offered as long as some node, which had most of the others, would go short without it.
    """
    ranked = _rank_shards(request)
    if request.must_place:
        return ranked
    capacity = len(nodes) * request.recipe.rounds.max_shards_per_node
    num_offered = {node.node_id: 0 for node in nodes}
    pool: list[ShardManifest] = []
    for shard in ranked:
        takers = [n for n in num_offered if shard.shard_id not in request.exposure.get(n, NOTHING)]
        is_early = len(pool) < capacity * POOL_FACTOR
        if takers and (is_early or any(num_offered[node] < capacity for node in takers)):
            pool.append(shard)
            num_offered.update((node, num_offered[node] + 1) for node in takers)
    return pool


def _build_problem(
    request: AllocationRequest, nodes: list[NodeProfile], pool: list[ShardManifest]
) -> _Problem:
    epochs = request.recipe.training.epochs
    tokens_S = np.array([shard.num_tokens * epochs for shard in pool], dtype=np.float64)
    speed_N = np.array([node.tokens_per_second for node in nodes])
    power_N = np.array([node.power_watts for node in nodes])
    seconds_NS = tokens_S[None, :] / speed_N[:, None]
    allowed_NS = np.array(
        [[s.shard_id not in request.exposure.get(n.node_id, NOTHING) for s in pool] for n in nodes],
        dtype=bool,
    ).reshape(len(nodes), len(pool))
    return _Problem(nodes, pool, seconds_NS, power_N[:, None] * seconds_NS, allowed_NS)


def _domain_shares(request: AllocationRequest) -> dict[str, float]:
    target = {k: v for k, v in request.recipe.aggregation.target_mix.items() if v > 0}
    if not target:
        for shard in request.shards:
            target[shard.domain] = target.get(shard.domain, 0.0) + shard.num_tokens
    total = sum(target.values())
    return {domain: value / total for domain, value in sorted(target.items())}


def _solve(problem: _Problem, request: AllocationRequest) -> tuple[npt.NDArray[np.bool_], float]:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array, vstack

    weights = request.recipe.allocation
    num_nodes, num_shards = problem.seconds_NS.shape
    shares = _domain_shares(request)
    num_x, num_k = num_nodes * num_shards, len(shares)
    size = num_x + 1 + num_k
    tokens_S = np.array([shard.num_tokens for shard in problem.shards], dtype=np.float64)
    scale = tokens_S.mean()

    costs = np.zeros(size)
    costs[:num_x] = weights.energy_weight * problem.joules_NS.ravel()
    costs[num_x] = weights.makespan_weight
    costs[num_x + 1 :] = weights.balance_weight
    largest = weights.makespan_weight * problem.seconds_NS.sum(axis=1).max()
    reward = 10.0 * (costs[:num_x].max(initial=0.0) + largest + weights.balance_weight * num_shards)
    costs[:num_x] -= reward * (1.0 - 1e-9 * np.arange(num_x))

    def rows(entries: list[tuple[int, int, float]], height: int) -> coo_array:
        row, column, value = zip(*entries, strict=True)
        return coo_array((value, (row, column)), shape=(height, size))

    once = rows(
        [(s, n * num_shards + s, 1.0) for n in range(num_nodes) for s in range(num_shards)],
        num_shards,
    )
    count = rows(
        [(n, n * num_shards + s, 1.0) for n in range(num_nodes) for s in range(num_shards)],
        num_nodes,
    )
    work = rows(
        [
            (n, n * num_shards + s, problem.seconds_NS[n, s])
            for n in range(num_nodes)
            for s in range(num_shards)
        ]
        + [(n, num_x, -1.0) for n in range(num_nodes)],
        num_nodes,
    )
    balance: list[tuple[int, int, float]] = []
    for k, (domain, share) in enumerate(shares.items()):
        for n in range(num_nodes):
            for s, shard in enumerate(problem.shards):
                miss = ((shard.domain == domain) - share) * tokens_S[s] / scale
                balance += [
                    (2 * k, n * num_shards + s, miss),
                    (2 * k + 1, n * num_shards + s, -miss),
                ]
        balance += [(2 * k, num_x + 1 + k, -1.0), (2 * k + 1, num_x + 1 + k, -1.0)]
    cap = request.recipe.rounds.max_shards_per_node
    blocks = [once, count, work, rows(balance, 2 * num_k)]
    limits = np.concatenate(
        [np.ones(num_shards), np.full(num_nodes, cap), np.zeros(num_nodes), np.zeros(2 * num_k)]
    )
    upper = np.concatenate(
        [
            problem.allowed_NS.ravel().astype(float),
            [weights.max_job_seconds],
            np.full(num_k, np.inf),
        ]
    )
    solution = milp(
        c=costs,
        constraints=LinearConstraint(vstack(blocks), -np.inf, limits),
        integrality=np.concatenate([np.ones(num_x), np.zeros(1 + num_k)]),
        bounds=Bounds(np.zeros(size), upper),
        options={"time_limit": weights.solver_seconds, "mip_rel_gap": 1e-3},
    )
    if solution.x is None:
        raise AllocationError(f"the solver found no allocation: {solution.message}")
    chosen = solution.x[:num_x].reshape(num_nodes, num_shards) > 0.5
    return chosen, float(solution.fun)


def allocate_shards(request: AllocationRequest) -> Allocation:
    """Return who trains which shards in a round.

    Raises:
        AllocationError: no node can train, no shard is left that a node has not had, or (for a
            reassignment) some shard finds no node. The message names the constraint.
    """
    excluded: dict[str, str] = {}
    nodes: list[NodeProfile] = []
    for profile in sorted(request.nodes, key=lambda node: node.node_id):
        obstacle = request.blocked.get(profile.node_id) or find_obstacle(
            profile, request.recipe, request.num_parameters
        )
        if obstacle:
            excluded[profile.node_id] = obstacle
        else:
            nodes.append(profile)
    if not nodes:
        reasons = (
            "; ".join(f"{node} {why}" for node, why in excluded.items()) or "no node is active"
        )
        raise AllocationError(f"no node can train this recipe: {reasons}")
    if not request.shards:
        raise AllocationError("there is no shard to allocate; materialise signed_shards first")
    sound = [shard for shard in request.shards if shard.shard_id not in request.destroyed]
    num_destroyed = len(request.shards) - len(sound)
    if not sound:
        raise AllocationError(f"all {num_destroyed} shards were destroyed; add a corpus generation")
    request = replace(request, shards=sound)
    pool = _select_pool(request, nodes)
    problem = _build_problem(request, nodes, pool)
    if not problem.allowed_NS.any():
        raise AllocationError(
            f"none of the {len(pool)} shards has a node that never had it"
            if request.must_place
            else "every node had every shard already; add a corpus generation"
        )
    chosen_NS, objective = _solve(problem, request)
    unplaced = len(pool) - int(chosen_NS.any(axis=0).sum())
    if request.must_place and unplaced:
        raise AllocationError(f"{unplaced} of {len(pool)} shards find no node that may train them")
    allocation = _describe(request, problem, chosen_NS, excluded, objective)
    if not num_destroyed:
        return allocation
    return allocation.model_copy(update={"left_out": {DESTROYED: num_destroyed}})


def _describe(
    request: AllocationRequest,
    problem: _Problem,
    chosen_NS: npt.NDArray[np.bool_],
    excluded: dict[str, str],
    objective: float,
) -> Allocation:
    rows = []
    for n, node in enumerate(problem.nodes):
        picked = [s for s in range(len(problem.shards)) if chosen_NS[n, s]]
        rows.append(
            AllocatedShards(
                node_id=node.node_id,
                shard_ids=tuple(problem.shards[s].shard_id for s in picked),
                num_tokens=sum(problem.shards[s].num_tokens for s in picked),
                expected_seconds=float(problem.seconds_NS[n, picked].sum()),
                expected_joules=float(problem.joules_NS[n, picked].sum()),
            )
        )
    return Allocation(
        round=request.round_key,
        nodes=tuple(rows),
        excluded=excluded,
        num_unallocated=len(request.shards) - int(chosen_NS.sum()),
        makespan_seconds=max(row.expected_seconds for row in rows),
        objective=objective,
        solver="scipy.optimize.milp (HiGHS)",
    )
