"""How gamma and beta numbers move with a parameter, one launch each: what ``core/numerics/pathwise.py`` computes."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from distrt.core import numerics
from distrt.core.arrays import Array, row_major
from distrt.core.gpu.places import at
from distrt.core.kernels.cuda.launching import MOST_BLOCKS, kernel

__all__ = ["beta_path", "gamma_path"]

_THREADS = 128


def gamma_path(a: Array, x: Array) -> Array:
    """dx/da of a gamma variable ``x`` of shape ``a`` and rate 1, all float64."""
    return _computed("gamma_path", a, x)


def beta_path(x: Array, a: Array, b: Array) -> Array:
    """dx/da of a beta variable ``x`` of concentrations ``a`` and ``b``, all float64."""
    return _computed("beta_path", x, a, b)


def _computed(name: str, *arrays: Array) -> Array:
    with at(arrays[0]):
        spread = np.broadcast_arrays(*arrays)
        given = [row_major(each) for each in spread]
        made = np.empty(spread[0].shape, np.float64, like=arrays[0])
        if made.size:
            blocks = min(MOST_BLOCKS, math.ceil(made.size / _THREADS))
            kernel("pathwise", name, **_rule())((blocks,), (_THREADS,), (*given, made, np.int64(made.size)))
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
