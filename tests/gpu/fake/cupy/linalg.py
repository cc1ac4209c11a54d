"""The functions of linalg that were recorded."""

from __future__ import annotations

import numpy as np

from ._functions import module_functions
from ._solvers import silent

globals().update(
    (name, silent(function) if callable(function) and not isinstance(function, type) else function)
    for name, function in module_functions("linalg", np.linalg).items()
)
