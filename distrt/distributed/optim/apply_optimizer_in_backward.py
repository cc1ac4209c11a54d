"""Facade: optimizers that step in backward, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.optimizer_overlap import (  # noqa: F401
    apply_optimizer_in_backward as _apply_optimizer_in_backward,
)
from distrt.parallel.optimizer_overlap import (  # noqa: F401
    get_in_backward_optimizers as _get_in_backward_optimizers,
)

__all__: list[str] = []
