"""One row a family: how both libraries make it, from parameters that broadcast and of which each has a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# Parameters are float64 arrays; the library and its module of distributions come first.
POSITIVE = np.array([[0.7], [2.5]])
ALSO_POSITIVE = np.array([0.4, 1.5, 3.0])
REAL = np.array([[-0.8], [1.2]])
CHANCE = np.array([0.15, 0.5, 0.8])
ODDS = np.array([-1.5, 0.3, 2.0])
WEIGHTS = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
LOGITS = np.log(WEIGHTS) + 0.7
FACTOR = np.array([[1.2, 0.0, 0.0], [0.4, 0.8, 0.0], [-0.3, 0.5, 1.5]])
COVARIANCE = FACTOR @ FACTOR.T
VECTOR = np.array([[0.5, -1.0, 2.0], [0.0, 0.3, -0.4]])

FAMILIES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "Normal": (lambda D, t, a, b: D.Normal(a, b), (REAL, ALSO_POSITIVE)),
    "Uniform": (lambda D, t, a, b: D.Uniform(a, a + b), (REAL, ALSO_POSITIVE)),
    "Laplace": (lambda D, t, a, b: D.Laplace(a, b), (REAL, ALSO_POSITIVE)),
    "Cauchy": (lambda D, t, a, b: D.Cauchy(a, b), (REAL, ALSO_POSITIVE)),
    "Exponential": (lambda D, t, a: D.Exponential(a), (POSITIVE,)),
    "Gamma": (lambda D, t, a, b: D.Gamma(a, b), (POSITIVE, ALSO_POSITIVE)),
    "Chi2": (lambda D, t, a: D.Chi2(a), (POSITIVE,)),
    "Beta": (lambda D, t, a, b: D.Beta(a, b), (POSITIVE, ALSO_POSITIVE)),
    "Dirichlet": (lambda D, t, a: D.Dirichlet(a), (WEIGHTS * 4,)),
    "StudentT": (lambda D, t, a, b, c: D.StudentT(a, b, c), (ALSO_POSITIVE, REAL, POSITIVE)),
    "FisherSnedecor": (lambda D, t, a, b: D.FisherSnedecor(a, b), (POSITIVE, ALSO_POSITIVE + 4)),
    "Poisson": (lambda D, t, a: D.Poisson(a), (ALSO_POSITIVE,)),
    "Bernoulli": (lambda D, t, a: D.Bernoulli(a), (CHANCE,)),
    "Bernoulli of logits": (lambda D, t, a: D.Bernoulli(logits=a), (ODDS,)),
    "Geometric": (lambda D, t, a: D.Geometric(a), (CHANCE,)),
    "Geometric of logits": (lambda D, t, a: D.Geometric(logits=a), (ODDS,)),
    "Binomial": (lambda D, t, a: D.Binomial(4, a), (CHANCE,)),
    "Binomial of logits": (lambda D, t, a: D.Binomial(4, logits=a), (ODDS,)),
    "NegativeBinomial": (lambda D, t, a: D.NegativeBinomial(3, a), (CHANCE,)),
    "Categorical": (lambda D, t, a: D.Categorical(a), (WEIGHTS,)),
    "Categorical of logits": (lambda D, t, a: D.Categorical(logits=a), (LOGITS,)),
    "OneHotCategorical": (lambda D, t, a: D.OneHotCategorical(a), (WEIGHTS,)),
    "OneHotCategoricalStraightThrough": (
        lambda D, t, a: D.OneHotCategoricalStraightThrough(logits=a),
        (LOGITS,),
    ),
    "Multinomial": (lambda D, t, a: D.Multinomial(5, a), (WEIGHTS,)),
    "Independent": (lambda D, t, a, b: D.Independent(D.Normal(a, b), 1), (REAL, ALSO_POSITIVE)),
    "MultivariateNormal of a factor": (
        lambda D, t, a, b: D.MultivariateNormal(a, scale_tril=t.tril(b)),
        (VECTOR, FACTOR),
    ),
    "MultivariateNormal": (lambda D, t, a, b: D.MultivariateNormal(a, (b + b.mT) / 2), (VECTOR, COVARIANCE)),
    "MultivariateNormal of a precision": (
        lambda D, t, a, b: D.MultivariateNormal(a, precision_matrix=(b + b.mT) / 2),
        (VECTOR, COVARIANCE),
    ),
    "LowRankMultivariateNormal": (
        lambda D, t, a, b, c: D.LowRankMultivariateNormal(a, b, c),
        (VECTOR, FACTOR[:, :2], ALSO_POSITIVE),
    ),
    "MixtureSameFamily": (
        lambda D, t, a, b, c: D.MixtureSameFamily(D.Categorical(a), D.Normal(b, c)),
        (WEIGHTS, REAL, ALSO_POSITIVE),
    ),
    "LogNormal": (lambda D, t, a, b: D.LogNormal(a, b), (REAL, ALSO_POSITIVE)),
    "LogisticNormal": (lambda D, t, a, b: D.LogisticNormal(a, b), (REAL, ALSO_POSITIVE)),
    "HalfNormal": (lambda D, t, a: D.HalfNormal(a), (POSITIVE,)),
    "HalfCauchy": (lambda D, t, a: D.HalfCauchy(a), (POSITIVE,)),
    "InverseGamma": (lambda D, t, a, b: D.InverseGamma(a, b), (POSITIVE, ALSO_POSITIVE)),
    "Gumbel": (lambda D, t, a, b: D.Gumbel(a, b), (REAL, ALSO_POSITIVE)),
    "Pareto": (lambda D, t, a, b: D.Pareto(a, b), (POSITIVE, ALSO_POSITIVE)),
    "Weibull": (lambda D, t, a, b: D.Weibull(a, b), (POSITIVE, ALSO_POSITIVE)),
    "Kumaraswamy": (lambda D, t, a, b: D.Kumaraswamy(a, b), (POSITIVE, ALSO_POSITIVE)),
    "RelaxedBernoulli": (lambda D, t, a, b: D.RelaxedBernoulli(a, b), (np.array(0.7), CHANCE)),
    "RelaxedOneHotCategorical": (
        lambda D, t, a, b: D.RelaxedOneHotCategorical(a, b),
        (np.array(0.7), WEIGHTS),
    ),
    "ContinuousBernoulli": (lambda D, t, a: D.ContinuousBernoulli(a), (np.array([0.15, 0.4995, 0.8]),)),
    "ContinuousBernoulli of logits": (lambda D, t, a: D.ContinuousBernoulli(logits=a), (ODDS,)),
    "GeneralizedPareto": (
        lambda D, t, a, b, c: D.GeneralizedPareto(a, b, c),
        (REAL, ALSO_POSITIVE, np.array([-0.7, 0.0, 0.3])),
    ),
    "LKJCholesky": (lambda D, t, a: D.LKJCholesky(3, a), (ALSO_POSITIVE,)),
    "Wishart": (
        lambda D, t, a, b: D.Wishart(a, covariance_matrix=(b + b.mT) / 2),
        (np.array([3.5, 6.0]), COVARIANCE),
    ),
    "Wishart of a factor": (
        lambda D, t, a, b: D.Wishart(a, scale_tril=t.tril(b)),
        (np.array(4.5), FACTOR),
    ),
    "Wishart of a precision": (
        lambda D, t, a, b: D.Wishart(a, precision_matrix=(b + b.mT) / 2),
        (np.array([3.5, 6.0]), COVARIANCE),
    ),
    "VonMises": (lambda D, t, a, b: D.VonMises(a, b), (REAL, ALSO_POSITIVE)),
    "TransformedDistribution": (
        lambda D, t, a, b: D.TransformedDistribution(
            D.Normal(a, b), [D.AffineTransform(0.5, -2.0), D.SigmoidTransform()]
        ),
        (REAL, ALSO_POSITIVE),
    ),
}
