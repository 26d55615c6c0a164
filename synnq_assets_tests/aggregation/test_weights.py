import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.aggregation.candidates import Candidate, order_candidates
from synnq_assets.aggregation.weights import build_decay, weigh_candidates
from synnq_assets.errors import AggregationError
from synnq_assets.settings.recipe import AggregationSettings

SETTINGS = AggregationSettings(half_life_seconds=3600.0)


def make(name="alpha", **changes):
    fields = {
        "node_id": name,
        "assignment_id": f"r0001.{name}.1",
        "submission_sha256": name.ljust(64, "0"),
        "update": None,
        "num_tokens": 1000,
        "cell_tokens": {"de.law": 1000},
        "score": 1.0,
        "staleness_rounds": 0,
        "age_seconds": 0.0,
    }
    return Candidate(**{**fields, **changes})


def test_decay_halves_with_the_half_life_and_falls_with_the_root_of_staleness():
    assert build_decay(make(), SETTINGS) == 1.0
    assert build_decay(make(age_seconds=3600.0), SETTINGS) == 0.5
    assert build_decay(make(staleness_rounds=3), SETTINGS) == 0.5  # (1 + 3)^-1/2
    assert build_decay(make(staleness_rounds=3, age_seconds=7200.0), SETTINGS) == 0.125


def test_weights_are_the_hand_worked_product_of_tokens_decay_and_score():
    # 3000 * 1 * 1 = 3000;  1000 * 1/2 * 1 = 500;  1000 * 1 * 1/2 = 500  -> 3/4, 1/8, 1/8
    weights = weigh_candidates(
        [make("a", num_tokens=3000), make("b", age_seconds=3600.0), make("c", score=0.5)], SETTINGS
    )
    assert [w.weight for w in weights] == [0.75, 0.125, 0.125]
    assert [w.tokens for w in weights] == [0.6, 0.2, 0.2]
    assert [w.decay for w in weights] == [1.0, 0.5, 1.0]


def test_domain_balance_lifts_the_rare_domain_to_the_target_mix():
    # trained: law 3000, science 1000 -> p = 3/4, 1/4; wanted 1/2, 1/2 -> 2/3 and 2
    settings = AggregationSettings(target_mix={"law": 2.0, "science": 2.0})
    law = make("law", num_tokens=3000, cell_tokens={"de.law": 2000, "fr.law": 1000})
    science = make("science", cell_tokens={"fi.science": 1000})
    weights = weigh_candidates([law, science], settings)
    assert [w.domain for w in weights] == pytest.approx([2 / 3, 2.0])
    assert [w.weight for w in weights] == pytest.approx([0.5, 0.5])


def test_domain_factor_of_a_mixed_submission_is_the_token_weighted_mean():
    # all mass in one submission: p = 3/4, 1/4 -> 1/4 * 2 + 3/4 * 2/3 = 1
    settings = AggregationSettings(target_mix={"law": 1.0, "science": 1.0})
    mixed = make("mixed", cell_tokens={"de.law": 750, "de.science": 250})
    (weight,) = weigh_candidates([mixed], settings)
    assert weight.domain == pytest.approx(1.0)
    assert weight.weight == 1.0


def test_domain_correction_stays_between_its_limits():
    settings = AggregationSettings(target_mix={"science": 1.0})
    law, science = make("law", num_tokens=99_000), make("sci", cell_tokens={"de.science": 1000})
    weights = weigh_candidates([law, science], settings)
    assert [w.domain for w in weights] == [0.25, 4.0]  # law is not wanted; science wants 100


def test_weights_sum_to_one_in_any_mix():
    candidates = [
        make(f"n{k}", num_tokens=1 + 997 * k, age_seconds=31.0 * k, score=1 / (1 + k))
        for k in range(13)
    ]
    weights = weigh_candidates(candidates, AggregationSettings())
    assert math.fsum(w.weight for w in weights) == pytest.approx(1.0, abs=1e-15)


