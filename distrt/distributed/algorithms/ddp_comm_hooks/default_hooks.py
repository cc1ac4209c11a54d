"""Facade: the plain and the half-precision hooks, at the path that PyTorch users type."""

from distrt.parallel.hooks.all_reducing import allreduce_hook
from distrt.parallel.hooks.all_reducing import average as _allreduce_fut  # noqa: F401 - users' hooks call it
from distrt.parallel.hooks.casting import (
    bf16_compress_hook,
    bf16_compress_wrapper,
    fp16_compress_hook,
    fp16_compress_wrapper,
)

__all__ = [
    "allreduce_hook",
    "bf16_compress_hook",
    "bf16_compress_wrapper",
    "fp16_compress_hook",
    "fp16_compress_wrapper",
]
