"""The functions of linalg that were recorded."""

from __future__ import annotations

import numpy as np

from ._functions import module_functions

globals().update(module_functions("linalg", np.linalg))
