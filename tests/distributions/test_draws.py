"""Draws: their distribution, their seeds, and how they move with the parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from distrt import distributions as D
from tests.distributions.families import FAMILIES

#: A draw of 4,000 differs from its distribution by more than this in one of 10,000 cases (Kolmogorov and Smirnov).
FARTHEST = 2.23 / 4000**0.5
WITH_CDF = (
    "Normal Uniform Laplace Cauchy Exponential Gamma Chi2 LogNormal HalfNormal HalfCauchy InverseGamma Gumbel"
)
WITH_CDF += " ContinuousBernoulli GeneralizedPareto"
WITH_CDF += " Pareto Weibull Kumaraswamy MixtureSameFamily TransformedDistribution"
WITH_MOMENTS = (
    "Beta Poisson Bernoulli Geometric Binomial NegativeBinomial OneHotCategorical Multinomial Dirichlet"
)
WITH_MOMENTS += " Wishart MultivariateNormal LowRankMultivariateNormal"


def _made(name: str) -> tuple[Any, list[Any]]:
    make, arrays = FAMILIES[name]
    params = [distrt.tensor(a.tolist(), dtype=distrt.float64, requires_grad=True) for a in arrays]
    return make(D, distrt, *params), params


@pytest.mark.ci
@pytest.mark.parametrize("name", WITH_CDF.split())
def test_draws_follow_the_cumulative_probability(name: str) -> None:
    distrt.manual_seed(11)
    dist, _ = _made(name)
    ranks = dist.cdf(dist.sample((4000,))).detach().numpy()
    ranks = np.sort(ranks.reshape(4000, -1), 0)
    even = (np.arange(4000)[:, None] + 0.5) / 4000
    assert np.abs(ranks - even).max() < FARTHEST


@pytest.mark.ci
@pytest.mark.parametrize("name", WITH_MOMENTS.split())
def test_draws_have_the_mean_and_the_variance(name: str) -> None:
    distrt.manual_seed(12)
    dist, _ = _made(name)
    drawn = dist.sample((4000,)).numpy()
    mean, variance = dist.mean.detach().numpy(), dist.variance.detach().numpy()
    assert (np.abs(drawn.mean(0) - mean) < 5 * np.sqrt(variance / 4000)).all()
    assert (np.abs(drawn.var(0) / variance - 1) < 0.25).all()


def test_categories_are_drawn_as_often_as_their_weights_say() -> None:
    distrt.manual_seed(13)
    dist, _ = _made("Categorical")
    drawn = dist.sample((4000,)).numpy()
    shares = np.stack([(drawn == k).mean(0) for k in range(3)], -1)
    assert np.abs(shares - dist.probs.detach().numpy()).max() < 0.04


def test_angles_turn_around_their_location() -> None:
    distrt.manual_seed(14)
    dist, _ = _made("VonMises")
    drawn = dist.sample((4000,)).numpy()
    assert (drawn >= -np.pi).all() and (drawn < np.pi).all()
    away = np.cos(drawn - dist.loc.detach().numpy()).mean(0)
    assert np.abs(1 - away - dist.variance.detach().numpy()).max() < 0.06


@pytest.mark.ci
@pytest.mark.parametrize("name", FAMILIES)
def test_a_seed_gives_the_same_draws_again(name: str) -> None:
    dist, _ = _made(name)
    distrt.manual_seed(5)
    first, second = dist.sample((2,)).numpy(), dist.sample((2,)).numpy()
    distrt.manual_seed(5)
    assert np.array_equal(first, dist.sample((2,)).numpy())
    with distrt.random.fork_rng():
        dist.sample()
    assert np.array_equal(second, dist.sample((2,)).numpy())
    assert not dist.sample().requires_grad


def _implicit(cdf: Any, density: Any, step: float, x: np.ndarray) -> np.ndarray:
    """dx/da at a constant rank, by central differences of the cumulative probability."""
    return np.asarray(-(cdf(step, x) - cdf(-step, x)) / (2 * step) / density(x))


@pytest.mark.parametrize("shape", [0.3, 1.0, 2.5, 40.0])
def test_gamma_draws_move_along_their_rank(shape: float) -> None:
    distrt.manual_seed(3)
    a = distrt.full((50,), shape, dtype=distrt.float64, requires_grad=True)
    x = D.Gamma(a, 1.0).rsample()
    x.sum().backward()
    at = x.detach()

    def cdf(step: float, x: Any) -> Any:
        return distrt.special.gammainc(a.detach() + step, x).numpy()

    wanted = _implicit(cdf, lambda x: D.Gamma(shape, 1.0).log_prob(x).exp().numpy(), 1e-5 * shape, at)
    np.testing.assert_allclose(a.grad.numpy(), wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("a, b", [(0.4, 0.7), (1.0, 3.0), (5.0, 2.0), (30.0, 60.0)])
def test_beta_draws_move_along_their_rank(a: float, b: float) -> None:
    distrt.manual_seed(4)
    one = distrt.full((20,), a, dtype=distrt.float64, requires_grad=True)
    zero = distrt.full((20,), b, dtype=distrt.float64, requires_grad=True)
    x = D.Beta(one, zero).rsample()
    x.sum().backward()
    at = x.detach().numpy()
    nodes, weights = np.polynomial.legendre.leggauss(400)
    nodes, weights = (nodes + 1) / 2, weights / 2

    def cdf(one: float, zero: float) -> np.ndarray:
        # t = x s^p makes the end at 0 smooth
        p = 8.0
        t = at[:, None] * nodes**p
        log = D.Beta(distrt.tensor(one, dtype=distrt.float64), zero).log_prob(distrt.tensor(t)).exp().numpy()
        return np.asarray((log * at[:, None] * p * nodes ** (p - 1)) @ weights)

    density = D.Beta(distrt.tensor(a, dtype=distrt.float64), b).log_prob(x.detach()).exp().numpy()
    for grad, move in ((one.grad, (1e-4, 0.0)), (zero.grad, (0.0, 1e-4))):
        da, db = move
        wanted = -(cdf(a + da, b + db) - cdf(a - da, b - db)) / 2e-4 / density
        np.testing.assert_allclose(grad.numpy(), wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.ci
def test_dirichlet_and_student_draws_have_the_gradient_of_their_expectation() -> None:
    distrt.manual_seed(6)
    concentration = distrt.tensor([0.8, 2.0, 3.0], dtype=distrt.float64, requires_grad=True)
    drawn = D.Dirichlet(concentration).rsample((20000,))
    (drawn[:, 0] ** 2).mean().backward()
    dist = D.Dirichlet(concentration)
    (wanted,) = distrt.autograd.grad(dist.variance[0] + dist.mean[0] ** 2, [concentration])
    np.testing.assert_allclose(concentration.grad.numpy(), wanted.numpy(), atol=4e-3)
    df = distrt.tensor(9.0, dtype=distrt.float64, requires_grad=True)
    (D.StudentT(df).rsample((20000,)) ** 2).mean().backward()
    (wanted,) = distrt.autograd.grad(D.StudentT(df).variance, [df])
    np.testing.assert_allclose(df.grad.numpy(), wanted.numpy(), atol=1e-2)


def test_small_concentrations_stay_inside() -> None:
    distrt.manual_seed(8)
    drawn = D.Dirichlet(distrt.full((1000, 3), 1e-3)).sample().numpy()
    assert (drawn > 0).all() and np.allclose(drawn.sum(-1), 1, atol=1e-6)
    assert (D.Gamma(1e-3, 1.0).sample((1000,)).numpy() > 0).all()


@pytest.mark.ci
def test_correlations_are_drawn_as_their_concentration_says() -> None:
    """Of LKJ's matrices, (1 + an entry) / 2 is Beta of concentration - 1 + dim / 2, twice."""
    distrt.manual_seed(15)
    for concentration, dim in ((1.0, 2), (2.5, 4)):
        factors = D.LKJCholesky(dim, concentration).sample((4000,))
        entries = (factors @ factors.mT)[:, 1, 0]
        alpha = concentration - 1 + dim / 2
        ranks = np.sort(D.Beta(alpha, alpha).sample((4000,)).numpy() * 2 - 1)
        spread = np.abs(np.sort(entries.numpy()) - ranks).max()
        assert spread < 0.15
        assert abs(float(entries.var()) - 1 / (2 * alpha + 1)) < 0.02


