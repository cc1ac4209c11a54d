"""``BuiltinCommHookType``: the hooks that PyTorch has in C++, for ``_register_builtin_comm_hook``."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from distrt.parallel.hooks.all_reducing import allreduce_hook
from distrt.parallel.hooks.casting import fp16_compress_hook

__all__ = ["BuiltinCommHookType", "builtin_hook"]


class BuiltinCommHookType(IntEnum):
    """A hook without a state of its own; the model's group averages."""

    ALLREDUCE = 1
    FP16_COMPRESS = 2

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


def builtin_hook(kind: BuiltinCommHookType) -> Callable[..., Any]:
    """The hook of that kind; its state is the process group.

    Raises:
        TypeError: ``kind`` is none.
    """
    if not isinstance(kind, BuiltinCommHookType):
        raise TypeError(f"expected a BuiltinCommHookType, got {type(kind).__name__}")
    return {
        BuiltinCommHookType.ALLREDUCE: allreduce_hook,
        BuiltinCommHookType.FP16_COMPRESS: fp16_compress_hook,
    }[kind]
