"""Constraints, transforms and errors, beside PyTorch's."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracles import require_torch

torch = require_torch()

ERRORS: dict[str, Any] = {
    "a scale below 0": lambda D, t: D.Normal(0.0, -1.0),
    "bounds the wrong way round": lambda D, t: D.Uniform(1.0, 0.0),
    "no probability": lambda D, t: D.Bernoulli(),
    "two probabilities": lambda D, t: D.Categorical(t.ones(2), t.ones(2)),
    "a chance above 1": lambda D, t: D.Bernoulli(t.tensor([0.5, 1.5])),
    "a categorical number": lambda D, t: D.Categorical(t.tensor(1.0)),
    "a Dirichlet number": lambda D, t: D.Dirichlet(t.tensor(1.0)),
    "a chance of 0": lambda D, t: D.Geometric(0.0),
    "a text": lambda D, t: D.Normal("a", 1),
    "no covariance": lambda D, t: D.MultivariateNormal(t.zeros(2)),
    "a vector as covariance": lambda D, t: D.MultivariateNormal(t.zeros(2), t.ones(2)),
    "a covariance that is none": lambda D, t: D.MultivariateNormal(t.zeros(2), -t.eye(2)),
    "a factor of another size": lambda D, t: D.LowRankMultivariateNormal(t.zeros(3), t.ones(2, 1), t.ones(3)),
    "several counts": lambda D, t: D.Multinomial(t.tensor(1), t.ones(2)),
    "too many dims": lambda D, t: D.Independent(D.Normal(0.0, 1.0), 1),
    "no transform": lambda D, t: D.TransformedDistribution(D.Normal(0.0, 1.0), 3),
    "a mixture of too few": lambda D, t: D.MixtureSameFamily(
        D.Categorical(t.ones(3)), D.Normal(0.0, t.ones(2))
    ),
    "a number as value": lambda D, t: D.Normal(0.0, 1.0).log_prob(1.0),
    "a value of another size": lambda D, t: D.Normal(0.0, t.ones(3)).log_prob(t.ones(2)),
    "an event of another size": lambda D, t: D.Dirichlet(t.ones(3)).log_prob(t.ones(2)),
    "half a success": lambda D, t: D.Bernoulli(0.5).log_prob(t.tensor(0.5)),
    "a class too many": lambda D, t: D.Categorical(t.ones(2)).log_prob(t.tensor(2)),
    "nan": lambda D, t: D.Normal(t.tensor(float("nan")), 1.0),
    "no divergence": lambda D, t: D.kl_divergence(D.Gamma(1.0, 1.0), D.Cauchy(1.0, 1.0)),
    "no default": lambda D, t: D.Distribution.set_default_validate_args(3),
    "a cache of three": lambda D, t: D.ExpTransform(3),
    "unequal sizes": lambda D, t: D.ReshapeTransform((2, 3), (5,)),
    "counts that differ": lambda D, t: D.Binomial(t.tensor([2, 3]), t.tensor(0.5)).enumerate_support(),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(case: str) -> None:
    said = []
    for library in (distrt, torch):
        with pytest.raises((ValueError, NotImplementedError, TypeError)) as caught:
            ERRORS[case](library.distributions, library)
        said.append(caught.value)
    builtin = next(kind for kind in (ValueError, NotImplementedError, TypeError) if isinstance(said[1], kind))
    assert isinstance(said[0], builtin)
    if str(said[1]):
        assert str(said[0]) == str(said[1])


def test_unchecked_arguments_pass() -> None:
    D = distrt.distributions
    assert bool(D.Normal(0.0, -1.0, validate_args=False).scale == -1)
    assert D.Normal(0.0, 1.0, validate_args=False).log_prob(distrt.tensor(float("nan"))).isnan()


VALUES = {
    "numbers": [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, float("nan")],
    "vectors": [[0.0, 1.0, 0.0], [0.2, 0.3, 0.5], [1.0, 1.0, 0.0], [-0.5, 0.5, 1.0]],
    "matrices": [[[1.0, 0.0], [0.6, 0.8]], [[2.0, 0.5], [0.5, 1.0]], [[-1.0, 0.0], [0.0, 1.0]]],
}
REGIONS: dict[str, Any] = {
    **{
        f"{name} of {kind}": (lambda C, name=name: getattr(C, name), kind)
        for kind, names in {
            "numbers": "boolean nonnegative nonnegative_integer positive positive_integer real unit_interval",
            "vectors": "one_hot real_vector simplex",
            "matrices": "corr_cholesky lower_cholesky lower_triangular positive_definite positive_semidefinite square "
            "symmetric",
        }.items()
        for name in names.split()
    },
    "greater_than": (lambda C: C.greater_than(0.5), "numbers"),
    "greater_than_eq": (lambda C: C.greater_than_eq(0.5), "numbers"),
    "less_than": (lambda C: C.less_than(0.5), "numbers"),
    "interval": (lambda C: C.interval(-0.5, 1.0), "numbers"),
    "half_open_interval": (lambda C: C.half_open_interval(-0.5, 1.0), "numbers"),
    "integer_interval": (lambda C: C.integer_interval(0, 1), "numbers"),
    "multinomial": (lambda C: C.multinomial(1), "vectors"),
    "independent": (lambda C: C.independent(C.positive, 1), "vectors"),
    "cat": (lambda C: C.cat([C.positive, C.real], -1, [1, 2]), "vectors"),
    "stack": (lambda C: C.stack([C.positive, C.real, C.real], -1), "vectors"),
}


@pytest.mark.parametrize("name", REGIONS)
def test_regions_are_pytorchs(name: str) -> None:
    make, kind = REGIONS[name]
    ours, theirs = (make(library.distributions.constraints) for library in (distrt, torch))
    assert ours.is_discrete == theirs.is_discrete
    assert ours.event_dim == theirs.event_dim
    if name not in ("cat", "stack"):
        assert repr(ours) == repr(theirs)
    found = ours.check(distrt.tensor(VALUES[kind]))
    assert found.tolist() == theirs.check(torch.tensor(VALUES[kind])).tolist()


@pytest.mark.ci
@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
@pytest.mark.parametrize("name", REGIONS)
def test_ways_into_regions_are_pytorchs(name: str, registry: str) -> None:
    free = np.random.default_rng(1).normal(size=(4, 3, 3))
    results = []
    for library in (distrt, torch):
        constraint = REGIONS[name][0](library.distributions.constraints)
        try:
            way = getattr(library.distributions, registry)(constraint)
        except NotImplementedError:
            results.append(None)
            continue
        x = library.tensor(free.tolist(), dtype=library.float64, requires_grad=True)
        y = way(x)
        assert bool(constraint.check(y.detach()).all())
        back = way.inv(y)
        found = [
            y.detach().numpy(),
            back.detach().numpy(),
            library.autograd.grad((y**2).sum(), [x])[0].numpy(),
        ]
        try:
            found.append(way.log_abs_det_jacobian(x, y).detach().numpy())
        except NotImplementedError:
            found.append(np.zeros(0))
        assert tuple(way.forward_shape(x.shape)) == tuple(y.shape)
        results.append([*found, np.array([way.bijective])])
    if results[1] is None:
        assert results[0] is None
        return
    for own, other in zip(*results, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-9)


MAPS: dict[str, Any] = {
    "AbsTransform": lambda D, t: D.AbsTransform(),
    "ExpTransform": lambda D, t: D.ExpTransform(),
    "SigmoidTransform": lambda D, t: D.SigmoidTransform(),
    "SoftplusTransform": lambda D, t: D.SoftplusTransform(),
    "TanhTransform": lambda D, t: D.TanhTransform(),
    "PowerTransform": lambda D, t: D.PowerTransform(t.tensor(1.7, dtype=t.float64)),
    "AffineTransform": lambda D, t: D.AffineTransform(0.5, -2.0),
    "AffineTransform of vectors": lambda D, t: D.AffineTransform(0.5, t.tensor([1.0, -2.0, 3.0]), 1),
    "CumulativeDistributionTransform": lambda D, t: D.CumulativeDistributionTransform(D.Normal(0.0, 1.0)),
    "SoftmaxTransform": lambda D, t: D.SoftmaxTransform(),
    "StickBreakingTransform": lambda D, t: D.StickBreakingTransform(),
    "CorrCholeskyTransform": lambda D, t: D.CorrCholeskyTransform(),
    "LowerCholeskyTransform": lambda D, t: D.LowerCholeskyTransform(),
    "PositiveDefiniteTransform": lambda D, t: D.PositiveDefiniteTransform(),
    "ReshapeTransform": lambda D, t: D.ReshapeTransform((3, 3), (9,)),
    "IndependentTransform": lambda D, t: D.IndependentTransform(D.ExpTransform(), 1),
    "ComposeTransform": lambda D, t: D.ComposeTransform(
        [D.AffineTransform(0.0, 0.5), D.StickBreakingTransform()]
    ),
    "identity_transform": lambda D, t: D.identity_transform,
    "CatTransform": lambda D, t: D.CatTransform([D.ExpTransform(), D.TanhTransform()], -1, [1, 2]),
    "StackTransform": lambda D, t: D.StackTransform([D.ExpTransform()] * 3, -1),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps_their_inverses_and_determinants_are_pytorchs(name: str) -> None:
    values = np.random.default_rng(2).uniform(0.1, 1.5, size=(2, 3, 3))
    results = []
    for library in (distrt, torch):
        way = MAPS[name](library.distributions, library)
        x = library.tensor(values.tolist(), dtype=library.float64)
        y = way(x)
        found = [y.numpy(), way.inv(y).numpy(), way.inv.inv(x).numpy()]
        try:
            found += [way.log_abs_det_jacobian(x, y).numpy(), way.inv.log_abs_det_jacobian(y, x).numpy()]
        except NotImplementedError:
            found.append(np.zeros(0))
        results.append(found)
        assert tuple(way.inverse_shape(y.shape)) == tuple(x.shape)
    for own, other in zip(*results, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-7, atol=1e-9)
    ours, theirs = (MAPS[name](library.distributions, library) for library in (distrt, torch))
    assert repr(ours) == repr(theirs)
    assert repr(ours.inv) == repr(theirs.inv)


def test_a_cached_pair_is_given_back() -> None:
    way = distrt.distributions.TanhTransform(cache_size=1)
    x = distrt.tensor([30.0])
    assert way.inv(way(x)) is x
    assert pickle.loads(pickle.dumps(distrt.distributions.AffineTransform(1.0, 2.0))).loc == 1.0


def test_a_family_of_ones_own_has_its_divergence_and_entropy() -> None:
    D = distrt.distributions

    class Rate(D.ExponentialFamily):
        arg_constraints = {"rate": D.constraints.positive}  # noqa: RUF012 - as scripts write it
        _mean_carrier_measure = 0

        def __init__(self, rate: Any) -> None:
            self.rate = rate
            super().__init__(rate.shape)

        @property
        def _natural_params(self) -> Any:
            return (-self.rate,)

        def _log_normalizer(self, *params: Any) -> Any:
            return -(-params[0]).log()

    p, q = distrt.tensor([0.5, 2.0]), distrt.tensor([1.0, 3.0])
    known = D.kl_divergence(D.Exponential(p), D.Exponential(q))
    assert distrt.allclose(D.kl_divergence(Rate(p), Rate(q)), known)
    assert distrt.allclose(Rate(p).entropy(), D.Exponential(p).entropy())

    @D.register_kl(Rate, D.Exponential)
    def divergence(p: Any, q: Any) -> Any:
        return "mine"

    assert D.kl_divergence(Rate(p), D.Exponential(q)) == "mine"
