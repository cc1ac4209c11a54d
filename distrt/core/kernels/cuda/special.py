"""Functions of gamma and beta variables, one launch each: what ``core/numerics`` computes of whole arrays step by step.

An element stops when its own sum has converged, and nobody asks whether all have. Everything is float64.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from distrt.core import numerics
from distrt.core.arrays import Array, row_major
from distrt.core.gpu.places import at
from distrt.core.kernels.cuda.launching import MOST_BLOCKS, kernel

__all__ = ["beta_path", "gamma_path", "gammainc", "gammaincc"]

_THREADS = 128


def gamma_path(a: Array, x: Array) -> Array:
    """dx/da of a gamma variable ``x`` of shape ``a`` and rate 1."""
    return _computed("gamma_path", a, x)


def beta_path(x: Array, a: Array, b: Array) -> Array:
    """dx/da of a beta variable ``x`` of concentrations ``a`` and ``b``."""
    return _computed("beta_path", x, a, b)


def gammainc(a: Array, x: Array) -> Array:
    """The regularised lower incomplete gamma function, for a >= 0 and x >= 0; nan elsewhere."""
    return _computed("gammainc", a, x)


def gammaincc(a: Array, x: Array) -> Array:
    """The regularised upper incomplete gamma function, ``1 - gammainc(a, x)``."""
    return _computed("gammaincc", a, x)


def _computed(name: str, *arrays: Array) -> Array:
    with at(arrays[0]):
        spread = np.broadcast_arrays(*arrays)
        given = [row_major(each) for each in spread]
        made = np.empty(spread[0].shape, np.float64, like=arrays[0])
        if made.size:
            blocks = min(MOST_BLOCKS, math.ceil(made.size / _THREADS))
            kernel("special", name, **_rule())((blocks,), (_THREADS,), (*given, made, np.int64(made.size)))
    return made


@functools.cache
def _rule() -> dict[str, Any]:
    """Nodes and weights, as the source has them."""
    nodes, weights = numerics.pathwise.NODES, numerics.pathwise.WEIGHTS
    return {
        "COUNT": len(nodes),
        "NODES": ", ".join(map(repr, nodes.tolist())),
        "WEIGHTS": ", ".join(map(repr, weights.tolist())),
    }
