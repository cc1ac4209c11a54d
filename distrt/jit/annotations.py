"""The names for types that scripts import from ``torch.jit.annotations``."""

from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: UP035 - the very names that scripts use

from distrt.core.tensor import Tensor

__all__ = ["Any", "Dict", "List", "Optional", "Tensor", "Tuple", "Union"]
