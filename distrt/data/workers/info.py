"""Which worker this process is, and the memory that it makes batches in: None where it is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distrt.core.arrays import Array
from distrt.data.workers.blocks import Blocks

__all__ = ["WorkerInfo", "get_worker_info", "room_for_batch", "set_worker"]


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """About one worker of a ``DataLoader``.

    Attributes:
        id: from 0.
        num_workers: how many there are.
        seed: that of this worker's random streams, the pass's base seed plus ``id``.
        dataset: this process's copy.
        rng: None; PyTorch's for workers that are threads.
        worker_method: "multiprocessing".
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: None = None
    worker_method: str | None = "multiprocessing"


class _Here:
    info: WorkerInfo | None = None
    blocks: Blocks | None = None


def get_worker_info() -> WorkerInfo | None:
    """Which worker of a ``DataLoader`` the calling process is; None in a process that is none."""
    return _Here.info


def set_worker(info: WorkerInfo | None, blocks: Blocks | None) -> None:
    """Makes this process a worker."""
    _Here.info, _Here.blocks = info, blocks


def room_for_batch(shape: tuple[int, ...], dtype: Any) -> Array | None:
    """In a worker, an array in memory that the parent will see, if the batch is large; else None."""
    return None if _Here.blocks is None else _Here.blocks.array(shape, dtype)
