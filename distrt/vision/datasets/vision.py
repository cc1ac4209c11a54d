"""``VisionDataset``: what all datasets of images have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from distrt.data import Dataset

__all__ = ["StandardTransform", "VisionDataset"]

T_co = TypeVar("T_co", covariant=True)


class VisionDataset(Dataset[T_co]):
    """Base class: a folder, and what is done to images and targets.

    Args:
        root: the folder; "~" is expanded.
        transforms: called with image and target, gives both; excludes the other two.
        transform: called with the image.
        target_transform: called with the target.

    Raises:
        ValueError: ``transforms`` was given together with one of the others.
    """

    _repr_indent = 4

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Callable[..., Any] | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:
        self.root: Any = os.path.expanduser(root) if isinstance(root, str) else root
        has_parts = transform is not None or target_transform is not None
        if transforms is not None and has_parts:
            raise ValueError("Only transforms or transform/target_transform can be passed as argument")
        self.transform = transform
        self.target_transform = target_transform
        self.transforms = StandardTransform(transform, target_transform) if has_parts else transforms

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if self.transforms is not None:
            body.append(repr(self.transforms))
        return "\n".join(
            ["Dataset " + type(self).__name__, *(" " * self._repr_indent + each for each in body)]
        )

    def extra_repr(self) -> str:
        """More lines of the description."""
        return ""

    def _transformed(self, image: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


class StandardTransform:
    """A transform of the image and one of the target as one of both."""

    def __init__(
        self, transform: Callable[..., Any] | None = None, target_transform: Callable[..., Any] | None = None
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        """Both, transformed."""
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        for head, each in (("Transform: ", self.transform), ("Target transform: ", self.target_transform)):
            if each is not None:
                first, *rest = repr(each).splitlines()
                lines += [head + first, *(" " * len(head) + line for line in rest)]
        return "\n".join(lines)
