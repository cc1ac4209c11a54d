"""Special functions on NumPy arrays, to about 1e-14 in float64.

What tensors make of them is in ``ops/pointwise/special.py``. A file here is loaded when an operation first needs it
(``numerics.gamma.lgamma(x)``): their tables take longer to load than operations to define.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as missing:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from missing
