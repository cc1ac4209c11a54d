"""``DataParallel`` and its parts: a model on the GPUs of one process, which needs no other process.

``distrt.nn.parallel`` shows all of it at the paths of PyTorch's modules.
"""

from distrt.parallel.data_parallel.wrapper import DataParallel, data_parallel

__all__ = ["DataParallel", "data_parallel"]
