"""Facade: the wrapper, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.distributed.fsdp import api
from distrt.distributed.fsdp.api import *
from distrt.parallel.fully_sharded.wrapper import FullyShardedDataParallel

__all__ = ["FullyShardedDataParallel"]
__all__ += api.__all__
