"""Facade: ``replicate`` at the path of PyTorch's module. The room is ``distrt.parallel``."""

from distrt.parallel.data_parallel.replicate import replicate

__all__ = ["replicate"]
