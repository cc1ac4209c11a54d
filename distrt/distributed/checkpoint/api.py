"""Facade: PyTorch's ``torch.distributed.checkpoint.api``."""

from distrt.checkpoint.failures import CheckpointException

__all__ = ["CheckpointException"]
