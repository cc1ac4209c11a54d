"""Images for tests, by kind: Pillow's modes, and tensors as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image


def pillow_images(rng: np.random.Generator) -> dict[str, Any]:
    """By mode."""
    colours = rng.integers(0, 256, (37, 51, 3), dtype=np.uint8)
    grey = colours[..., 0]
    return {
        "RGB": Image.fromarray(colours),
        "L": Image.fromarray(grey),
        "RGBA": Image.fromarray(rng.integers(0, 256, (20, 31, 4), dtype=np.uint8)),
        "1": Image.fromarray(grey).convert("1"),
        "I": Image.fromarray(grey.astype(np.int32) * 300),
        "F": Image.fromarray(grey.astype(np.float32)),
        "P": Image.fromarray(colours).convert("P"),
        "I;16": Image.fromarray(grey.astype(np.uint16) * 200),
        "LA": Image.fromarray(colours).convert("LA"),
    }


def arrays(rng: np.random.Generator) -> dict[str, Any]:
    """What tensors are made of, (*, C, H, W)."""
    return {
        "bytes": rng.integers(0, 256, (3, 37, 51), dtype=np.uint8),
        "batch": rng.integers(0, 256, (2, 3, 16, 19), dtype=np.uint8),
        "float": rng.random((3, 37, 51), dtype=np.float32),
        "double": rng.random((3, 21, 23)),
        "grey": rng.integers(0, 256, (1, 20, 21), dtype=np.uint8),
        "int16": rng.integers(0, 3000, (3, 17, 19)).astype(np.int16),
    }
