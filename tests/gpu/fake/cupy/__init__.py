"""A fake of CuPy 14 for machines without a GPU: its names, its refusals, NumPy's arithmetic.

Put ``tests/gpu/fake`` in front of the module path, and ``import cupy`` finds this.  What it is for: to show that the
runtime asks CuPy for nothing that CuPy lacks, and that no operation takes an array to the host behind its user's back.
So it has the names, signatures and dtypes recorded in ``tests/gpu/cupy_surface.json``, and refuses what CuPy refuses:
implicit conversion to NumPy, NumPy arrays beside its own, ufuncs of dtypes without a kernel, arrays of two devices.

What it is not: a measurement, or a proof that anything runs on a GPU.  Arithmetic is NumPy's, on the host.
"""

from __future__ import annotations

from typing import Any

from . import cuda, fft, lib, linalg, random
from ._array import ndarray
from ._functions import FUNCTIONS
from ._kernels import RawModule
from ._surface import SURFACE
from ._ufuncs import UFUNCS, ufunc

__version__ = SURFACE["version"]
__all__ = ["RawModule", "cuda", "fft", "lib", "linalg", "ndarray", "random", "ufunc"]

IS_FAKE = True


def __getattr__(name: str) -> Any:
    for table in (UFUNCS, FUNCTIONS):
        if name in table:
            return table[name]
    import numpy

    if name in ("e", "inf", "nan", "newaxis", "pi") or isinstance(getattr(numpy, name, None), type):
        return getattr(numpy, name)  # constants, and the names of dtypes
    raise AttributeError(f"module 'cupy' has no attribute {name!r}")


def get_default_memory_pool() -> Any:
    """The pool of device memory."""
    return cuda.memory.pool()
