"""Every smooth operation against finite differences in float64, first and second order, along random directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import is_floating, outputs_of, to_distrt
from tests.oracle.table import CASES, Case

SMOOTH = [case for case in CASES if case.smooth and {"float64", "float32"} & set(case.dtypes)]
STEP = 1e-5


def _weighted(outputs: Any, weights: list[np.ndarray[Any, Any]]) -> Any:
    """One number out of all outputs that have a gradient."""
    total = distrt.zeros((), dtype=distrt.float64)
    for out, weight in zip(outputs, weights, strict=True):
        if out.is_complex():
            out = distrt.real(out) + 0.5 * distrt.imag(out)
        if out.is_floating_point():
            total = total + (out.double() * distrt.from_numpy(weight)).sum()
    return total


def _slope(function: Callable[[list[Any]], Any], inputs: list[Any], directions: list[Any]) -> float:
    """The central difference of ``function`` along ``directions``."""
    ends = []
    for sign in (1, -1):
        moved = [x if v is None else x + sign * STEP * v for x, v in zip(inputs, directions, strict=True)]
        ends.append(float(function(moved)))
    return (ends[0] - ends[1]) / (2 * STEP)


def _along(gradients: Any, directions: list[Any]) -> float:
    pairs = [(g, v) for g, v in zip(gradients, directions, strict=True) if g is not None]
    return float(sum((g.detach().numpy() * v).sum() for g, v in pairs))


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_gradient_agrees_with_finite_differences(case: Case, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = case.arrays(seed, "float64")
    moving = [
        spec.grad and is_floating(array) and not spec.dtype
        for spec, array in zip(case.inputs, arrays, strict=True)
    ]
    directions = [rng.standard_normal(a.shape) if m else None for a, m in zip(arrays, moving, strict=True)]
    shapes = [tuple(out.shape) for out in outputs_of(case.run(distrt, *map(to_distrt, arrays)))]
    weights = [rng.uniform(0.5, 1.5, shape) for shape in shapes]

    def value(given: list[Any], grad: bool = False) -> Any:
        leaves = [to_distrt(np.asarray(a), grad and m) for a, m in zip(given, moving, strict=True)]
        return _weighted(outputs_of(case.run(distrt, *leaves)), weights), [
            x for x in leaves if x.requires_grad
        ]

    def gradient(given: list[Any], create_graph: bool) -> Any:
        total, leaves = value(given, grad=True)
        return distrt.autograd.grad(total, leaves, create_graph=create_graph, allow_unused=True), leaves

    kept = [v for v in directions if v is not None]
    found, _ = gradient(arrays, create_graph=False)
    expected = _slope(lambda given: value(given)[0], arrays, directions)
    np.testing.assert_allclose(_along(found, kept), expected, rtol=1e-5, atol=1e-6)

    if case.order < 2:
        return
    others = [rng.uniform(0.5, 1.5, v.shape) for v in kept]

    def slope_of_gradient(given: list[Any]) -> float:
        return _along(gradient(given, create_graph=False)[0], others)

    first, leaves = gradient(arrays, create_graph=True)
    pairs = [
        (g, distrt.from_numpy(u))
        for g, u in zip(first, others, strict=True)
        if g is not None and g.requires_grad
    ]
    if pairs:
        projected = sum(((g * u).sum() for g, u in pairs), start=distrt.zeros((), dtype=distrt.float64))
        second = distrt.autograd.grad(projected, leaves, allow_unused=True)
    else:
        second = [None] * len(leaves)
    expected = _slope(slope_of_gradient, arrays, directions)
    np.testing.assert_allclose(_along(second, kept), expected, rtol=1e-5, atol=1e-6)
