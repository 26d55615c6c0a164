import math

import pytest

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
