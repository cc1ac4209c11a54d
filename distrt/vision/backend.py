"""Which library reads images and videos: Pillow, and none."""

from __future__ import annotations

__all__ = ["get_image_backend", "get_video_backend", "set_image_backend", "set_video_backend"]


def set_image_backend(backend: str) -> None:
    """Accepts "PIL", which is what reads images here. Raises ValueError for another."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL': distrt reads images with Pillow")


def get_image_backend() -> str:
    """The library that reads images: "PIL"."""
    return "PIL"


def set_video_backend(backend: str) -> None:
    """Refused. Raises ValueError: distrt reads no videos."""
    raise ValueError(f"Invalid video backend '{backend}': distrt reads no videos")


def get_video_backend() -> str:
    """torchvision's default name; nothing here reads videos."""
    return "pyav"
