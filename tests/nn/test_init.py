"""Initial values: bounds, moments, structure, generators; what is certain is compared with PyTorch in tests/oracle."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.nn import init

DRAWS = (
    "uniform_",
    "normal_",
    "trunc_normal_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
    "orthogonal_",
)


def _std(tensor: Any) -> float:
    return float(tensor.double().std())


@pytest.mark.parametrize(
    ("draw", "std"),
    [
        (lambda w: init.uniform_(w, -2, 4), 6 / math.sqrt(12)),
        (lambda w: init.normal_(w, 1.0, 0.3), 0.3),
        (lambda w: init.xavier_uniform_(w, gain=2.0), 2 * math.sqrt(2 / (600 + 1200))),
        (lambda w: init.xavier_normal_(w, gain=0.5), 0.5 * math.sqrt(2 / (600 + 1200))),
        (lambda w: init.kaiming_uniform_(w, a=1.0), 1 / math.sqrt(600)),
        (lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 1200)),
        (lambda w: init.kaiming_normal_(w, mode="FAN_OUT", nonlinearity="tanh"), 5 / 3 / math.sqrt(1200)),
        (lambda w: init.kaiming_normal_(w, 0.2), math.sqrt(2 / 1.04 / 600)),
        (init.trunc_normal_, 0.87962566),
    ],
)
def test_standard_deviations_are_those_of_the_papers(draw: Any, std: float, seed: int) -> None:
    distrt.manual_seed(seed)
    weight = distrt.empty(200, 100, 3, 2)
    assert draw(weight) is weight
    assert _std(weight) == pytest.approx(std, rel=0.02)


def test_uniform_draws_stay_within_their_bounds_and_reach_them(seed: int) -> None:
    distrt.manual_seed(seed)
    bound = math.sqrt(6 / (60 + 40))
    largest = init.xavier_uniform_(distrt.empty(40, 60)).abs().max().item()
    assert 0.98 * bound < largest <= bound
    low, high = (getattr(init.uniform_(distrt.empty(5000), -2, 4), name)().item() for name in ("min", "max"))
    assert -2 <= low < -1.98 and 3.98 < high <= 4


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0),
        (1.0, 0.5, 0.0, 1.2),
        (0.0, 0.02, -2.0, 2.0),
        (0.0, 1.0, 4.0, 6.0),
        (0.0, 1.0, -6.0, -4.0),
        (3.0, 2.0, -math.inf, 1.0),
        (0.0, 1.0, 12.0, 12.3),
        (0.0, 1.0, -41.0, -39.0),
    ],
)
def test_truncated_normal_has_the_distribution_function_of_its_name(
    mean: float, std: float, a: float, b: float, seed: int
) -> None:
    distrt.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, where the mean is far outside
        drawn = np.sort(init.trunc_normal_(distrt.empty(4000, dtype=distrt.float64), mean, std, a, b).numpy())
    assert a <= drawn[0] and drawn[-1] <= b
    # The exact function by summing the density, whose scale does not matter.
    grid = np.linspace(max(a, drawn[0] - std), min(b, drawn[-1] + std), 200_001)
    density = np.exp(-0.5 * ((grid - mean) / std) ** 2 + 0.5 * np.min(((grid - mean) / std) ** 2))
    exact = np.interp(drawn, grid, np.cumsum(density) / density.sum())
    assert np.abs(exact - np.arange(1, 4001) / 4000).max() < 2.5 / math.sqrt(4000)  # once in 100 000 runs


def test_truncated_normal_warns_of_a_mean_far_outside() -> None:
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        init.trunc_normal_(distrt.empty(3), mean=5.0)


@pytest.mark.parametrize("dtype", [distrt.float16, distrt.bfloat16, distrt.float32])
def test_truncated_normal_keeps_the_bounds_in_every_dtype(dtype: Any, seed: int) -> None:
    distrt.manual_seed(seed)
    drawn = init.trunc_normal_(distrt.empty(3000, dtype=dtype), a=-0.1, b=0.1)
    bound = distrt.tensor(0.1, dtype=dtype)
    assert drawn.dtype == dtype and (drawn.abs() <= bound).all() and drawn.float().std() > 0.05


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (3, 2, 4), (6, 1, 2), (1, 3), (3, 1)])
def test_orthogonal_matrices_are_orthonormal_times_the_gain(shape: tuple[int, ...], seed: int) -> None:
    distrt.manual_seed(seed)
    rows = init.orthogonal_(distrt.empty(shape, dtype=distrt.float64), gain=3.0).reshape(shape[0], -1).numpy()
    short = rows if rows.shape[0] <= rows.shape[1] else rows.T
    np.testing.assert_allclose(short @ short.T, 9 * np.eye(len(short)), atol=1e-12)


def test_orthogonal_matrices_are_uniform_not_of_one_sign(seed: int) -> None:
    """QR alone would give each first column one sign, and a trace that is far from 0 on average."""
    distrt.manual_seed(seed)
    drawn = distrt.stack([init.orthogonal_(distrt.empty(3, 3)) for _ in range(600)])
    assert drawn.mean(0).abs().max() < 0.12
    assert (drawn.square().mean(0) - 1 / 3).abs().max() < 0.08
    assert 0.4 < (distrt.linalg.det(drawn) > 0).float().mean() < 0.6


def test_sparse_matrices_have_as_many_zeros_in_each_column(seed: int) -> None:
    distrt.manual_seed(seed)
    weight = init.sparse_(distrt.empty(50, 40), sparsity=0.33, std=2.0)
    assert (weight == 0).sum(0).tolist() == [17] * 40
    assert len({tuple(column) for column in (weight == 0).t().tolist()}) > 30
    assert _std(weight[weight != 0]) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("name", [*DRAWS, "sparse_"])
def test_a_generator_decides_the_numbers_and_the_default_one_is_left_alone(name: str) -> None:
    options = {"sparsity": 0.5} if name == "sparse_" else {}
    state = distrt.get_rng_state()
    made = [
        getattr(init, name)(distrt.empty(4, 5), generator=distrt.Generator().manual_seed(seed), **options)
        for seed in (3, 3, 4)
    ]
    assert distrt.equal(made[0], made[1]) and not distrt.equal(made[0], made[2])
    assert distrt.equal(state, distrt.get_rng_state())


@pytest.mark.parametrize("name", [*DRAWS, "zeros_", "ones_", "eye_", "sparse_", "constant_"])
def test_parameters_are_filled_in_place_without_history(name: str) -> None:
    weight = distrt.nn.Parameter(distrt.full((4, 3), math.nan))
    memory = weight.data_ptr()
    more = {"sparse_": (0.5,), "constant_": (2.5,)}.get(name, ())
    assert getattr(init, name)(weight, *more) is weight
    assert (
        weight.requires_grad and weight.is_leaf and weight.data_ptr() == memory and not weight.isnan().any()
    )
    grown = distrt.ones(3, 3, requires_grad=True) * 2
    getattr(init, name)(grown.detach(), *more)  # what shares memory with a graph is filled, too
    assert grown.grad_fn is not None


def test_only_a_part_of_a_tensor_may_be_filled() -> None:
    weight = distrt.zeros(4, 6)
    init.ones_(weight[1:3, ::2])
    init.orthogonal_(weight.t()[1:2])
    assert weight.sum(1).count_nonzero() == 4 and weight[1:3, ::2].sum() == 6


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_tensors_without_elements_are_left_alone_with_a_warning(name: str) -> None:
    empty = distrt.empty(0, 3)
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        assert getattr(init, name)(empty) is empty


@pytest.mark.parametrize("name", [name for name in init.__all__ if f"{name}_" in init.__all__])
def test_spellings_of_old_warn_and_do_the_same(name: str) -> None:
    more = {"constant": (2.0,), "sparse": (0.5,)}.get(name, ())
    weight = distrt.empty(3, 3, 3) if name == "dirac" else distrt.empty(3, 3)
    with pytest.warns(
        FutureWarning, match=rf"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`"
    ):
        assert getattr(init, name)(weight, *more) is weight
