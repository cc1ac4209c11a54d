"""LSUN: photographs of scenes in databases of LMDB, one a class."""

from __future__ import annotations

import bisect
import importlib
import io
import itertools
import os
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from distrt.core.errors import DatasetError
from distrt.vision.datasets.utils import verify_str_arg
from distrt.vision.datasets.vision import VisionDataset
from distrt.vision.pillow import pil

__all__ = ["LSUN", "LSUNClass"]

_CATEGORIES = [
    *("bedroom", "bridge", "church_outdoor", "classroom", "conference_room"),
    *("dining_room", "kitchen", "living_room", "restaurant", "tower"),
]
_SPLITS = ["train", "val", "test"]


class LSUNClass(VisionDataset[Any]):
    """The images of one database; a target is None.

    Needs the package ``lmdb``, the extra ``datasets``. Where torchvision keeps the list of keys in a pickle in the
    working directory, this one asks the database each time.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.env = _opened(os.path.expanduser(root))
        with self.env.begin(write=False) as reading:
            self.keys = list(reading.cursor().iternext(keys=True, values=False))
        self.length = len(self.keys)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        with self.env.begin(write=False) as reading:
            content = reading.get(self.keys[index])
        return self._transformed(pil().open(io.BytesIO(content)).convert("RGB"), None)

    def __len__(self) -> int:
        return self.length

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "env": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.env = _opened(os.path.expanduser(self.root))


class LSUN(VisionDataset[Any]):
    """Photographs of ten kinds of scenes; a target is the number of the class in ``classes``.

    Args:
        root: the folder with ``bedroom_train_lmdb`` and so on. They have to be fetched by hand.
        classes: "train", "val" or "test", or a list of classes with one of these at the end: "bedroom_train".
        transform, target_transform: see `VisionDataset`.

    Raises:
        ValueError: for another class.
        DatasetError: (a RuntimeError) for a database that is missing or damaged.
        ModuleNotFoundError: ``lmdb`` is not installed.

    Source: F. Yu et al., LSUN: Construction of a Large-Scale Image Dataset using Deep Learning with Humans in the Loop.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        classes: str | list[str] = "train",
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes = _verified(classes)
        self.dbs = [
            LSUNClass(os.path.join(root, f"{each}_lmdb"), transform=transform) for each in self.classes
        ]
        self.indices = list(itertools.accumulate(map(len, self.dbs)))
        self.length = self.indices[-1] if self.indices else 0

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        number = bisect.bisect_right(self.indices, index)
        image, _ = self.dbs[number][index - (self.indices[number - 1] if number else 0)]
        return image, number if self.target_transform is None else self.target_transform(number)

    def __len__(self) -> int:
        return self.length

    def extra_repr(self) -> str:
        """The classes."""
        return f"Classes: {self.classes}"


def _verified(classes: Any) -> list[str]:
    if isinstance(classes, str) and classes in _SPLITS:
        return ["test"] if classes == "test" else [f"{each}_{classes}" for each in _CATEGORIES]
    if not isinstance(classes, Iterable):
        raise ValueError(f"Expected type str or Iterable for argument classes, but got type {type(classes)}.")
    for each in classes:
        if not isinstance(each, str):
            raise ValueError(
                f"Expected type str for elements in argument classes, but got type {type(each)}."
            )
        category, _, split = each.rpartition("_")
        for value, kind, valid in ((category, "LSUN class", _CATEGORIES), (split, "postfix", _SPLITS)):
            listed = "', '".join(valid)
            message = f"Unknown value '{value}' for {kind}. Valid values are {{'{listed}'}}."
            verify_str_arg(value, valid_values=valid, custom_msg=message)
    return list(classes)


#: The databases that are open: LMDB opens each once in a process.
_open: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def _opened(path: str) -> Any:
    """The database in a folder, to be read."""
    if (known := _open.get(os.path.realpath(path))) is not None:
        return known
    try:
        lmdb = importlib.import_module("lmdb")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "LSUN's databases need the package lmdb, which is not installed: pip install 'distrt[datasets]' (or lmdb)",
            name="lmdb",
        ) from error
    try:
        env = lmdb.open(path, max_readers=1, readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.Error as fault:
        raise DatasetError(f"{path} is no database of LMDB that can be read: {fault}") from fault
    _open[os.path.realpath(path)] = env
    return env
