"""Facade: PyTorch's ``torch.utils.data._utils.worker``."""

from distrt.data import get_worker_info
from distrt.data.workers.info import WorkerInfo

__all__ = ["WorkerInfo", "get_worker_info"]
