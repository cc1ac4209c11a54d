"""ImageNet, the 2012 competition's photographs in 1,000 classes, out of its site's archives."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from distrt.core.errors import DatasetError
from distrt.files.loading import load
from distrt.files.saving import save
from distrt.vision.datasets.folder import ImageFolder
from distrt.vision.datasets.matlab import read_matlab
from distrt.vision.datasets.utils import check_integrity, extract_archive, verify_str_arg

__all__ = [
    "ARCHIVE_META",
    "META_FILE",
    "ImageNet",
    "load_meta_file",
    "parse_devkit_archive",
    "parse_train_archive",
    "parse_val_archive",
]

_Path = str | os.PathLike[str]

ARCHIVE_META = {
    "train": ("ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"),
    "val": ("ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622"),
    "devkit": ("ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"),
}
META_FILE = "meta.bin"


class ImageNet(ImageFolder):
    """Photographs in 1,000 classes: 1,281,167 to train on, 50,000 to validate with.

    Args:
        root: the folder with the archives, which have to be fetched by hand from https://image-net.org; what they hold
            is unpacked beside them, once.
        split: "train" or "val".
        **kwargs: what `ImageFolder` takes.

    Attributes:
        wnids: WordNet's number of each class, which is the name of its folder.
        wnid_to_idx: the class of each.
        classes: the names of each class, a tuple.
        class_to_idx: the class of each name.

    Raises:
        ValueError: for another split.
        DatasetError: (a RuntimeError) where an archive is missing or damaged.
        ModuleNotFoundError: the list of classes is not unpacked yet, and SciPy, which reads it, is not installed.
    """

    def __init__(self, root: _Path, split: str = "train", **kwargs: Any) -> None:
        self.root = os.path.expanduser(root)
        self.split = verify_str_arg(split, "split", ("train", "val"))
        self.parse_archives()
        names = load_meta_file(self.root)[0]
        super().__init__(self.split_folder, **kwargs)
        self.root = os.path.expanduser(root)
        self.wnids, self.wnid_to_idx = self.classes, self.class_to_idx
        self.classes: Any = [names[each] for each in self.wnids]
        self.class_to_idx = {name: number for number, each in enumerate(self.classes) for name in each}

    def parse_archives(self) -> None:
        """Unpacks what is still packed."""
        if not check_integrity(os.path.join(self.root, META_FILE)):
            parse_devkit_archive(self.root)
        if not os.path.isdir(self.split_folder):
            if self.split == "train":
                parse_train_archive(self.root)
            else:
                parse_val_archive(self.root)

    @property
    def split_folder(self) -> str:
        """Where the images of this part are."""
        return os.path.join(self.root, self.split)

    def extra_repr(self) -> str:
        """The part."""
        return f"Split: {self.split}"


def load_meta_file(root: _Path, file: str | None = None) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The names of each class by its WordNet number, and the numbers of the validation images, in their order.

    Raises:
        DatasetError: the file is not there.
    """
    path = os.path.join(root, file or META_FILE)
    if not check_integrity(path):
        raise DatasetError(
            f"The meta file {path} is not present in the root directory or is corrupted. This file is automatically "
            "created by the ImageNet dataset."
        )
    return load(path, weights_only=True)


def parse_devkit_archive(root: _Path, file: str | None = None) -> None:
    """Writes what `load_meta_file` reads, out of the development kit.

    Raises:
        DatasetError: the archive is missing or damaged.
    """
    archive = _checked(root, "devkit", file)
    with tempfile.TemporaryDirectory() as folder:
        extract_archive(archive, folder)
        data = os.path.join(folder, "ILSVRC2012_devkit_t12", "data")
        synsets = read_matlab(os.path.join(data, "meta.mat"), "synsets", squeeze_me=True)[0]
        with open(os.path.join(data, "ILSVRC2012_validation_ground_truth.txt")) as lines:
            validation = [int(line) for line in lines]
    # Synsets are (number, WordNet's number, names, gloss, number of children, ...); those without children are classes.
    leaves = [each for each in synsets if each[4] == 0]
    names = {str(each[1]): tuple(str(each[2]).split(", ")) for each in leaves}
    by_number = {int(each[0]): str(each[1]) for each in leaves}
    save((names, [by_number[number] for number in validation]), os.path.join(root, META_FILE))


def parse_train_archive(root: _Path, file: str | None = None, folder: str = "train") -> None:
    """Unpacks the archive of archives, one a class, that the training images come in.

    Raises:
        DatasetError: the archive is missing or damaged.
    """
    place = os.path.join(root, folder)
    extract_archive(_checked(root, "train", file), place)
    for name in os.listdir(place):
        packed = os.path.join(place, name)
        extract_archive(packed, os.path.splitext(packed)[0], remove_finished=True)


def parse_val_archive(
    root: _Path, file: str | None = None, wnids: list[str] | None = None, folder: str = "val"
) -> None:
    """Unpacks the validation images, and puts each into the folder of its class.

    Args:
        root: the folder with the archive.
        file: its name, if it has another.
        wnids: WordNet's number of each image, in the order of their names; otherwise what `load_meta_file` knows.
        folder: where to.

    Raises:
        DatasetError: the archive is missing or damaged, or has another number of images.
    """
    place = os.path.join(root, folder)
    known = load_meta_file(root)[1] if wnids is None else wnids
    extract_archive(_checked(root, "val", file), place)
    images = sorted(os.listdir(place))
    if len(images) != len(known):
        raise DatasetError(f"{place} has {len(images)} images, and {len(known)} classes are known of them")
    for each in set(known):
        os.mkdir(os.path.join(place, each))
    for name, each in zip(images, known, strict=True):
        shutil.move(os.path.join(place, name), os.path.join(place, each, name))


def _checked(root: _Path, what: str, file: str | None) -> str:
    """The path of an archive whose checksum is right."""
    name, md5 = ARCHIVE_META[what]
    path = os.path.join(root, file or name)
    if not check_integrity(path, md5):
        raise DatasetError(
            f"The archive {file or name} is not present in the root directory or is corrupted. You need to download it "
            f"externally and place it in {os.fspath(root)}."
        )
    return path
