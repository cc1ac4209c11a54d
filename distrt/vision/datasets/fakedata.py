"""``FakeData``: random images of any size, the same at each index in every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.creation import tensor
from distrt.core.random.draws import draw_integers, draw_normal
from distrt.core.random.generator import Generator
from distrt.vision.datasets.vision import VisionDataset
from distrt.vision.pillow import pil

__all__ = ["FakeData"]


class FakeData(VisionDataset[Any]):
    """Images of random numbers, as Pillow images, and random classes.

    Args:
        size: how many there are.
        image_size: channels, height and width.
        num_classes: how many classes.
        transform, target_transform: see `VisionDataset`; a target is a tensor to the latter, and an int afterwards.
        random_offset: added to the index, which seeds the numbers of an image.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        random = Generator().manual_seed(index + self.random_offset)
        values = draw_normal(tuple(self.image_size), np.dtype(np.float32), random) * 255
        pixels = values.astype(np.int64).astype(np.uint8).transpose(1, 2, 0)
        image = pil().fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        image, target = self._transformed(image, tensor(draw_integers(0, self.num_classes, (), random)))
        return image, target.item() if hasattr(target, "item") else target

    def __len__(self) -> int:
        return self.size
