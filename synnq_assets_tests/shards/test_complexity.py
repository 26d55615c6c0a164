import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.shards.complexity import (
    build_surprise_table,
    measure_distances,
    measure_type_token_ratio,
    measure_zlib_ratio,
    rank_complexity,
    rank_shares,
)


def test_equal_values_share_the_middle_of_their_ranks():
    assert rank_shares(np.array([3.0, 1.0, 1.0, 9.0])).tolist() == [0.625, 0.25, 0.25, 0.875]


def test_surprise_is_the_negative_log_of_a_token_s_share():
    table = build_surprise_table(np.array([2, 1, 1, 0]))
    assert table.tolist() == pytest.approx([np.log(2), np.log(4), np.log(4), 0.0])


def test_type_token_ratio_looks_at_the_first_thousand_tokens_only():
    tokens = np.array([1, 2] * 500 + [3, 4, 5], dtype=np.uint32)
    assert measure_type_token_ratio(tokens) == 2 / 1000


def test_zlib_ratio_is_low_for_repetition_and_cut_at_20_kilobytes():
    text = "ä" * 30_000
    data = ("ä" * 10_000).encode()
    assert measure_zlib_ratio(text) == len(zlib.compress(data, 1)) / 20_000 < 0.01


def test_complexity_ranks_within_a_language_not_across():
    measures = np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [50.0, 50.0, 50.0], [60.0, 60.0, 60.0]])
    assert rank_complexity(measures, ["de", "de", "fi", "fi"]).tolist() == [0.25, 0.75, 0.25, 0.75]


def test_distance_of_a_bin_with_only_the_simpler_half_is_one_half():
    complexity = np.array([0.1, 0.2, 0.3, 0.4])
    bins = np.array([0, 0, 1, 1])
    distances = measure_distances(complexity, np.array([1, 1, 1, 1]), bins, 2)
    assert distances.tolist() == [0.5, 0.5]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50), st.integers(0, 2)), min_size=1))
def test_distances_equal_the_definition_evaluated_at_every_level(rows):
    complexity = np.array([row[0] / 10 for row in rows])
    tokens = np.array([row[1] for row in rows])
    bins = np.array([row[2] for row in rows])
    distances = measure_distances(complexity, tokens, bins, 3)
    for k in set(bins.tolist()):
        own = bins == k
        gaps = [
            abs(
                tokens[own & (complexity <= level)].sum() / tokens[own].sum()
                - tokens[complexity <= level].sum() / tokens.sum()
            )
            for level in complexity
        ]
        assert distances[k] == pytest.approx(max(gaps))