def test_a_round_of_zero_weights_is_refused():
    with pytest.raises(AggregationError, match="all weights of the round are zero"):
        weigh_candidates([make("a", score=0.0), make("b", num_tokens=0)], SETTINGS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_tokens": -1}, "num_tokens is -1"),
        ({"score": math.nan}, "score is nan"),
        ({"age_seconds": math.inf}, "age_seconds is inf"),
        ({"staleness_rounds": -2}, "staleness_rounds is -2"),
        ({"cell_tokens": {"de.law": -5}}, r"cell_tokens\[de.law\] is -5"),
    ],
)
def test_impossible_figures_are_refused(changes, reason):
    with pytest.raises(AggregationError, match=reason):
        order_candidates([make(**changes)])


def test_a_score_above_one_is_refused():
    with pytest.raises(AggregationError, match=r"score 1.5 is above 1"):
        weigh_candidates([make(score=1.5)], SETTINGS)


def test_canonical_order_is_by_submission_digest_alone():
    a, b, c = (make(name) for name in ("a", "b", "c"))
    assert order_candidates([c, a, b]) == (a, b, c)


def test_one_submission_counts_once():
    twice = make("b", submission_sha256="a".ljust(64, "0"))
    with pytest.raises(AggregationError, match=r"submission_sha256 a0+ would be counted twice"):
        order_candidates([make("a"), twice])
    with pytest.raises(AggregationError, match=r"assignment_id r0001.a.1 would be counted twice"):
        order_candidates([make("a"), make("b", assignment_id="r0001.a.1")])


def test_no_candidate_is_refused():
    with pytest.raises(AggregationError, match="no accepted submission"):
        order_candidates([])


def share(*candidates):
    return [weight.weight for weight in weigh_candidates(candidates, SETTINGS)]


def test_what_is_above_a_cap_goes_to_the_others_in_proportion():
    # 6000, 3000, 1000 -> 0.6, 0.3, 0.1; a is capped at 0.4: the rest has 0.6 = 0.45 + 0.15
    a = make("a", num_tokens=6000, weight_cap=0.4)
    b, c = make("b", num_tokens=3000), make("c", num_tokens=1000)
    assert share(a, b, c) == pytest.approx([0.4, 0.45, 0.15])
    # b may have 0.42: c takes what is left
    assert share(a, make("b", num_tokens=3000, weight_cap=0.42), c) == pytest.approx(
        [0.4, 0.42, 0.18]
    )


def test_nodes_of_one_organisation_share_its_smallest_cap():
    # 4000, 4000, 2000: x has 0.8 with two nodes; at 0.5 they keep a half each of it
    pair = [
        make("a", num_tokens=4000, organisation="x", weight_cap=0.5),
        make("b", num_tokens=4000, organisation="x"),
    ]
    assert share(*pair, make("c", num_tokens=2000, organisation="y")) == pytest.approx(
        [0.25, 0.25, 0.5]
    )


def test_weights_below_their_caps_are_exactly_as_without():
    free = [make("a", num_tokens=333), make("b", num_tokens=667)]
    capped = [make(c.node_id, num_tokens=c.num_tokens, weight_cap=0.7) for c in free]
    assert share(*free) == share(*capped)


def test_caps_that_leave_weight_over_are_an_error_and_no_round():
    with pytest.raises(AggregationError, match="sum to 0.6; wait for submissions of others"):
        share(make("a", weight_cap=0.3), make("b", weight_cap=0.3))
    with pytest.raises(AggregationError, match="sum to 0.5"):
        share(make("a", weight_cap=0.5), make("b", score=0.0))


@given(
    st.lists(
        st.tuples(st.integers(1, 10_000), st.sampled_from("xyz"), st.floats(0.34, 1.0)),
        min_size=3,
        max_size=9,
    )
)
def test_no_organisation_is_above_its_cap_and_weights_sum_to_one(rows):
    rows += [(1, "x", 1.0), (1, "y", 1.0), (1, "z", 1.0)]  # three times 0.34 is enough for one
    nodes = [
        make(f"n{k}", num_tokens=tokens, organisation=party, weight_cap=cap)
        for k, (tokens, party, cap) in enumerate(rows)
    ]
    weights = share(*nodes)
    assert math.fsum(weights) == pytest.approx(1.0)
    for party in "xyz":
        cap = min(node.weight_cap for node in nodes if node.organisation == party)
        total = math.fsum(
            weight
            for node, weight in zip(nodes, weights, strict=True)
            if node.organisation == party
        )
        assert total <= cap * (1 + 1e-9)
