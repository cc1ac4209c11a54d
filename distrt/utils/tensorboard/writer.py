"""Facade: PyTorch's ``torch.utils.tensorboard.writer``."""

from distrt.scalars import SummaryWriter

__all__ = ["SummaryWriter"]
