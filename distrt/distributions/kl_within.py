"""Divergences of two distributions of one family."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.autograd.roots import grad
from distrt.distributions.bernoulli import Bernoulli
from distrt.distributions.beta import Beta
from distrt.distributions.binomial import Binomial
from distrt.distributions.categorical import Categorical
from distrt.distributions.cauchy import Cauchy
from distrt.distributions.continuous_bernoulli import ContinuousBernoulli
from distrt.distributions.dirichlet import Dirichlet
from distrt.distributions.divergence import kl_divergence, register_kl
from distrt.distributions.exp_family import ExponentialFamily
from distrt.distributions.expectations import expected_continuous_bernoulli
from distrt.distributions.exponential import Exponential
from distrt.distributions.gamma import Gamma
from distrt.distributions.geometric import Geometric
from distrt.distributions.gumbel import EULER, Gumbel
from distrt.distributions.half_normal import HalfNormal
from distrt.distributions.independent import Independent
from distrt.distributions.laplace import Laplace
from distrt.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from distrt.distributions.multivariate_normal import MultivariateNormal
from distrt.distributions.normal import Normal
from distrt.distributions.one_hot_categorical import OneHotCategorical
from distrt.distributions.pareto import Pareto
from distrt.distributions.poisson import Poisson
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.uniform import Uniform
from distrt.distributions.utils import summed


@register_kl(Bernoulli, Bernoulli)
def _bernoullis(p: Any, q: Any) -> Any:
    one = p.probs * (ops.softplus(-q.logits) - ops.softplus(-p.logits))
    one = ops.where(q.probs == 0, math.inf, one)
    one = ops.where(p.probs == 0, 0.0, one)
    zero = (1 - p.probs) * (ops.softplus(q.logits) - ops.softplus(p.logits))
    zero = ops.where(q.probs == 1, math.inf, zero)
    return one + ops.where(p.probs == 1, 0.0, zero)


@register_kl(Binomial, Binomial)
def _binomials(p: Any, q: Any) -> Any:
    if bool(ops.any(p.total_count < q.total_count)):
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    found = p.total_count * (p.probs * (p.logits - q.logits) + ops.log1p(-p.probs) - ops.log1p(-q.probs))
    return ops.where(p.total_count > q.total_count, math.inf, found)


@register_kl(Categorical, Categorical)
def _categoricals(p: Any, q: Any) -> Any:
    found = p.probs * (p.logits - q.logits)
    found = ops.where((q.probs == 0).expand(found.shape), math.inf, found)
    return ops.where((p.probs == 0).expand(found.shape), 0.0, found).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categoricals(p: Any, q: Any) -> Any:
    return _categoricals(p._categorical, q._categorical)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoullis(p: Any, q: Any) -> Any:
    return -p.entropy() - expected_continuous_bernoulli(q, p.mean)


@register_kl(Poisson, Poisson)
def _poissons(p: Any, q: Any) -> Any:
    return p.rate * (ops.log(p.rate) - ops.log(q.rate)) - (p.rate - q.rate)


@register_kl(Geometric, Geometric)
def _geometrics(p: Any, q: Any) -> Any:
    return -p.entropy() - ops.log1p(-q.probs) / p.probs - q.logits


@register_kl(Normal, Normal)
def _normals(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale) ** 2
    away = ((p.loc - q.loc) / q.scale) ** 2
    return 0.5 * (ratio + away - 1 - ops.log(ratio))


@register_kl(HalfNormal, HalfNormal)
def _half_normals(p: Any, q: Any) -> Any:
    return _normals(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplaces(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    away = (p.loc - q.loc).abs()
    return -ops.log(ratio) + away / q.scale + ratio * ops.exp(-away / p.scale) - 1


@register_kl(Cauchy, Cauchy)
def _cauchys(p: Any, q: Any) -> Any:
    spread = (p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2
    return ops.log(spread) - ops.log(4 * p.scale * q.scale)


@register_kl(Uniform, Uniform)
def _uniforms(p: Any, q: Any) -> Any:
    found = ops.log((q.high - q.low) / (p.high - p.low))
    return ops.where((q.low > p.low) | (q.high < p.high), math.inf, found)


@register_kl(Exponential, Exponential)
def _exponentials(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -ops.log(ratio) + ratio - 1


@register_kl(Gamma, Gamma)
def _gammas(p: Any, q: Any) -> Any:
    return (
        q.concentration * ops.log(p.rate / q.rate)
        + ops.lgamma(q.concentration)
        - ops.lgamma(p.concentration)
        + (p.concentration - q.concentration) * ops.digamma(p.concentration)
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Dirichlet, Dirichlet)
def _dirichlets(p: Any, q: Any) -> Any:
    ours, theirs = p.concentration, q.concentration
    total = ours.sum(-1)
    normalizers = (
        ops.lgamma(total) - ops.lgamma(theirs.sum(-1)) - (ops.lgamma(ours) - ops.lgamma(theirs)).sum(-1)
    )
    return normalizers + ((ours - theirs) * (ops.digamma(ours) - ops.digamma(total).unsqueeze(-1))).sum(-1)


@register_kl(Beta, Beta)
def _betas(p: Any, q: Any) -> Any:
    return _dirichlets(p._dirichlet, q._dirichlet)


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _multivariate_normals(p: Any, q: Any) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be computed"
        )
    # E_p[-log q] needs p's spread and mean, seen through q's factor.
    precision = q.precision_matrix
    spread = (precision * p.covariance_matrix).sum((-2, -1))
    away = p.loc - q.loc
    distance = (away.unsqueeze(-2) @ precision @ away.unsqueeze(-1)).squeeze(-1).squeeze(-1)
    determinants = q._half_log_det() - p._half_log_det()
    return determinants + 0.5 * (spread + distance - p.event_shape[0])


@register_kl(Pareto, Pareto)
def _paretos(p: Any, q: Any) -> Any:
    powers = q.alpha / p.alpha
    found = q.alpha * ops.log(p.scale / q.scale) - ops.log(powers) + powers - 1
    return ops.where(p.scale < q.scale, math.inf, found)


@register_kl(Gumbel, Gumbel)
def _gumbels(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    away = (p.loc - q.loc) / q.scale
    tail = ops.exp(ops.lgamma(1 + ratio) - away)
    return away - ops.log(ratio) + ratio * EULER + tail - (1 + EULER)


@register_kl(Independent, Independent)
def _independents(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL between Independents with different reinterpreted_batch_ndims")
    return summed(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("KL between transformed distributions with different transforms")
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_families(p: Any, q: Any) -> Any:
    """Bregman's divergence of the normalizers."""
    if type(p) is not type(q):
        raise NotImplementedError(
            f"The cross KL-divergence between different exponential families cannot be computed using Bregman "
            f"divergences: {type(p).__name__}, {type(q).__name__}"
        )
    ours = [each.detach().requires_grad_() for each in p._natural_params]
    normalizer = p._log_normalizer(*ours)
    slopes = grad(normalizer.sum(), ours, create_graph=True)
    found = q._log_normalizer(*q._natural_params) - normalizer
    for own, other, slope in zip(ours, q._natural_params, slopes, strict=True):
        part = (other - own) * slope
        found = found - summed(
            part, part.ndim - len(found.shape)
        )  # a parameter may have fewer dims than an event
    return found
