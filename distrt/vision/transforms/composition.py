"""Transforms made of transforms."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from distrt.nn import Module, ModuleList
from distrt.vision.transforms.arguments import chance

__all__ = ["Compose", "Lambda", "RandomApply", "RandomChoice", "RandomOrder", "RandomTransforms"]


class Compose:
    """One transform after the other. ``transforms`` is a list of anything that can be called with an image."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        """The image after all of them."""
        for each in self.transforms:
            img = each(img)
        return img

    def __repr__(self) -> str:
        return _listed(self, [repr(each) for each in self.transforms])


def _listed(owner: Any, lines: list[str]) -> str:
    return "\n".join([f"{owner.__class__.__name__}(", *(f"    {line}" for line in lines), ")"])


class Lambda:
    """A function as a transform. Raises TypeError for what is no function."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        """What the function returns."""
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}()"


class RandomTransforms:
    """What the transforms that choose among others have in common."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        """Left to the subclasses."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return _listed(self, [repr(each) for each in self.transforms])


class RandomApply(Module):
    """All of the transforms with probability ``p``, else none. They may stand in a ``ModuleList``."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]] | ModuleList, p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        """The image, transformed or not."""
        if not chance(self.p):
            return img
        for each in self.transforms:
            img = each(img)
        return img

    def __repr__(self) -> str:
        return _listed(self, [f"p={self.p}", *(repr(each) for each in self.transforms)])


class RandomOrder(RandomTransforms):
    """All of the transforms, in an order that Python's ``random`` chooses."""

    def __call__(self, img: Any) -> Any:
        """The image after all of them."""
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for number in order:
            img = self.transforms[number](img)
        return img


class RandomChoice(RandomTransforms):
    """One of the transforms, which Python's ``random`` chooses with the weights ``p``."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        """What that one returns."""
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"
