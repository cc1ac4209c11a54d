"""Facade: the older address of ``distributed.tensor.placement_types``."""

from distrt.distributed.tensor.placement_types import Partial, Placement, Replicate, Shard

__all__ = ["Partial", "Placement", "Replicate", "Shard"]
