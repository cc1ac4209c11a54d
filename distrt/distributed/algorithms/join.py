"""Facade: uneven inputs, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.join import Join, Joinable, JoinHook
from distrt.parallel.join import _JoinConfig as _JoinConfig

__all__ = ["Join", "JoinHook", "Joinable"]
