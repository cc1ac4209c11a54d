"""Facade: ``DataParallel`` at the path of PyTorch's module. The room is ``distrt.parallel``."""

from distrt.parallel.data_parallel.wrapper import DataParallel, data_parallel

__all__ = ["DataParallel", "data_parallel"]
