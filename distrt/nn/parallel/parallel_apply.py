"""Facade: ``parallel_apply`` at the path of PyTorch's module. The room is ``distrt.parallel``."""

from distrt.parallel.data_parallel.parallel_apply import get_a_var, parallel_apply

__all__ = ["get_a_var", "parallel_apply"]
