"""MNIST, and the datasets in its format: FashionMNIST, KMNIST, EMNIST. torchvision's folders, names and checksums."""

from __future__ import annotations

import os
import shutil
import string
from collections.abc import Callable
from typing import Any, ClassVar

from distrt.core.errors import DatasetError, DownloadError
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.files.loading import load
from distrt.vision.datasets.idx import read_idx
from distrt.vision.datasets.utils import (
    check_integrity,
    download_and_extract_archive,
    extract_archive,
    verify_str_arg,
)
from distrt.vision.datasets.vision import VisionDataset
from distrt.vision.pillow import pil

__all__ = ["EMNIST", "KMNIST", "MNIST", "FashionMNIST"]

_PARTS = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_DIGITS = [
    f"{number} - {name}"
    for number, name in enumerate("zero one two three four five six seven eight nine".split())
]
_CHARACTERS = set(string.digits + string.ascii_letters)
_MERGED = set("cijklmopsuvwxyz")  # whose capitals look alike


def _resources(*md5: str) -> list[tuple[str, str]]:
    return list(zip(_PARTS, md5, strict=True))


class MNIST(VisionDataset[Any]):
    """Handwritten digits: 60,000 images of 28 x 28 to train on, 10,000 to test with.

    Args:
        root: the folder that has, or gets, ``MNIST/raw/train-images-idx3-ubyte`` and so on.
        train: which part.
        transform, target_transform: see `VisionDataset`; an image is a Pillow image, a target an int.
        download: fetch what is missing.

    Attributes:
        data: the images, uint8 (N, 28, 28).
        targets: the classes, int64 (N,).

    Raises:
        DatasetError: (a RuntimeError) for files that are missing or damaged.
        DownloadError: (a RuntimeError) where they cannot be fetched.
    """

    mirrors: tuple[str, ...] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    )
    resources = _resources(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    )
    training_file = "training.pt"
    test_file = "test.pt"
    classes: Any = _DIGITS
    data: Tensor
    targets: Tensor

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
        legacy = [os.path.join(self.processed_folder, each) for each in (self.training_file, self.test_file)]
        if all(map(os.path.isfile, legacy)):  # what torchvision wrote before version 0.9
            self.data, self.targets = load(legacy[0 if train else 1], weights_only=True)
            return
        if download:
            self.download()
        if not self._check_exists():
            raise DatasetError(
                f"Dataset not found. You can use download=True to download it. It is looked for in {self.raw_folder}"
            )
        self.data, self.targets = self._load_data()
        if len(self.data) != len(self.targets):
            raise DatasetError(
                f"{self.images_file} has {len(self.data)} images, and {self.labels_file} {len(self.targets)} labels"
            )

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = pil().fromarray(self.data[index].numpy())
        return self._transformed(image, int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)

    @property
    def raw_folder(self) -> str:
        """Where the files are."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        """Where older versions of torchvision put tensors."""
        return os.path.join(self.root, type(self).__name__, "processed")

    @property
    def images_file(self) -> str:
        """The file of the images of this part."""
        return os.path.join(self.raw_folder, f"{'train' if self.train else 't10k'}-images-idx3-ubyte")

    @property
    def labels_file(self) -> str:
        """The file of their classes."""
        return os.path.join(self.raw_folder, f"{'train' if self.train else 't10k'}-labels-idx1-ubyte")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: number for number, name in enumerate(self.classes)}

    def download(self) -> None:
        """Fetches and unpacks the files, if one is missing.

        Raises:
            DownloadError: from none of the mirrors.
        """
        if self._check_exists():
            return
        for name, md5 in self.resources:
            faults = []
            for mirror in self.mirrors:
                try:
                    download_and_extract_archive(f"{mirror}{name}", self.raw_folder, filename=name, md5=md5)
                except (DatasetError, DownloadError) as fault:
                    faults.append(f"Tried {mirror}, got:\n{fault}\n")
                else:
                    break
            else:
                raise DownloadError(f"Error downloading {name}:\n" + "".join(faults))

    def _load_data(self) -> tuple[Tensor, Tensor]:
        return read_idx(self.images_file, 3), read_idx(self.labels_file, 1).long()

    def _check_exists(self) -> bool:
        files = [os.path.splitext(name)[0] for name, _ in self.resources]
        return all(check_integrity(os.path.join(self.raw_folder, each)) for each in files)

    def extra_repr(self) -> str:
        """The part."""
        return f"Split: {'Train' if self.train is True else 'Test'}"


def _renamed(old: str, new: str) -> property:
    def get(self: MNIST) -> Any:
        warn(f"{old} has been renamed {new}")
        return getattr(self, new)

    get.__doc__ = f"The old name of ``{new}``."
    return property(get)


for _old, _new in {
    "train_labels": "targets",
    "test_labels": "targets",
    "train_data": "data",
    "test_data": "data",
}.items():
    setattr(MNIST, _old, _renamed(_old, _new))


class FashionMNIST(MNIST):
    """Articles of clothing, in MNIST's format. Source: https://github.com/zalandoresearch/fashion-mnist."""

    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    resources = _resources(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    )
    classes = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")


class KMNIST(MNIST):
    """Classical Japanese characters, in MNIST's format. Source: https://github.com/rois-codh/kmnist."""

    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    resources = _resources(
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    )
    classes = "o ki su tsu na ha ma ya re wo".split()


class EMNIST(MNIST):
    """Handwritten digits and letters, in MNIST's format; the images lie on their side, as in torchvision.

    Args:
        root: as for `MNIST`.
        split: "byclass", "bymerge", "balanced", "letters" (classes from 1 on), "digits" or "mnist".
        **kwargs: what `MNIST` takes.

    Raises:
        ValueError: for another split.

    Source: https://www.westernsydney.edu.au/bens/home/reproducible_research/emnist
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict: ClassVar = {
        "byclass": sorted(_CHARACTERS),
        "bymerge": sorted(_CHARACTERS - _MERGED),
        "balanced": sorted(_CHARACTERS - _MERGED),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | os.PathLike[str], split: str, **kwargs: Any) -> None:
        self.split = verify_str_arg(split, "split", self.splits)
        self.training_file, self.test_file = f"training_{split}.pt", f"test_{split}.pt"
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[split]

    @property
    def _file_prefix(self) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}"

    @property
    def images_file(self) -> str:
        """The file of the images of this part."""
        return os.path.join(self.raw_folder, f"{self._file_prefix}-images-idx3-ubyte")

    @property
    def labels_file(self) -> str:
        """The file of their classes."""
        return os.path.join(self.raw_folder, f"{self._file_prefix}-labels-idx1-ubyte")

    def download(self) -> None:
        """Fetches and unpacks the files of all splits, if one of this split is missing."""
        if self._check_exists():
            return
        download_and_extract_archive(self.url, self.raw_folder, md5=self.md5)
        folder = os.path.join(self.raw_folder, "gzip")
        for each in os.listdir(folder):
            if each.endswith(".gz"):
                extract_archive(os.path.join(folder, each), self.raw_folder)
        shutil.rmtree(folder)

    def _check_exists(self) -> bool:
        return check_integrity(self.images_file) and check_integrity(self.labels_file)
