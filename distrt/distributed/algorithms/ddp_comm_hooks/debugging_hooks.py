"""Facade: the hook that communicates nothing, at the path that PyTorch users type."""

from distrt.parallel.hooks.noop import noop_hook

__all__ = ["noop_hook"]
