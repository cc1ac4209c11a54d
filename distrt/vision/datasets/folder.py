"""Samples in folders, one folder a class: ``DatasetFolder``, and ``ImageFolder`` for images."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from distrt.core.errors import DatasetError
from distrt.vision.datasets.vision import VisionDataset
from distrt.vision.pillow import pil

__all__ = [
    "IMG_EXTENSIONS",
    "DatasetFolder",
    "ImageFolder",
    "default_loader",
    "find_classes",
    "has_file_allowed_extension",
    "is_image_file",
    "make_dataset",
    "pil_loader",
]

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

_Path = str | os.PathLike[str]


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether a name has one of these endings, in whatever case."""
    return filename.lower().endswith(extensions if isinstance(extensions, str) else tuple(extensions))


def is_image_file(filename: str) -> bool:
    """Whether a name has the ending of an image."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: _Path) -> tuple[list[str], dict[str, int]]:
    """The folders in a folder, sorted, and their numbers.

    Raises:
        FileNotFoundError: there are none.
    """
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: number for number, name in enumerate(classes)}


def make_dataset(
    directory: _Path,
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """The paths of the samples, and the number of the class of each.

    Raises:
        ValueError: without a class, or with not exactly one of ``extensions`` and ``is_valid_file``.
        FileNotFoundError: a class has no sample.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        _, class_to_idx = find_classes(directory)
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("Both extensions and is_valid_file cannot be None or not None at the same time")
    is_sample = is_valid_file or functools.partial(has_file_allowed_extension, extensions=extensions or ())
    samples = []
    empty = []
    for name in sorted(class_to_idx):
        found = [path for path in _files_below(os.path.join(directory, name)) if is_sample(path)]
        samples += [(path, class_to_idx[name]) for path in found]
        empty += [] if found else [name]
    if empty and not allow_empty:
        supported = extensions if isinstance(extensions, str | None) else ", ".join(extensions)
        raise FileNotFoundError(
            f"Found no valid file for the classes {', '.join(empty)}. "
            + (f"Supported extensions are: {supported}" if supported else "")
        )
    return samples


def _files_below(folder: str) -> list[str]:
    return [
        os.path.join(root, name)
        for root, _, names in sorted(os.walk(folder, followlinks=True))
        for name in sorted(names)
    ]


class DatasetFolder(VisionDataset[Any]):
    """Samples in ``root/class/.../name.ext``.

    Args:
        root: the folder.
        loader: makes a sample of a path.
        extensions: the endings of samples' names; or:
        transform, target_transform: see `VisionDataset`.
        is_valid_file: tells samples by their paths.
        allow_empty: whether a class may have no sample.

    Attributes:
        classes: their names, sorted.
        class_to_idx: their numbers.
        samples: the path and the class of each.
        targets: the classes.

    Raises:
        FileNotFoundError: there is no class, or no sample in one.
        ValueError: see `make_dataset`.
    """

    def __init__(
        self,
        root: _Path,
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        classes, class_to_idx = self.find_classes(self.root)
        samples = self.make_dataset(
            self.root,
            class_to_idx=class_to_idx,
            extensions=extensions,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.loader = loader
        self.extensions = extensions
        self.classes = classes
        self.class_to_idx = class_to_idx
        self.samples = samples
        self.targets = [target for _, target in samples]

    @staticmethod
    def make_dataset(
        directory: _Path,
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """The samples; subclasses may find them elsewhere. See `make_dataset`."""
        if class_to_idx is None:  # find_classes, the function, might not agree with the method
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: _Path) -> tuple[list[str], dict[str, int]]:
        """The classes; subclasses may choose others. See `find_classes`."""
        return find_classes(directory)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._transformed(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


def pil_loader(path: _Path) -> Any:
    """The image in a file, in RGB.

    Raises:
        OSError: see `read_image`.
    """
    return read_image(path, "RGB")


def read_image(path: _Path, mode: str | None = None) -> Any:
    """The image in a file, converted to one of Pillow's modes, or in its own.

    Raises:
        OSError: for a file that is no image, is damaged, or says that it is larger than any photograph; with its path.
    """
    image = pil()
    try:
        with open(path, "rb") as file:
            found = image.open(file)
            found.load()
            return found if mode is None else found.convert(mode)
    except image.UnidentifiedImageError:
        raise  # it has the path
    except OSError as fault:
        if fault.errno is not None:
            raise
        raise DatasetError(f"{os.fspath(path)}: {fault}") from fault
    except (
        Exception
    ) as fault:  # decoders raise all kinds: SyntaxError for a broken PNG, DecompressionBombError
        raise DatasetError(f"{os.fspath(path)}: {type(fault).__name__}: {fault}") from fault


def default_loader(path: _Path) -> Any:
    """What `ImageFolder` loads with: Pillow."""
    return pil_loader(path)


class ImageFolder(DatasetFolder):
    """Images in ``root/class/.../name.png``; see `DatasetFolder`.

    Attributes:
        imgs: the same as ``samples``.
    """

    def __init__(
        self,
        root: _Path,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(
            root,
            loader,
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform=transform,
            target_transform=target_transform,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.imgs = self.samples
