"""Images: models, transforms, datasets and what goes with them, under torchvision's names.

    import distrt.vision as torchvision

Submodules load on first use. Pillow (the extra ``vision``) is imported by what opens, makes or draws on an image.
"""

from __future__ import annotations

import importlib
from typing import Any

from distrt.vision.backend import (
    get_image_backend,
    get_video_backend,
    set_image_backend,
    set_video_backend,
)

__version__ = "0.28.0"  # the torchvision whose interface this is

_MODULES = ("datasets", "io", "models", "ops", "transforms", "utils")

__all__ = [
    "datasets",
    "disable_beta_transforms_warning",
    "get_image_backend",
    "get_video_backend",
    "io",
    "models",
    "ops",
    "set_image_backend",
    "set_video_backend",
    "transforms",
    "utils",
]


def disable_beta_transforms_warning() -> None:
    """Does nothing: there is no such warning."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
