"""Facade: what PyTorch has at ``distributed.tensor.experimental``. The room is ``distrt.parallel``."""

from distrt.parallel.distributed_tensors.local_map import local_map
from distrt.parallel.distributed_tensors.operations.implicit import implicit_replication

__all__ = ["implicit_replication", "local_map"]
