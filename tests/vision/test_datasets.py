"""Datasets read torchvision's files as torchvision does."""

import os
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.vision import datasets
from tests.oracles import require_torchvision
from tests.vision.dataset_files import (
    CIFAR_CLASSES,
    digits,
    idx_bytes,
    photographs,
    python_2_pickle,
    write_cifar,
    write_mnist,
)
from tests.vision.small_datasets import SmallCIFAR, SmallParts, listed

pytest.importorskip("PIL", reason="needs distrt[vision]")


# MNIST and its kin


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_mnist_and_its_kin_equal_torchvision(
    torchvision: ModuleType, tmp_path: Path, name: str, train: bool
) -> None:
    write_mnist(tmp_path / name / "raw")
    ours, theirs = (
        getattr(library.datasets, name)(str(tmp_path), train=train)
        for library in (distrt.vision, torchvision)
    )
    assert listed(ours) == listed(theirs)
    assert (repr(ours), ours.classes, ours.class_to_idx) == (
        repr(theirs),
        theirs.classes,
        theirs.class_to_idx,
    )
    assert (ours.data.tolist(), ours.targets.tolist()) == (theirs.data.tolist(), theirs.targets.tolist())
    assert (ours.data.dtype, ours.targets.dtype) == (distrt.uint8, distrt.int64)
    assert ours[0][0].mode == theirs[0][0].mode == "L"
    assert (ours.resources, [*ours.mirrors]) == (theirs.resources, theirs.mirrors)


@pytest.mark.parametrize("split", ["letters", "balanced"])
def test_emnist_equals_torchvision(torchvision: ModuleType, tmp_path: Path, split: str) -> None:
    write_mnist(tmp_path / "EMNIST" / "raw", (f"emnist-{split}-train", f"emnist-{split}-test"))
    ours, theirs = (library.datasets.EMNIST(tmp_path, split) for library in (distrt.vision, torchvision))
    assert listed(ours) == listed(theirs)
    assert (repr(ours), ours.classes, ours.url, ours.md5) == (
        repr(theirs),
        theirs.classes,
        theirs.url,
        theirs.md5,
    )


