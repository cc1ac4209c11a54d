"""What divergences between families are made of: ``E_p[log q]``, by the moments of ``p`` that it depends on.

``KL(p || q) = -entropy(p) - E_p[log q]``.
"""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops

__all__ = [
    "expected_beta",
    "expected_continuous_bernoulli",
    "expected_exponential",
    "expected_gamma",
    "expected_gumbel",
    "expected_normal",
    "expected_pareto",
    "mean_of_log",
]


def expected_exponential(q: Any, mean: Any) -> Any:
    """For an exponential ``q``."""
    return ops.log(q.rate) - q.rate * mean


def expected_gamma(q: Any, mean: Any, mean_log: Any) -> Any:
    """For a Gamma ``q``."""
    normalizer = q.concentration * ops.log(q.rate) - ops.lgamma(q.concentration)
    return normalizer + (q.concentration - 1) * mean_log - q.rate * mean


def expected_normal(q: Any, mean: Any, variance: Any) -> Any:
    """For a normal ``q``."""
    spread = (variance + (mean - q.loc) ** 2) / (2 * q.scale**2)
    return -0.5 * math.log(2 * math.pi) - ops.log(q.scale) - spread


def expected_gumbel(q: Any, mean: Any, mean_decay: Any) -> Any:
    """For a Gumbel ``q``; ``mean_decay`` is ``E_p[exp(-x / scale)]``."""
    return -ops.log(q.scale) - (mean - q.loc) / q.scale - ops.exp(q.loc / q.scale) * mean_decay


def expected_pareto(q: Any, mean_log: Any) -> Any:
    """For a Pareto ``q``, where ``p`` draws nothing below its scale."""
    return ops.log(q.alpha) + q.alpha * ops.log(q.scale) - (q.alpha + 1) * mean_log


def expected_beta(q: Any, mean_log: Any, mean_log_rest: Any) -> Any:
    """For a Beta ``q``; ``mean_log_rest`` is ``E_p[log(1 - x)]``."""
    ones, zeros = q.concentration1, q.concentration0
    normalizer = ops.lgamma(ones + zeros) - ops.lgamma(ones) - ops.lgamma(zeros)
    return normalizer + (ones - 1) * mean_log + (zeros - 1) * mean_log_rest


def expected_continuous_bernoulli(q: Any, mean: Any) -> Any:
    """For a continuous Bernoulli ``q``."""
    return mean * q.logits + ops.log1p(-q.probs) + q._cont_bern_log_norm()


def mean_of_log(low: Any, high: Any) -> Any:
    """``E[log x]`` of what is uniform between two bounds, none of them negative."""
    return (ops.xlogy(high, high) - ops.xlogy(low, low)) / (high - low) - 1
