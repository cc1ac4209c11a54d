"""iNaturalist: photographs of species, in folders by their place in the tree of life."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from distrt.core.errors import DatasetError
from distrt.vision.datasets.folder import read_image
from distrt.vision.datasets.utils import download_and_extract_archive, verify_str_arg
from distrt.vision.datasets.vision import VisionDataset

__all__ = ["CATEGORIES_2021", "DATASET_MD5", "DATASET_URLS", "INaturalist"]

CATEGORIES_2021 = ["kingdom", "phylum", "class", "order", "family", "genus"]
_FROM = "https://ml-inat-competition-datasets.s3.amazonaws.com/"
DATASET_URLS = {
    "2017": f"{_FROM}2017/train_val_images.tar.gz",
    "2018": f"{_FROM}2018/train_val2018.tar.gz",
    "2019": f"{_FROM}2019/train_val2019.tar.gz",
    "2021_train": f"{_FROM}2021/train.tar.gz",
    "2021_train_mini": f"{_FROM}2021/train_mini.tar.gz",
    "2021_valid": f"{_FROM}2021/val.tar.gz",
}
DATASET_MD5 = {
    "2017": "7c784ea5e424efaec655bd392f87301f",
    "2018": "b1c6952ce38f31868cc50ea72d066cc3",
    "2019": "c60a6e2962c9b8ccbd458d12c8582644",
    "2021_train": "e0526d53c7f7b2e3167b2b43bb2690ed",
    "2021_train_mini": "db6ed8330e634445efc8fec83ae81442",
    "2021_valid": "f6f6e0e242e3d4c9569ba56400938afc",
}


class INaturalist(VisionDataset[Any]):
    """Photographs of living things.

    Args:
        root: the folder that has, or gets, a folder for each version.
        version: one of ``DATASET_URLS``.
        target_type: "full", the species; for 2021 also "kingdom", "phylum", "class", "order", "family" and "genus", for
            the others "super". A list of them gives a tuple of targets.
        transform, target_transform: see `VisionDataset`.
        download: fetch what is missing.
        loader: makes an image of a path; where none is given, the image stays in its own mode.

    Attributes:
        all_categories: the folder of each species.
        categories_index: for each type, the number of each name.
        categories_map: for each species, its number in each type.
        index: the species and the file of each image.

    Raises:
        ValueError: for another version or type.
        DatasetError: (a RuntimeError) where images are missing, or folders have other names.

    Source: https://github.com/visipedia/inat_comp
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        version: str = "2021_train",
        target_type: list[str] | str = "full",
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
        loader: Callable[[str], Any] | None = None,
    ) -> None:
        self.version = verify_str_arg(version, "version", DATASET_URLS)
        super().__init__(os.path.join(root, version), transform=transform, target_transform=target_transform)
        os.makedirs(root, exist_ok=True)
        if download:
            self.download()
        if not self._check_exists():
            raise DatasetError(
                "Dataset not found or corrupted. You can use download=True to download it. It is looked for in "
                f"{self.root}"
            )
        is_new = version.startswith("2021")
        types = ("full", *CATEGORIES_2021) if is_new else ("full", "super")
        asked = target_type if isinstance(target_type, list) else [target_type]
        self.target_type = [verify_str_arg(each, "target_type", types) for each in asked]
        self.all_categories: list[str] = []
        self.categories_index: dict[str, dict[str, int]] = {}
        self.categories_map: list[dict[str, int]] = []
        if is_new:
            self._find_species_of_2021()
        else:
            self._find_species_in_groups()
        self.index = [
            (number, name)
            for number, folder in enumerate(self.all_categories)
            for name in os.listdir(os.path.join(self.root, folder))
        ]
        self.loader = loader

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        species, name = self.index[index]
        path = os.path.join(self.root, self.all_categories[species], name)
        image = read_image(path) if self.loader is None else self.loader(path)
        places = {"full": species, **self.categories_map[species]}
        targets = tuple(places[each] for each in self.target_type)
        return self._transformed(image, targets if len(targets) > 1 else targets[0])

    def __len__(self) -> int:
        return len(self.index)

    def category_name(self, category_type: str, category_id: int) -> str:
        """The name of a category of one of the types.

        Raises:
            ValueError: there is no such type, or no such number.
        """
        if category_type == "full":
            return self.all_categories[category_id]
        if category_type not in self.categories_index:
            raise ValueError(f"Invalid category type '{category_type}'")
        for name, number in self.categories_index[category_type].items():
            if number == category_id:
                return name
        raise ValueError(f"Invalid category id {category_id} for {category_type}")

    def download(self) -> None:
        """Fetches and unpacks the images of this version, unless there are some."""
        if self._check_exists():
            return
        folder = os.path.dirname(self.root)
        url, md5 = DATASET_URLS[self.version], DATASET_MD5[self.version]
        download_and_extract_archive(url, folder, filename=f"{self.version}.tgz", md5=md5)
        unpacked = os.path.join(folder, os.path.basename(url).removesuffix(".tar.gz"))
        if not os.path.exists(unpacked):
            raise DatasetError(f"{url} was unpacked, and there is no {unpacked}")
        os.rename(unpacked, self.root)

    def _check_exists(self) -> bool:
        return os.path.isdir(self.root) and len(os.listdir(self.root)) > 0

    def _find_species_of_2021(self) -> None:
        """Folders are named ``00123_Animalia_Arthropoda_Insecta_...``: the number, six groups, the species."""
        self.all_categories = sorted(os.listdir(self.root))
        self.categories_index = {each: {} for each in CATEGORIES_2021}
        for number, folder in enumerate(self.all_categories):
            written, *groups = folder.split("_")
            if len(groups) != len(CATEGORIES_2021) + 1:
                raise DatasetError(f"Unexpected category name {folder}, wrong number of pieces")
            if written != f"{number:05d}":
                raise DatasetError(f"Unexpected category id {written}, expecting {number:05d}")
            places = {}
            for kind, name in zip(CATEGORIES_2021, groups, strict=False):
                known = self.categories_index[kind]
                places[kind] = known.setdefault(name, len(known))
            self.categories_map.append(places)

    def _find_species_in_groups(self) -> None:
        """Folders of species lie in one for their group; they are named by number, those of 2017 by name."""
        groups = sorted(os.listdir(self.root))
        self.categories_index = {"super": {name: number for number, name in enumerate(groups)}}
        found: dict[int, tuple[int, str]] = {}
        for group, name in enumerate(groups):
            for each in sorted(os.listdir(os.path.join(self.root, name))):
                if self.version != "2017" and not each.isdecimal():
                    raise DatasetError(f"Unexpected non-numeric dir name: {each}")
                number = len(found) if self.version == "2017" else int(each)
                if number in found:
                    raise DatasetError(f"Duplicate category {each}")
                found[number] = group, os.path.join(name, each)
        for number in range(len(found)):
            if number not in found:
                raise DatasetError(f"Missing category {number}")
            group, folder = found[number]
            self.categories_map.append({"super": group})
            self.all_categories.append(folder)
