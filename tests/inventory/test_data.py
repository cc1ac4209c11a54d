"""Area P: data; and of area Q the datasets."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import distrt as torch
from distrt.nn.utils.rnn import pad_sequence
from distrt.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from distrt.vision import datasets
from tests.inventory.rows import covers
from tests.vision.dataset_files import write_cifar, write_mnist


class CustomDataset(Dataset[Any]):
    def __init__(self, data: Any, labels: Any, transform: Any = None) -> None:
        self.data, self.labels, self.transform = data, labels, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        sample = self.data[index]
        return sample if self.transform is None else self.transform(sample), self.labels[index]


@covers("P1", "P3", "P9")
def test_a_dataset_of_ones_own_in_shuffled_batches() -> None:
    dataset = CustomDataset(torch.arange(100.0), torch.arange(100), transform=lambda x: x + 1)
    loader: Any = DataLoader(dataset=dataset, batch_size=32, shuffle=True)
    torch.manual_seed(1)
    first, second = ([(x, y) for x, y in loader] for _ in range(2))
    assert (len(loader), [len(y) for _, y in first]) == (4, [32, 32, 32, 4])
    assert all((x == y + 1).all() for x, y in first)
    assert sorted(torch.cat([y for _, y in first]).tolist()) == list(range(100))
    assert not torch.equal(first[0][1], second[0][1])
    torch.manual_seed(1)
    assert torch.equal(next(iter(loader))[1], first[0][1])


@covers("P2")
def test_tensors_of_one_length() -> None:
    assert len(TensorDataset(torch.ones(5, 2), torch.ones(5))) == 5
    with pytest.raises(AssertionError):
        TensorDataset(torch.ones(5), torch.ones(4))


def fails(batch: Any) -> Any:
    """A collate_fn that any worker can import, however it is started."""
    raise ZeroDivisionError


@covers("P4", "P5", "P6", "P8")
def test_worker_processes_give_the_same_batches() -> None:
    data = list(range(11))
    alone = [batch.tolist() for batch in DataLoader(data, 2, drop_last=True)]
    assert len(alone) == 5
    loader: Any = DataLoader(data, 2, num_workers=1, pin_memory=True, drop_last=True, persistent_workers=True)
    with pytest.warns(UserWarning, match="no accelerator is found"):
        warnings.filterwarnings("ignore", ".* is multi-threaded, use of fork")  # from Python 3.12 on
        assert [batch.tolist() for batch in loader] == alone
    assert [batch.tolist() for batch in loader] == alone
    with pytest.raises(ZeroDivisionError, match="Caught ZeroDivisionError in DataLoader worker process 0"):
        list(DataLoader(data, 2, num_workers=1, collate_fn=fails))
    with pytest.raises(ValueError, match="persistent_workers option needs num_workers > 0"):
        DataLoader(data, persistent_workers=True)


@covers("P7", "P10", "P11")
def test_collation() -> None:
    sample: Any = ({"a": torch.ones(2), "b": 1, "c": 0.5, "d": "x"}, 3)
    fields, numbers = next(iter(DataLoader([sample, sample], 2, collate_fn=None, sampler=None)))
    assert (fields["a"].shape, fields["b"].dtype, fields["c"].dtype) == ((2, 2), torch.int64, torch.float64)
    assert (fields["d"], numbers.tolist()) == (["x", "x"], [3, 3])
    ragged: Any = [torch.ones(1), torch.ones(3)]
    with pytest.raises(RuntimeError):
        next(iter(DataLoader(ragged, 2)))
    padded = DataLoader(ragged, 2, collate_fn=lambda data: pad_sequence(data, batch_first=True))
    assert next(iter(padded)).tolist() == [[1, 0, 0], [1, 1, 1]]
    with pytest.raises(ValueError):
        DataLoader(ragged, sampler=[0], shuffle=True)


@covers("P12")
def test_weighted_draws() -> None:
    torch.manual_seed(0)
    drawn = list(WeightedRandomSampler([1.0, 3.0, 0.0], num_samples=4000))
    assert len(drawn) == 4000 and drawn.count(2) == 0
    assert 0.7 < drawn.count(1) / 4000 < 0.8


@covers("P13", "P14")
def test_the_share_of_a_rank() -> None:
    dataset: Any = range(10)
    parts = [DistributedSampler(dataset, num_replicas=4, rank=rank) for rank in range(4)]
    first = [list(each) for each in parts]
    assert [len(part) for part in first] == [3] * 4 and {i for part in first for i in part} == set(range(10))
    for each in parts:
        each.set_epoch(1)
    assert [list(each) for each in parts] != first


@covers("Q1", "Q4")
def test_digits(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="needs distrt[vision]")
    write_mnist(tmp_path / "MNIST" / "raw")
    data = datasets.MNIST(root=tmp_path, train=True, download=True)  # what is there is not fetched
    image, label = data[0]
    assert (image.size, type(label), len(data)) == ((28, 28), int, 5)
    with pytest.raises(RuntimeError, match="Dataset not found"):
        datasets.MNIST(root=tmp_path / "elsewhere")


@covers("Q2")
def test_small_photographs(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="needs distrt[vision]")
    sums = write_cifar(tmp_path / "cifar-10-batches-py", python=2)

    class Small(datasets.CIFAR10):
        train_list = [[name, sums[name]] for name in ("data_batch_1", "data_batch_2")]  # noqa: RUF012
        test_list = [["test_batch", sums["test_batch"]]]  # noqa: RUF012
        meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}  # noqa: RUF012

    image, label = Small(root=tmp_path, train=True, download=True)[0]
    assert (image.size, image.mode, type(label)) == ((32, 32), "RGB", int)


@covers("Q3")
def test_images_in_folders(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs distrt[vision]")
    for name in ("dog", "cat"):
        (tmp_path / name).mkdir()
        image.new("L", (3, 2)).save(tmp_path / name / "a.png")
        (tmp_path / name / "notes.txt").touch()
    data = datasets.ImageFolder(root=tmp_path)
    assert (data.classes, data.class_to_idx, len(data)) == (["cat", "dog"], {"cat": 0, "dog": 1}, 2)
    assert data[1][0].mode == "RGB"
