import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synnq_assets.aggregation.clipping import build_clip_factors


def test_longer_tensors_are_clipped_to_the_median_norm():
    # medians 2 and 5
    norms = np.array([[1.0, 2.0, 8.0], [5.0, 5.0, 5.0]])
    assert build_clip_factors(norms).tolist() == [[1.0, 1.0, 0.25], [1.0, 1.0, 1.0]]


def test_two_submissions_meet_in_the_middle():
    assert build_clip_factors(np.array([[1.0, 3.0]])).tolist() == [[1.0, 2.0 / 3.0]]


def test_zero_norms_divide_nothing():
    # nobody moves; one moves where the median stays; two move where the median does
    norms = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 7.0], [0.0, 4.0, 8.0]])
    assert build_clip_factors(norms).tolist() == [[1, 1, 1], [1, 1, 0], [1, 1, 0.5]]


@given(arrays(np.float64, (3, 5), elements=st.floats(0, 1e30)))
def test_no_clipped_norm_exceeds_the_median(norms):
    factors = build_clip_factors(norms)
    assert ((factors >= 0) & (factors <= 1)).all()
    medians = np.median(norms, axis=1, keepdims=True)
    assert (factors * norms <= medians * (1 + 1e-12)).all()
