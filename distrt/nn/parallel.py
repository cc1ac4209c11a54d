"""Facade: data parallelism at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel import DistributedDataParallel, NaiveDDP

__all__ = ["DistributedDataParallel", "NaiveDDP"]
