"""Facade: layers cut over several ranks, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.tensor_parallel.boundaries import (
    PrepareModuleInput,
    PrepareModuleInputOutput,
    PrepareModuleOutput,
)
from distrt.parallel.tensor_parallel.losses import loss_parallel
from distrt.parallel.tensor_parallel.plans import parallelize_module
from distrt.parallel.tensor_parallel.style import ParallelStyle
from distrt.parallel.tensor_parallel.styles import ColwiseParallel, RowwiseParallel, SequenceParallel

__all__ = [
    "ColwiseParallel",
    "ParallelStyle",
    "PrepareModuleInput",
    "PrepareModuleInputOutput",
    "PrepareModuleOutput",
    "RowwiseParallel",
    "SequenceParallel",
    "loss_parallel",
    "parallelize_module",
]
