from contextlib import ExitStack

import numpy as np
import pytest

from synnq_assets.aggregation.geometry import UpdateGeometry, measure_updates
from synnq_assets.aggregation.inputs import OpenedUpdate
from synnq_assets.errors import AggregationError
from synnq_assets.storage.tensors import TensorFile

from .makers import write_tensors


def measure(folder, updates, block_elements):
    with ExitStack() as stack:
        opened = [
            OpenedUpdate(
                f"the update of n{k}",
                stack.enter_context(TensorFile(write_tensors(folder / f"{k}", tensors))),
            )
            for k, tensors in enumerate(updates)
        ]
        return measure_updates(opened, sorted(updates[0]), block_elements)


def test_norms_and_inner_products_are_those_worked_by_hand(tmp_path):
    # a = (3, 4), b = (0, 2): norms 5 and 2, product 8; tensor y adds 12 * 0 and norms 12, 0
    geometry = measure(tmp_path, [{"x": [3, 4], "y": [12]}, {"x": [0, 2], "y": [0]}], 1)
    assert geometry.norms_TN.tolist() == [[5.0, 2.0], [12.0, 0.0]]
    assert geometry.gram_NN.tolist() == [[169.0, 8.0], [8.0, 4.0]]
    assert geometry.norms.tolist() == [13.0, 2.0]
    assert geometry.cosines[0, 1] == pytest.approx(8 / 26)


def test_cosine_to_the_mean_follows_from_the_gram_matrix_alone(tmp_path):
    # equal weights: mean (1, 1); cosines of (2, 0) and (0, 2) with it are 1/sqrt(2)
    geometry = measure(tmp_path, [{"x": [2, 0]}, {"x": [0, 2]}], 8)
    cosines = geometry.cosines_to_mean(np.array([0.5, 0.5]))
    assert cosines == pytest.approx([0.5**0.5, 0.5**0.5])


def test_zero_updates_have_zero_cosines_and_no_warning():
    geometry = UpdateGeometry(np.zeros((1, 2)), np.diag([4.0, 0.0]))
    assert geometry.cosines.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert geometry.cosines_to_mean(np.array([0.0, 1.0])).tolist() == [0.0, 0.0]


def test_block_size_changes_no_bit(tmp_path):
    rng = np.random.default_rng(3)
    updates = [{"x": rng.normal(size=40_000)} for _ in range(3)]
    small = measure(tmp_path, updates, 16_384)
    large = measure(tmp_path, updates, 1 << 20)
    np.testing.assert_array_equal(small.gram_NN, large.gram_NN)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_or_infinity_names_the_submission_and_the_tensor(tmp_path, bad):
    values = np.zeros(50)
    values[-1] = bad
    with pytest.raises(AggregationError, match="the update of n1: x holds NaN or infinity"):
        measure(tmp_path, [{"x": np.ones(50)}, {"x": values}], 7)


def test_the_largest_float32_does_not_overflow(tmp_path):
    geometry = measure(tmp_path, [{"x": [3.4e38, 3.4e38]}], 4)
    assert np.isfinite(geometry.norms_TN).all()
