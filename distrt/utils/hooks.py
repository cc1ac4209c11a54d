"""Facade: ``torch.utils.hooks``."""

from typing import Any

from distrt.nn.modules.backward_hook import BackwardHook
from distrt.nn.modules.global_hooks import RemovableHandle

__all__ = ["BackwardHook", "RemovableHandle", "unserializable_hook"]


def unserializable_hook(f: Any) -> Any:
    """Marks a hook that is meant to be left out of what is saved; returns it. No hook on a tensor is ever saved."""
    f.__torch_unserializable__ = True
    return f
