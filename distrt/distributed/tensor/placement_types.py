"""Facade: how tensors lie on several ranks, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.distributed_tensors.placements import Partial, Placement, Replicate, Shard

__all__ = ["Partial", "Placement", "Replicate", "Shard"]
