"""Pillow, imported when it is first needed: the one place that does."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__all__ = ["is_pil_image", "pil"]


def pil(module: str = "Image") -> ModuleType:
    """A module of Pillow: ``pil("ImageOps")`` is ``PIL.ImageOps``.

    Raises:
        ModuleNotFoundError: where Pillow is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(f"PIL.{module}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "images need Pillow, which is not installed: pip install 'distrt[vision]' (or pillow)",
            name="PIL",
        ) from error


def is_pil_image(value: Any) -> bool:
    """Whether this is one of Pillow's images. Where nobody has imported Pillow, there is none."""
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(value, image.Image)
