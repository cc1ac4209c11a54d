"""Facade: ``torch.utils.hooks``."""

from distrt.nn.modules.backward_hook import BackwardHook
from distrt.nn.modules.global_hooks import RemovableHandle

__all__ = ["BackwardHook", "RemovableHandle"]
