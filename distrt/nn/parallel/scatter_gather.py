"""Facade: ``scatter`` and ``gather`` at the path of PyTorch's module. The room is ``distrt.parallel``."""

from distrt.parallel.data_parallel.scatter_gather import gather as gather
from distrt.parallel.data_parallel.scatter_gather import is_namedtuple as is_namedtuple
from distrt.parallel.data_parallel.scatter_gather import scatter as scatter
from distrt.parallel.data_parallel.scatter_gather import scatter_kwargs as scatter_kwargs

__all__ = ["gather", "scatter", "scatter_kwargs"]
