"""Facade: PyTorch's ``torch.utils.data.dataloader``."""

from distrt.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    default_collate,
    default_convert,
    get_worker_info,
)

# What frameworks, and loaders of their own, ask an iterator for.
from distrt.data.dataloader import InfiniteSampler as _InfiniteConstantSampler
from distrt.data.iterating import InProcess as _SingleProcessDataLoaderIter
from distrt.data.iterating import LoaderIterator as _BaseDataLoaderIter
from distrt.data.workers.iterator import InWorkers as _MultiProcessingDataLoaderIter

__all__ = [
    "BatchSampler",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "_BaseDataLoaderIter",
    "_InfiniteConstantSampler",
    "_MultiProcessingDataLoaderIter",
    "_SingleProcessDataLoaderIter",
    "default_collate",
    "default_convert",
    "get_worker_info",
]
