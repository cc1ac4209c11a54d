"""Places365: photographs of 365 kinds of places, listed in text files."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from distrt.core.errors import DatasetError
from distrt.vision.datasets.folder import default_loader
from distrt.vision.datasets.utils import check_integrity, download_and_extract_archive, verify_str_arg
from distrt.vision.datasets.vision import VisionDataset

__all__ = ["Places365"]

_FROM = "http://data.csail.mit.edu/places/places365/"
_Meta = dict[Any, tuple[str, str]]


class Places365(VisionDataset[Any]):
    """Photographs of places.

    Args:
        root: the folder that has, or gets, the lists and the images.
        split: "train-standard" (1.8 million images), "train-challenge" (8 million), "val" (36,500) or "test", whose
            targets are None.
        small: the images of 256 x 256.
        download: fetch what is missing.
        transform, target_transform: see `VisionDataset`.
        loader: makes an image of a path.

    Attributes:
        classes: their names, sorted.
        class_to_idx: their numbers.
        imgs: the path and the class of each.
        targets: the classes.

    Raises:
        ValueError: for another split.
        DatasetError: (a RuntimeError) where a list is missing or damaged.

    Source: B. Zhou et al., Places: A 10 Million Image Database for Scene Recognition, http://places2.csail.mit.edu
    """

    _SPLITS = ("train-standard", "train-challenge", "val", "test")
    _DEVKIT_META: _Meta = {  # noqa: RUF012
        "standard": ("filelist_places365-standard.tar", "35a0585fee1fa656440f3ab298f8479c"),
        "challenge": ("filelist_places365-challenge.tar", "70a8307e459c3de41690a7c76c931734"),
    }
    _CATEGORIES_META = ("categories_places365.txt", "06c963b85866bd0649f97cb43dd16673")
    _FILE_LIST_META: _Meta = {  # noqa: RUF012
        "train-standard": ("places365_train_standard.txt", "30f37515461640559006b8329efbed1a"),
        "train-challenge": ("places365_train_challenge.txt", "b2931dc997b8c33c27e7329c073a6b57"),
        "val": ("places365_val.txt", "e9f2fd57bfd9d07630173f4e8708e4b1"),
        "test": ("places365_test.txt", "2fce8233fe493576d724142e45d93653"),
    }
    _IMAGES_META: _Meta = {  # noqa: RUF012
        ("train-standard", False): ("train_large_places365standard.tar", "67e186b496a84c929568076ed01a8aa1"),
        ("train-challenge", False): (
            "train_large_places365challenge.tar",
            "605f18e68e510c82b958664ea134545f",
        ),
        ("val", False): ("val_large.tar", "9b71c4993ad89d2d8bcbdc4aef38042f"),
        ("test", False): ("test_large.tar", "41a4b6b724b1d2cd862fb3871ed59913"),
        ("train-standard", True): ("train_256_places365standard.tar", "53ca1c756c3d1e7809517cc47c5561c5"),
        ("train-challenge", True): ("train_256_places365challenge.tar", "741915038a5e3471ec7332404dfb64ef"),
        ("val", True): ("val_256.tar", "e27b17d8d44f4af9a78502beb927f808"),
        ("test", True): ("test_256.tar", "f532f6ad7b582262a2ec8009075e186b"),
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train-standard",
        small: bool = False,
        download: bool = False,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self._SPLITS)
        self.small = small
        self.loader = loader
        self.classes, self.class_to_idx = self.load_categories(download)
        self.imgs, self.targets = self.load_file_list(download)
        if download:
            self.download_images()

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.imgs[index]
        return self._transformed(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.imgs)

    @property
    def variant(self) -> str:
        """The collection: "standard" or "challenge"."""
        return "challenge" if "challenge" in self.split else "standard"

    @property
    def images_dir(self) -> str:
        """Where the images of this part are."""
        size = "256" if self.small else "large"
        is_training = self.split.startswith("train")
        name = f"data_{size}_{self.variant}" if is_training else f"{self.split}_{size}"
        return os.path.join(self.root, name)

    def load_categories(self, download: bool = True) -> tuple[list[str], dict[str, int]]:
        """The classes, sorted, and their numbers."""
        numbers = {}
        for line in self._lines(self._CATEGORIES_META, download):
            name, number = line.split()
            numbers[name] = int(number)
        return sorted(numbers), numbers

    def load_file_list(self, download: bool = True) -> tuple[list[tuple[str, int | None]], list[int | None]]:
        """The path and the class of each image, and the classes alone."""
        images = []
        for line in self._lines(self._FILE_LIST_META[self.split], download):
            name, *number = line.split()
            path = os.path.join(self.images_dir, name.lstrip("/").replace("/", os.sep))
            images.append((path, int(number[0]) if number else None))
        return images, [target for _, target in images]

    def download_devkit(self) -> None:
        """Fetches and unpacks the lists."""
        file, md5 = self._DEVKIT_META[self.variant]
        download_and_extract_archive(_FROM + file, self.root, md5=md5)

    def download_images(self) -> None:
        """Fetches and unpacks the images, unless their folder is there."""
        if os.path.exists(self.images_dir):
            return
        file, md5 = self._IMAGES_META[self.split, self.small]
        download_and_extract_archive(_FROM + file, self.root, md5=md5)
        if self.split.startswith("train"):  # the archives of both collections have one name for the folder
            os.rename(self.images_dir.rpartition("_")[0], self.images_dir)

    def _lines(self, meta: tuple[str, str], download: bool) -> list[str]:
        """The lines of a list, which may have to be fetched."""
        name, md5 = meta
        path = os.path.join(self.root, name)
        if not check_integrity(path, md5):
            if not download:
                raise DatasetError(
                    f"The file {path} does not exist or is corrupted. You can set download=True to download it."
                )
            self.download_devkit()
        with open(path) as file:
            return file.readlines()

    def extra_repr(self) -> str:
        """The part, and the size."""
        return f"Split: {self.split}\nSmall: {self.small}"
