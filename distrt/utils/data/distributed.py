"""Facade: PyTorch's ``torch.utils.data.distributed``."""

import distrt.distributed as dist
from distrt.data.distributed_sampler import DistributedSampler, set_default_world

__all__ = ["DistributedSampler"]

# A DistributedSampler without arguments takes its place from here: data may not know comm, so it is handed in.
set_default_world(lambda: (dist.get_world_size(), dist.get_rank()))
