"""CIFAR-10 and CIFAR-100 in the form that was made for Python: pickles, which are read and not executed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from distrt.core.errors import CheckpointError, DatasetError
from distrt.files.plain import load_plain
from distrt.vision.datasets.utils import check_integrity, download_and_extract_archive
from distrt.vision.datasets.vision import VisionDataset
from distrt.vision.pillow import pil

__all__ = ["CIFAR10", "CIFAR100"]

_IMAGE = (3, 32, 32)


class CIFAR10(VisionDataset[Any]):
    """Small photographs in ten classes: 50,000 to train on, 10,000 to test with.

    Args:
        root: the folder that has, or gets, ``cifar-10-batches-py``.
        train: which part.
        transform, target_transform: see `VisionDataset`; an image is a Pillow image, a target an int.
        download: fetch what is missing.

    Attributes:
        data: the images, a NumPy array, uint8 (N, 32, 32, 3).
        targets: the classes, a list of ints.
        classes: their names.

    Raises:
        DatasetError: (a RuntimeError) for files that are missing, damaged or hostile.
        DownloadError: (a RuntimeError) where they cannot be fetched.

    Source: https://www.cs.toronto.edu/~kriz/cifar.html
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5: str | None = "c58f30108f718f92721af3b95e74349a"
    train_list: ClassVar[Any] = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list: ClassVar[Any] = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta: ClassVar[Any] = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_integrity():
            raise DatasetError(
                "Dataset not found or corrupted. You can use download=True to download it. It is looked for in "
                f"{self._path()}"
            )
        batches = [self._batch(name) for name, _ in (self.train_list if train else self.test_list)]
        self.data: Any = np.concatenate([images for images, _ in batches]).transpose(0, 2, 3, 1)
        self.targets: list[int] = [label for _, labels in batches for label in labels]
        self._load_meta()

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._transformed(pil().fromarray(self.data[index]), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def download(self) -> None:
        """Fetches and unpacks the archive, if a file is missing or has another checksum."""
        if not self._check_integrity():
            download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.tgz_md5)

    def extra_repr(self) -> str:
        """The part."""
        return f"Split: {'Train' if self.train is True else 'Test'}"

    def _path(self, *name: str) -> str:
        return os.path.join(self.root, self.base_folder, *name)

    def _check_integrity(self) -> bool:
        return all(
            check_integrity(self._path(name), md5) for name, md5 in (*self.train_list, *self.test_list)
        )

    def _batch(self, name: str) -> tuple[Any, list[int]]:
        """The images of one file, uint8 (N, 3, 32, 32), and their classes."""
        entry = self._read(name)
        images, labels = entry.get("data"), entry.get("labels", entry.get("fine_labels"))
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.size % (3 * 32 * 32):
            raise DatasetError(f"{self._path(name)}: expected uint8 images of 3 x 32 x 32 under 'data'")
        images = images.reshape(-1, *_IMAGE)
        if not isinstance(labels, list) or not all(type(each) is int for each in labels):
            raise DatasetError(f"{self._path(name)}: expected a list of ints under 'labels' or 'fine_labels'")
        if len(labels) != len(images):
            raise DatasetError(f"{self._path(name)} has {len(images)} images and {len(labels)} labels")
        return images, labels

    def _load_meta(self) -> None:
        name = self.meta["filename"]
        if not check_integrity(self._path(name), self.meta["md5"]):
            raise DatasetError(
                "Dataset metadata file not found or corrupted. You can use download=True to download it: "
                f"{self._path(name)}"
            )
        classes = self._read(name).get(self.meta["key"])
        if not isinstance(classes, list) or not all(isinstance(each, str) for each in classes):
            raise DatasetError(f"{self._path(name)}: expected a list of names under {self.meta['key']!r}")
        self.classes = classes
        self.class_to_idx = {name: number for number, name in enumerate(classes)}

    def _read(self, name: str) -> dict[str, Any]:
        try:
            entry = load_plain(self._path(name), encoding="latin1")
        except CheckpointError as fault:
            raise DatasetError(f"{self._path(name)}: {fault}") from fault
        if not isinstance(entry, dict):
            raise DatasetError(f"{self._path(name)}: expected a dictionary, got {type(entry).__name__}")
        return entry


class CIFAR100(CIFAR10):
    """Small photographs in a hundred classes; see `CIFAR10`. Its folder is ``cifar-100-python``."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list: ClassVar[Any] = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list: ClassVar[Any] = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta: ClassVar[Any] = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }
