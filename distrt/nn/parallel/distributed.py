"""Facade: ``DistributedDataParallel`` at the path of PyTorch's module. The room is ``distrt.parallel``."""

from distrt.parallel.bucket import GradBucket as GradBucket
from distrt.parallel.buffers import BufferHook as _BufferCommHook  # noqa: F401 - users name them
from distrt.parallel.buffers import BufferHookLocation as _BufferCommHookLocation  # noqa: F401
from distrt.parallel.ddp import DistributedDataParallel
from distrt.parallel.join import Join as Join
from distrt.parallel.join import Joinable as Joinable
from distrt.parallel.join import JoinHook as JoinHook
from distrt.parallel.mixed_precision import MixedPrecision as _MixedPrecision  # noqa: F401 - users name it

__all__ = ["DistributedDataParallel"]
