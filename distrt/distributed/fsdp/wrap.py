"""Facade: which modules get a wrapper, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.fully_sharded.wrapping import (
    CustomPolicy,
    ModuleWrapPolicy,
    always_wrap_policy,
    enable_wrap,
    lambda_auto_wrap_policy,
    size_based_auto_wrap_policy,
    transformer_auto_wrap_policy,
    wrap,
)
from distrt.parallel.fully_sharded.wrapping import or_policy as _or_policy  # noqa: F401 - users name it

__all__ = [
    "CustomPolicy",
    "ModuleWrapPolicy",
    "always_wrap_policy",
    "enable_wrap",
    "lambda_auto_wrap_policy",
    "size_based_auto_wrap_policy",
    "transformer_auto_wrap_policy",
    "wrap",
]
