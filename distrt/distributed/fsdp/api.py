"""Facade: what sharded training can be told, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.fully_sharded import wrapper_options
from distrt.parallel.fully_sharded.wrapper_options import *

__all__: list[str] = []
__all__ += wrapper_options.__all__
