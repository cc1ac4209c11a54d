"""Facade: PyTorch's ``torch.utils.data.distributed``."""

from distrt.data.distributed_sampler import DistributedSampler

__all__ = ["DistributedSampler"]
