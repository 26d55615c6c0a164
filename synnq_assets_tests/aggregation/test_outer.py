import numpy as np
import pytest

from synnq_assets.aggregation.outer import OUTER, build_outer
from synnq_assets.errors import SettingsError
from synnq_assets.settings.base import Variant


def outer(name, **params):
    return build_outer(Variant(name=name, params=params))


def test_nesterov_computes_the_hand_worked_two_rounds():
    # round 1: m = 2, theta = 1 + 0.5 (2 + 0.5 * 2) = 2.5
    # round 2: m = 1 + 4 = 5, theta = 2.5 + 0.5 (4 + 0.5 * 5) = 5.75
    optimizer = outer("nesterov", learning_rate=0.5, momentum=0.5)
    theta, m = optimizer.step(np.array([1.0]), np.array([0.0]), np.array([2.0]))
    assert (theta[0], m[0]) == (2.5, 2.0)
    theta, m = optimizer.step(theta, m, np.array([4.0]))
    assert (theta[0], m[0]) == (5.75, 5.0)


def test_nesterov_equals_torch_sgd_on_the_negated_update():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    theta, m = rng.normal(size=200), np.zeros(200)
    parameter = torch.nn.Parameter(torch.from_numpy(theta.copy()))
    reference = torch.optim.SGD([parameter], lr=0.7, momentum=0.9, nesterov=True)
    optimizer = outer("nesterov")
    for _ in range(6):
        update = rng.normal(size=200)
        theta, m = optimizer.step(theta, m, update)
        parameter.grad = torch.from_numpy(-update)
        reference.step()
    np.testing.assert_allclose(theta, parameter.detach().numpy(), rtol=1e-12, atol=1e-13)
    buffer = reference.state[parameter]["momentum_buffer"].numpy()
    np.testing.assert_allclose(m, -buffer, rtol=1e-12, atol=1e-13)


def test_nesterov_without_momentum_is_plain_averaging():
    theta, m, g = np.array([1.0, 2.0]), np.array([5.0, 5.0]), np.array([0.5, -1.0])
    plain, _ = outer("average", learning_rate=0.7).step(theta, m, g)
    nesterov, _ = outer("nesterov", learning_rate=0.7, momentum=0.0).step(theta, m, g)
    np.testing.assert_array_equal(plain, nesterov)


def test_average_moves_all_the_way_by_default():
    theta, _ = outer("average").step(np.array([1.0]), np.array([0.0]), np.array([0.25]))
    assert theta.tolist() == [1.25]


def test_an_unknown_optimiser_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="no optimiser named 'nestorov'; did you mean 'nest"):
        outer("nestorov")


@pytest.mark.parametrize("params", [{"momentum": 1.0}, {"learning_rate": 0.0}, {"beta": 0.9}])
def test_a_wrong_parameter_is_refused(params):
    with pytest.raises(SettingsError, match=r"aggregation.outer nesterov: "):
        outer("nesterov", **params)


def test_the_registry_knows_every_optimiser_by_its_own_name():
    assert list(OUTER) == ["average", "nesterov"]
    assert all(cls.name == name for name, cls in OUTER.items())
