import itertools

import pytest

from synnq_assets.errors import AllocationError
from synnq_assets.federation import AllocationRequest, allocate_shards
from synnq_assets.settings import load_recipe
from synnq_assets_tests.builders import build_manifest, build_profile

RECIPE = load_recipe("smoke", {})


def recipe_with(**rounds):
    return RECIPE.model_copy(update={"rounds": RECIPE.rounds.model_copy(update=rounds)})


def request(nodes, shards, recipe=RECIPE, **options):
    return AllocationRequest(
        round_key="r0001",
        recipe=recipe,
        num_parameters=125_248,
        nodes=nodes,
        shards=shards,
        **options,
    )


def chosen(allocation):
    return {row.node_id: set(row.shard_ids) for row in allocation.nodes}


def test_every_shard_goes_to_one_node_within_the_caps():
    shards = [build_manifest(f"s{k}") for k in range(4)]
    allocation = allocate_shards(
        request([build_profile("node-a"), build_profile("node-b")], shards)
    )
    sets = list(chosen(allocation).values())
    assert sorted(map(len, sets)) == [2, 2]
    assert not sets[0] & sets[1]
    assert allocation.num_unallocated == 0


def test_a_faster_node_gets_more_so_that_the_slowest_ends_sooner():
    # 4 equal shards of 1000 tokens x 2 epochs, speeds 3000 and 1000: times (3, 1) -> 2 s and 2 s.
    nodes = [build_profile("fast", tokens_per_second=3000.0), build_profile("slow")]
    shards = [build_manifest(f"s{k}") for k in range(4)]
    allocation = allocate_shards(request(nodes, shards, recipe_with(max_shards_per_node=4)))
    assert {n: len(s) for n, s in chosen(allocation).items()} == {"fast": 3, "slow": 1}
    assert allocation.makespan_seconds == pytest.approx(2.0)


def test_the_makespan_is_that_of_exhaustive_search():
    tokens = [900, 700, 500, 300, 200]
    nodes = [build_profile("node-a", tokens_per_second=1500.0), build_profile("node-b")]
    shards = [build_manifest(f"s{k}", num_tokens=n) for k, n in enumerate(tokens)]
    best = min(
        max(
            sum(
                2 * n / (1500 if side == 0 else 1000)
                for n, side in zip(tokens, sides, strict=True)
                if side == which
            )
            for which in (0, 1)
        )
        for sides in itertools.product((0, 1), repeat=5)
    )
    allocation = allocate_shards(request(nodes, shards, recipe_with(max_shards_per_node=5)))
    assert allocation.makespan_seconds == pytest.approx(best, rel=2e-3)


def test_no_shard_goes_to_a_node_that_had_it():
    shards = [build_manifest("s0"), build_manifest("s1")]
    had = {"node-a": frozenset({shards[0].shard_id})}
    nodes = [build_profile("node-a"), build_profile("node-b")]
    assert (
        shards[0].shard_id
        not in chosen(allocate_shards(request(nodes, shards, exposure=had)))["node-a"]
    )


def test_least_trained_shards_come_first():
    shards = [build_manifest(f"s{k}") for k in range(12)]
    trained = {shard.shard_id: 1 for shard in shards[:10]}
    recipe = recipe_with(max_shards_per_node=1)
    nodes = [build_profile("node-a"), build_profile("node-b")]
    allocation = allocate_shards(request(nodes, shards, recipe, times_trained=trained))
    fresh = {shard.shard_id for shard in shards[10:]}
    assert len(set().union(*chosen(allocation).values())) == 2
    assert fresh & set().union(*chosen(allocation).values())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"architectures": ("eu-32b",)}, "does not run architecture nano"),
        ({"memory_gib": 0.0001}, "GiB needed"),
        ({"power_cap_watts": 10.0}, "above its cap of 10 W"),
        ({"temperature_celsius": 95.0}, "thermal limit"),
    ],
)
def test_an_unfit_node_is_excluded_with_its_reason(change, says):
    nodes = [build_profile("fit"), build_profile("unfit", **change)]
    allocation = allocate_shards(request(nodes, [build_manifest("s0")]))
    assert says in allocation.excluded["unfit"]
    with pytest.raises(AllocationError, match=f"no node can train this recipe: unfit .*{says}"):
        allocate_shards(request(nodes[1:], [build_manifest("s0")]))


def test_nothing_left_to_send_says_so():
    shard = build_manifest("s0")
    had = {"node-a": frozenset({shard.shard_id})}
    with pytest.raises(AllocationError, match="every node had every shard already"):
        allocate_shards(request([build_profile()], [shard], exposure=had))
    with pytest.raises(AllocationError, match="no shard to allocate"):
        allocate_shards(request([build_profile()], []))


