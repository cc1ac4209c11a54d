"""Divergences of distributions of two families."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.distributions.bernoulli import Bernoulli
from distrt.distributions.beta import Beta
from distrt.distributions.binomial import Binomial
from distrt.distributions.continuous_bernoulli import ContinuousBernoulli
from distrt.distributions.divergence import register_kl
from distrt.distributions.expectations import (
    expected_beta,
    expected_continuous_bernoulli,
    expected_exponential,
    expected_gamma,
    expected_gumbel,
    expected_normal,
    expected_pareto,
    mean_of_log,
)
from distrt.distributions.exponential import Exponential
from distrt.distributions.gamma import Gamma
from distrt.distributions.gumbel import EULER, Gumbel
from distrt.distributions.laplace import Laplace
from distrt.distributions.normal import Normal
from distrt.distributions.pareto import Pareto
from distrt.distributions.poisson import Poisson
from distrt.distributions.uniform import Uniform


def _disjoint(p: Any, q: Any) -> Any:
    """``q`` never draws some of what ``p`` draws."""
    return p.mean.new_full(p.batch_shape, math.inf)


for _p, _qs in {
    Normal: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Laplace: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Gumbel: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Poisson: (Bernoulli, Binomial),
}.items():
    for _q in _qs:
        register_kl(_p, _q)(_disjoint)


@register_kl(Beta, Exponential)
@register_kl(ContinuousBernoulli, Exponential)
@register_kl(Gamma, Exponential)
def _something_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - expected_exponential(q, p.mean)


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
@register_kl(Exponential, Normal)
@register_kl(Gamma, Normal)
@register_kl(Gumbel, Normal)
@register_kl(Laplace, Normal)
@register_kl(Uniform, Normal)
def _something_normal(p: Any, q: Any) -> Any:
    return -p.entropy() - expected_normal(q, p.mean, p.variance)


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous_bernoulli(p: Any, q: Any) -> Any:
    return -p.entropy() - expected_continuous_bernoulli(q, p.mean)


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Any:
    mean_log = ops.digamma(p.concentration1) - ops.digamma(p.concentration1 + p.concentration0)
    return -p.entropy() - expected_gamma(q, p.mean, mean_log)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    return -p.entropy() - expected_gamma(q, p.mean, -EULER - ops.log(p.rate))


@register_kl(Beta, Uniform)
@register_kl(ContinuousBernoulli, Uniform)
def _shares_uniform(p: Any, q: Any) -> Any:
    found = -p.entropy() + ops.log(q.high - q.low)
    return ops.where((q.low > 0) | (q.high < 1), math.inf, found)


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Any:
    rate = p.rate * q.scale
    return -p.entropy() - expected_gumbel(q, p.mean, rate / (rate + 1))


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Any:
    decay = (1 + 1 / (p.rate * q.scale)) ** -p.concentration
    return -p.entropy() - expected_gumbel(q, p.mean, decay)


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Any:
    decay = ops.exp(0.5 * (p.scale / q.scale) ** 2 - p.loc / q.scale)
    return -p.entropy() - expected_gumbel(q, p.mean, decay)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Any:
    fall = ops.exp(-p.low / q.scale) - ops.exp(-p.high / q.scale)
    return -p.entropy() - expected_gumbel(q, p.mean, fall * q.scale / (p.high - p.low))


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    fits = (p.low >= 0) & (p.high <= 1)
    low, high = ops.where(fits, p.low, 0.0), ops.where(fits, p.high, 1.0)
    expected = expected_beta(q, mean_of_log(low, high), mean_of_log(1 - high, 1 - low))
    return ops.where(fits, -p.entropy() - expected, math.inf)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Any, q: Any) -> Any:
    found = -p.entropy() - expected_continuous_bernoulli(q, p.mean)
    return ops.where((p.low <= 0) | (p.high >= 1), math.inf, found)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Any:
    return ops.where(p.low < 0, math.inf, -p.entropy() - expected_exponential(q, p.mean))


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Any:
    fits = p.low >= 0
    low = ops.where(fits, p.low, 0.0)
    mean_log = mean_of_log(low, ops.where(fits, p.high, 1.0))
    return ops.where(fits, -p.entropy() - expected_gamma(q, p.mean, mean_log), math.inf)


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Any:
    fits = p.low >= q.scale
    low = ops.where(fits, p.low, 1.0)
    mean_log = mean_of_log(low, ops.where(fits, p.high, 2.0))
    return ops.where(fits, -p.entropy() - expected_pareto(q, mean_log), math.inf)


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Any, q: Any) -> Any:
    mean = p.alpha * p.scale / (p.alpha - 1)
    return ops.where(p.alpha <= 1, math.inf, -p.entropy() - expected_exponential(q, mean))


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Any:
    mean = p.alpha * p.scale / (p.alpha - 1)
    found = -p.entropy() - expected_gamma(q, mean, ops.log(p.scale) + 1 / p.alpha)
    return ops.where(p.alpha <= 1, math.inf, found)


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Any:
    mean = p.alpha * p.scale / (p.alpha - 1)
    variance = p.scale**2 * p.alpha / ((p.alpha - 1) ** 2 * (p.alpha - 2))
    return ops.where(p.alpha <= 2, math.inf, -p.entropy() - expected_normal(q, mean, variance))


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * ops.log(q.rate) - q.rate)


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    away = p.loc - q.loc
    ratio = away / p.scale
    spread = p.scale * math.sqrt(2 / math.pi) * ops.exp(-(ratio**2) / 2)
    distance = spread + away * ops.erf(ratio * math.sqrt(0.5))
    return -p.entropy() + ops.log(2 * q.scale) + distance / q.scale
