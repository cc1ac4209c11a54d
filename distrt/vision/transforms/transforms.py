"""All transforms but those of ``autoaugment``, where torchvision has them in one module."""

from distrt.vision.transforms import colours, composition, conversion, sizes, warps
from distrt.vision.transforms.colours import *
from distrt.vision.transforms.composition import *
from distrt.vision.transforms.conversion import *
from distrt.vision.transforms.interpolation import InterpolationMode
from distrt.vision.transforms.sizes import *
from distrt.vision.transforms.warps import *

__all__ = sorted(  # noqa: PLE0605 - one list of all, not five more
    [
        *colours.__all__,
        *composition.__all__,
        *conversion.__all__,
        *sizes.__all__,
        *warps.__all__,
        "InterpolationMode",
    ]
)
