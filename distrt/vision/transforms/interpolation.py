"""How pixels between pixels are computed: ``InterpolationMode``, and its names in Pillow."""

from __future__ import annotations

from enum import Enum

__all__ = ["PILLOW_CODES", "InterpolationMode", "interpolation_mode"]


class InterpolationMode(Enum):
    """Interpolation modes. Box, Hamming and Lanczos are Pillow's; tensors have Lanczos as well, with antialiasing."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


#: Pillow's ``Resampling`` values.
PILLOW_CODES = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
    InterpolationMode.LANCZOS: 1,
}


def interpolation_mode(value: InterpolationMode | int) -> InterpolationMode:
    """The mode, which scripts may also give by Pillow's number. Raises TypeError for anything else."""
    if isinstance(value, InterpolationMode):
        return value
    if isinstance(value, int):
        for mode, code in PILLOW_CODES.items():
            if code == value:
                return mode
    raise TypeError(
        f"Argument interpolation should be a InterpolationMode or a corresponding Pillow integer constant, "
        f"got {value!r}"
    )