def test_a_reassignment_places_every_shard_or_fails():
    shards = [build_manifest(f"s{k}") for k in range(3)]
    with pytest.raises(AllocationError, match="1 of 3 shards find no node"):
        allocate_shards(request([build_profile()], shards, must_place=True))


def test_a_reassignment_without_any_candidate_says_so():
    shard = build_manifest("s0")
    had = {"node-a": frozenset({shard.shard_id})}
    with pytest.raises(AllocationError, match="none of the 1 shards has a node that never had it"):
        allocate_shards(request([build_profile()], [shard], exposure=had, must_place=True))


@pytest.mark.parametrize("frugal", ["node-a", "node-b", "node-c"])
def test_energy_decides_between_nodes_that_are_otherwise_equal(frugal):
    nodes = [
        build_profile(f"node-{c}", power_watts=40.0 if f"node-{c}" == frugal else 50.0)
        for c in "abc"
    ]
    allocation = allocate_shards(request(nodes, [build_manifest("s0")]))
    assert [n for n, shards in chosen(allocation).items() if shards] == [frugal]
    assert sum(row.expected_joules for row in allocation.nodes) == pytest.approx(40.0 * 2.0)


def test_energy_does_not_decide_where_it_has_no_weight():
    allocation_settings = RECIPE.allocation.model_copy(update={"energy_weight": 0.0})
    recipe = RECIPE.model_copy(update={"allocation": allocation_settings})
    nodes = [build_profile("node-a", power_watts=50.0), build_profile("node-b", power_watts=40.0)]
    allocation = allocate_shards(request(nodes, [build_manifest("s0")], recipe))
    assert [n for n, shards in chosen(allocation).items() if shards] == ["node-a"]  # by id


def test_shards_that_every_node_had_do_not_hide_the_others():
    # One node may take one shard, so three are offered; it had the first five by order of id.
    shards = sorted((build_manifest(f"s{k}") for k in range(7)), key=lambda shard: shard.shard_id)
    had = {"node-a": frozenset(shard.shard_id for shard in shards[:5])}
    recipe = recipe_with(max_shards_per_node=1)
    allocation = allocate_shards(request([build_profile()], shards, recipe, exposure=had))
    assert chosen(allocation)["node-a"] <= {shard.shard_id for shard in shards[5:]}
    assert len(chosen(allocation)["node-a"]) == 1


def test_a_node_that_had_most_shards_is_still_offered_what_it_had_not():
    # Both may take one, so six are offered first; node-a had the first ten, node-b none.
    shards = sorted((build_manifest(f"s{k}") for k in range(12)), key=lambda shard: shard.shard_id)
    had = {"node-a": frozenset(shard.shard_id for shard in shards[:10])}
    nodes = [build_profile("node-a"), build_profile("node-b")]
    recipe = recipe_with(max_shards_per_node=1)
    allocation = allocate_shards(request(nodes, shards, recipe, exposure=had))
    assert {n: len(picked) for n, picked in chosen(allocation).items()} == {
        "node-a": 1,
        "node-b": 1,
    }
    assert chosen(allocation)["node-a"] <= {shard.shard_id for shard in shards[10:]}


def test_a_hot_node_gets_nothing_until_it_has_cooled():
    shards = [build_manifest(f"s{k}") for k in range(2)]
    recipe = recipe_with(max_shards_per_node=2)
    for celsius, expected in ((90.0, {"cool": 2}), (89.9, {"cool": 1, "warm": 1})):
        nodes = [build_profile("cool"), build_profile("warm", temperature_celsius=celsius)]
        allocation = allocate_shards(request(nodes, shards, recipe))
        assert {n: len(picked) for n, picked in chosen(allocation).items()} == expected


def test_domains_are_balanced_where_there_is_a_choice():
    shards = [build_manifest(f"h{k}") for k in range(6)]
    shards += [build_manifest(f"e{k}", cell="de.energy") for k in range(6)]
    aggregation = RECIPE.aggregation.model_copy(
        update={"target_mix": {"health": 0.5, "energy": 0.5}}
    )
    recipe = recipe_with(max_shards_per_node=2).model_copy(update={"aggregation": aggregation})
    allocation = allocate_shards(
        request([build_profile("node-a"), build_profile("node-b")], shards, recipe)
    )
    picked = set().union(*chosen(allocation).values())
    assert sum(s.shard_id in picked for s in shards[:6]) == 2


def test_the_same_input_in_any_order_gives_the_same_allocation():
    nodes = [build_profile(f"node-{c}") for c in "abc"]
    shards = [build_manifest(f"s{k}", num_tokens=1000 + k) for k in range(5)]
    one = allocate_shards(request(nodes, shards))
    two = allocate_shards(request(nodes[::-1], shards[::-1]))
    assert one == two
