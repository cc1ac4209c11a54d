"""Facade: the older address of ``distributed.tensor``."""

from distrt.distributed.tensor import *
from distrt.distributed.tensor import __all__ as __all__