def test_images_and_targets_are_transformed(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    data = datasets.MNIST(tmp_path, transform=np.asarray, target_transform=lambda target: -target)
    images, labels = digits(5)
    assert [(image.tolist(), target) for image, target in map(data.__getitem__, range(5))] == [
        (image.tolist(), -label) for image, label in zip(images, labels.tolist(), strict=True)
    ]
    with pytest.raises(ValueError, match="Only transforms or transform/target_transform"):
        datasets.VisionDataset(tmp_path, transforms=print, transform=print)


def test_old_names_of_mnists_tensors_warn(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    data: Any = datasets.MNIST(tmp_path)
    with pytest.warns(UserWarning, match="train_labels has been renamed targets"):
        assert data.train_labels is data.targets


def test_tensors_that_old_versions_of_torchvision_wrote_are_read(torch: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "processed"
    folder.mkdir(parents=True)
    for name, count in (("training.pt", 3), ("test.pt", 2)):
        torch.save((torch.zeros(count, 28, 28, dtype=torch.uint8), torch.arange(count)), folder / name)
    assert datasets.MNIST(tmp_path).targets.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("kind", "dtype"), [(9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")])
def test_idx_files_of_all_types_equal_torchvision(
    torchvision: ModuleType, tmp_path: Path, kind: int, dtype: str
) -> None:
    from distrt.vision.datasets.idx import read_idx

    path = tmp_path / "numbers"
    path.write_bytes(idx_bytes(np.arange(-6, 6).reshape(3, 4).astype(dtype), kind))
    theirs = torchvision.datasets.mnist.read_sn3_pascalvincent_tensor(str(path))
    ours = read_idx(str(path))
    assert (ours.tolist(), str(ours.dtype)) == (theirs.tolist(), str(theirs.dtype))


@pytest.mark.parametrize("kind", [datasets.MNIST, datasets.CIFAR10])
def test_a_dataset_that_is_missing_says_how_to_get_it(tmp_path: Path, kind: type) -> None:
    with pytest.raises(RuntimeError, match="You can use download=True to download it"):
        kind(tmp_path)


# CIFAR


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("python", [2, 3])
def test_cifar_equals_torchvision(torchvision: ModuleType, tmp_path: Path, python: int, train: bool) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py", python)
    theirs = type("SmallCIFAR", (SmallParts, torchvision.datasets.CIFAR10), {})(tmp_path, train=train)
    ours = SmallCIFAR(tmp_path, train=train)
    assert listed(ours) == listed(theirs)
    assert (repr(ours), ours.class_to_idx, ours.targets) == (
        repr(theirs),
        theirs.class_to_idx,
        theirs.targets,
    )
    assert ours.data.tolist() == theirs.data.tolist()
    assert ours.classes == CIFAR_CLASSES


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
def test_cifars_files_and_checksums_are_torchvisions(torchvision: ModuleType, name: str) -> None:
    ours, theirs = (getattr(library.datasets, name) for library in (distrt.vision, torchvision))
    for each in ("base_folder", "url", "filename", "tgz_md5", "train_list", "test_list", "meta"):
        assert getattr(ours, each) == getattr(theirs, each), each


def test_cifar_100_has_fine_labels(tmp_path: Path) -> None:
    class Small(datasets.CIFAR100):
        train_list = [["train", None]]  # noqa: RUF012
        test_list = [["test", None]]  # noqa: RUF012
        meta = {"filename": "meta", "key": "fine_label_names", "md5": None}  # noqa: RUF012

    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    images, labels = photographs(4, 0)
    for name in ("train", "test"):
        (folder / name).write_bytes(python_2_pickle(images, labels, b"fine_labels"))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": CIFAR_CLASSES}, protocol=2))
    data = Small(tmp_path)
    assert (data.targets, data.classes) == (labels, CIFAR_CLASSES)
    assert np.asarray(data[1][0]).tolist() == images[1].reshape(3, 32, 32).transpose(1, 2, 0).tolist()


# Folders


def test_image_folder_equals_torchvision(torchvision: ModuleType, pets: Path) -> None:
    ours, theirs = (library.datasets.ImageFolder(str(pets)) for library in (distrt.vision, torchvision))
    assert (ours.samples, ours.classes, ours.class_to_idx) == (
        theirs.samples,
        theirs.classes,
        theirs.class_to_idx,
    )
    assert (ours.targets, ours.imgs, repr(ours)) == (theirs.targets, theirs.imgs, repr(theirs))
    assert listed(ours) == listed(theirs)
    assert ours[0][0].mode == "RGB"


def test_dataset_folder_loads_what_it_is_told_to(torchvision: ModuleType, pets: Path) -> None:
    for options in (
        {"extensions": (".txt", ".bmp"), "allow_empty": True},
        {"is_valid_file": lambda path: "a." in path},
    ):
        ours, theirs = (
            library.datasets.DatasetFolder(str(pets), loader=os.path.getsize, **options)
            for library in (distrt.vision, torchvision)
        )
        assert list(map(ours.__getitem__, range(len(ours)))) == list(
            map(theirs.__getitem__, range(len(theirs)))
        )


@pytest.mark.parametrize("library", ["distrt", "torchvision"])
def test_folders_without_samples_are_refused_as_in_torchvision(pets: Path, library: str) -> None:
    module = distrt.vision if library == "distrt" else require_torchvision()
    (pets / "bird").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"Found no valid file for the classes bird. Supported extensions are: .jpg"
    ):
        module.datasets.ImageFolder(str(pets))
    assert len(module.datasets.ImageFolder(str(pets), allow_empty=True).classes) == 3
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder in"):
        module.datasets.ImageFolder(str(pets / "bird"))
    with pytest.raises(ValueError, match="cannot be None or not None at the same time"):
        module.datasets.DatasetFolder(str(pets), loader=open)


def test_fake_data_is_the_same_each_time(torchvision: ModuleType) -> None:
    data = datasets.FakeData(4, (3, 6, 5), 10, random_offset=2)
    theirs = torchvision.datasets.FakeData(4, (3, 6, 5), 10)
    assert listed(data) == listed(datasets.FakeData(4, (3, 6, 5), 10, random_offset=2))
    assert np.asarray(data[0][0]).tolist() == np.asarray(datasets.FakeData(9, (3, 6, 5))[2][0]).tolist()
    assert (data[1][0].size, data[1][0].mode, type(data[1][1])) == (theirs[1][0].size, "RGB", int)
    assert (repr(data), datasets.FakeData(1, (1, 4, 4))[0][0].mode) == (repr(theirs), "L")
    with pytest.raises(IndexError, match="FakeData index out of range"):
        data[4]
