"""Datasets that worker processes load, at the top level, where processes that were spawned find them."""

import os
import random
import signal
import time

import numpy as np

import distrt as torch
from distrt.utils.data import Dataset, IterableDataset, get_worker_info

LARGE = 5000  # float32 elements: such an array travels in shared memory


class Rows(Dataset):
    """Sample i is full of i; large enough to travel in shared memory, and small things beside it."""

    def __init__(self, size=20, length=LARGE):
        self.size, self.length = size, length

    def __len__(self):
        return self.size

    def __getitem__(self, i):
        if not 0 <= i < self.size:
            raise IndexError(i)
        return {"x": np.full(self.length, i, np.float32), "y": i, "z": (i / 2, str(i))}


class About(Dataset):
    """Sample i tells of the worker that makes it."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        info = get_worker_info()
        draws = (random.random(), float(np.random.rand()), torch.rand(1).item())
        return (
            i,
            os.getpid(),
            info.id,
            info.num_workers,
            info.seed,
            len(info.dataset),
            torch.get_num_threads(),
            draws,
        )


class Failing(Rows):
    """Sample 3 cannot be made."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def __getitem__(self, i):
        if i == 3:
            raise self.error
        return super().__getitem__(i)


class Ending(Rows):
    """Whoever makes sample 7 ends."""

    def __init__(self, end):
        super().__init__()
        self.end = end

    def __getitem__(self, i):
        if i == 7:
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL) if self.end == "killed" else os._exit(7)
        return super().__getitem__(i)


class Slow(Rows):
    """Each sample takes some time, that of worker 0 much more."""

    def __init__(self, seconds=0.0, first=0.0):
        super().__init__()
        self.seconds, self.first = seconds, first

    def __getitem__(self, i):
        time.sleep(self.first if get_worker_info().id == 0 else self.seconds)
        return super().__getitem__(i)


class Shares(IterableDataset):
    """A stream that workers divide: worker w has every n-th number, w of its own added to its length."""

    def __init__(self, size, slow_worker=None, base=None):
        self.size, self.slow_worker = size, slow_worker

    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        for i in range(first, self.size * (1 + first), step):
            if info is not None and info.id == self.slow_worker:
                time.sleep(0.01)
            yield i


class Promising(Shares):
    """A stream that is longer than it says."""

    def __len__(self):
        return 3


class Pair(Dataset):
    """Two tensors that lie in the same memory."""

    def __len__(self):
        return 1

    def __getitem__(self, i):
        whole = torch.zeros(LARGE)
        return whole, whole[: LARGE - 1]


class WithGraph(Rows):
    """Its samples have a history."""

    def __getitem__(self, i):
        return torch.ones(LARGE, requires_grad=True) * 2


class Many(Dataset):
    """Many small samples."""

    def __len__(self):
        return 200_000

    def __getitem__(self, i):
        return f"number {i}"


class FailingInItsOwnWay(Rows):
    """Sample 3 raises an error whose class nobody can import."""

    def __getitem__(self, i):
        class LocalError(Exception):
            pass

        if i == 3:
            raise LocalError("here")
        return super().__getitem__(i)


class Keeping:
    """A collate_fn that gives its first batch again beside each."""

    def __init__(self):
        self.first = None

    def __call__(self, batch):
        made = torch.utils.data.default_collate(batch)
        self.first = made if self.first is None else self.first
        return self.first["x"], made["x"]


def samples(batch):
    return batch


def a_function(batch):
    """A collate_fn whose result cannot be pickled."""
    return lambda: batch


def note_start(number):
    """A worker_init_fn."""
    torch.noted = number


def fail_to_start(number):
    raise OSError(f"worker {number} has no disk")
