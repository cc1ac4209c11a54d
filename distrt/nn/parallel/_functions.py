"""Facade: the operations under these functions, at the path of PyTorch's module. The room is ``distrt.parallel``."""

from distrt.parallel.data_parallel.functions import Broadcast, Gather, ReduceAddCoalesced, Scatter

__all__ = ["Broadcast", "Gather", "ReduceAddCoalesced", "Scatter"]
