"""Between the meta device and those with data: one may go there, and nothing comes back."""

from __future__ import annotations

import numpy as np

from distrt.core.arrays import Array, dim_order, is_dense
from distrt.core.device import META, device
from distrt.core.meta import refusal
from distrt.core.meta.array import MetaArray, made, strides_of

__all__ = ["crossed"]


def crossed(array: Array, target: device) -> MetaArray:
    """What ``array`` is like, in the same order of dims.

    Raises:
        NoDataError: for a meta array that should have data on another device.
    """
    if target is not META:
        raise refusal.no_copy()
    order = dim_order(array) if is_dense(array) and not array.flags.c_contiguous else range(array.ndim)
    shape = tuple(array.shape)
    return made(shape, array.dtype, strides_of(shape, np.dtype(array.dtype).itemsize, order))
