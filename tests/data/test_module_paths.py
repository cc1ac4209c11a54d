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


@pytest.mark.parametrize("module", NAMES)
def test_a_module_has_the_names_of_the_package(module):
    package, found = (
        importlib.import_module(name) for name in ("distrt.utils.data", f"distrt.utils.data.{module}")
    )
    for name in NAMES[module]:
        assert getattr(found, name) is getattr(package, name)
