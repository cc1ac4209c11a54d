"""Facade: PyTorch's ``torch.utils.tensorboard``. The module is ``distrt.scalars``."""

from distrt.scalars import SummaryWriter

__all__ = ["SummaryWriter"]
