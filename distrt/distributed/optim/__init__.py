"""Facade: optimizers of several ranks, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.averaging.optimizer import PostLocalSGDOptimizer
from distrt.parallel.optimizer_overlap import (
    apply_optimizer_in_backward as _apply_optimizer_in_backward,  # noqa: F401 - users name both
)
from distrt.parallel.optimizer_overlap import as_functional_optim
from distrt.parallel.optimizer_overlap import get_in_backward_optimizers as _get_in_backward_optimizers  # noqa: F401
from distrt.parallel.sharding.zero import ZeroRedundancyOptimizer

__all__ = ["PostLocalSGDOptimizer", "ZeroRedundancyOptimizer", "as_functional_optim"]
