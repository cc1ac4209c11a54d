"""Facade: ``torch.autograd.variable``, from before tensors and variables were one."""

from distrt.autograd import Variable

__all__ = ["Variable"]
