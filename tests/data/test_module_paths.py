"""Scripts import from the modules of ``torch.utils.data`` as well as from the package."""

import importlib

import pytest

NAMES = {
    "dataloader": ["DataLoader", "default_collate", "default_convert", "get_worker_info"],
    "dataset": ["ConcatDataset", "Dataset", "IterableDataset", "Subset", "TensorDataset", "random_split"],
    "sampler": ["BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "WeightedRandomSampler"],
    "distributed": ["DistributedSampler"],
    "_utils.collate": ["default_collate", "default_convert"],
    "_utils.worker": ["get_worker_info"],
}

#: Names that scripts and frameworks import, though the package does not have them.
DEEPER = [
    "dataloader._BaseDataLoaderIter",
    "dataloader._InfiniteConstantSampler",
    "dataloader._MultiProcessingDataLoaderIter",
    "dataloader._SingleProcessDataLoaderIter",
    "_utils.collate.collate",
    "_utils.collate.collate_float_fn",
    "_utils.collate.collate_int_fn",
    "_utils.collate.collate_numpy_array_fn",
    "_utils.collate.collate_numpy_scalar_fn",
    "_utils.collate.collate_str_fn",
    "_utils.collate.collate_tensor_fn",
    "_utils.collate.default_collate_err_msg_format",
    "_utils.collate.default_collate_fn_map",
    "_utils.collate.np_str_obj_array_pattern",
]


@pytest.mark.parametrize("name", DEEPER)
def test_a_module_has_pytorchs_inner_names(name, torch):
    module, _, attribute = name.rpartition(".")
    ours, theirs = (
        getattr(importlib.import_module(f"{library}.utils.data.{module}"), attribute)
        for library in ("distrt", "torch")
    )
    assert type(ours) is type(theirs) or (isinstance(ours, type) and isinstance(theirs, type))
    if isinstance(ours, str):
        assert ours == theirs


@pytest.mark.parametrize("module", NAMES)
def test_a_module_has_the_names_of_the_package(module):
    package, found = (
        importlib.import_module(name) for name in ("distrt.utils.data", f"distrt.utils.data.{module}")
    )
    for name in NAMES[module]:
        assert getattr(found, name) is getattr(package, name)