def test_singular_wishart_draws_are_drawn_again() -> None:
    dist = D.Wishart(distrt.tensor(5.0), covariance_matrix=distrt.eye(3))
    drawn = dist.rsample((50,))
    assert bool(distrt.linalg.eigvalsh(drawn).gt(0).all())
    with pytest.warns(UserWarning, match="Low df values"):
        D.Wishart(distrt.tensor(2.5), covariance_matrix=distrt.eye(3))
    with pytest.raises(ValueError, match="expected to be greater than ndim - 1 = 2"):
        D.Wishart(2.0, covariance_matrix=distrt.eye(3))
    with pytest.raises(AssertionError, match="Exactly one of"):
        D.Wishart(4.0)
    with pytest.raises(ValueError, match="Found dim=1"):
        D.LKJCholesky(1)


def test_the_functions_behind_draws_have_pytorchs_names(torch: Any) -> None:
    """Their values, where they do not depend on chance; the rest is in the tests above."""
    for m in (distrt, torch):
        shapes = m.tensor([0.5, 3.0], dtype=m.float64, requires_grad=True)
        (slope,) = m.autograd.grad(m._standard_gamma(shapes).sum(), shapes)
        assert slope.shape == shapes.shape
        assert abs(m._sample_dirichlet(shapes.detach()).sum() - 1) < 1e-12
        assert m._standard_gamma(shapes, generator=m.Generator().manual_seed(1)).min() > 0
        with pytest.raises(NotImplementedError, match='"gamma_cpu" not implemented'):
            m._standard_gamma(m.tensor([1]))
    x, own, total = ([0.2, 0.7, 0.999], [0.5, 2.0, 30.0], [1.5, 9.0, 31.0])
    found = [
        (
            m._standard_gamma_grad(m.tensor(own, dtype=m.float64), m.tensor(total, dtype=m.float64)).tolist(),
            m._dirichlet_grad(*(m.tensor(each, dtype=m.float64) for each in (x, own, total))).tolist(),
        )
        for m in (distrt, torch)
    ]
    np.testing.assert_allclose(*found, rtol=1e-3)
