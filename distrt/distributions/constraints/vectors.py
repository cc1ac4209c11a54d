"""Regions of vectors."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.distributions.constraints.base import Constraint


class _OneHot(Constraint):
    is_discrete = True
    event_dim = 1

    def check(self, value: Any) -> Any:
        binary = ops.all((value == 0) | (value == 1), -1)
        return binary & (value.sum(-1) == 1)


class _Simplex(Constraint):
    event_dim = 1

    def check(self, value: Any) -> Any:
        return ops.all(value >= 0, -1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _Multinomial(Constraint):
    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, x: Any) -> Any:
        return ops.all(x >= 0, -1) & (x.sum(-1) <= self.upper_bound)
