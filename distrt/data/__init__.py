"""Datasets, samplers and the loader. ``distrt.utils.data`` is the public face."""

from distrt.core.tensors import methods as _methods  # noqa: F401 - tensors have their methods wherever data exists
from distrt.data.collate import collate, default_collate, default_collate_fn_map, default_convert
from distrt.data.dataloader import DataLoader
from distrt.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from distrt.data.distributed_sampler import DistributedSampler, set_default_world
from distrt.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from distrt.data.workers.info import get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "collate",
    "default_collate",
    "default_collate_fn_map",
    "default_convert",
    "get_worker_info",
    "random_split",
    "set_default_world",
]
