"""Transforms as functions of an image and their parameters: on Pillow's images and on tensors of shape (*, C, H, W).

Source: https://pytorch.org/vision/stable/transforms.html.
"""

from distrt.vision.transforms.functional.colours import *
from distrt.vision.transforms.functional.conversion import *
from distrt.vision.transforms.functional.cropping import *
from distrt.vision.transforms.functional.filters import *
from distrt.vision.transforms.functional.images import get_dimensions as get_dimensions
from distrt.vision.transforms.functional.images import get_image_num_channels as get_image_num_channels
from distrt.vision.transforms.functional.images import get_image_size as get_image_size
from distrt.vision.transforms.functional.levels import *
from distrt.vision.transforms.functional.matrices import _get_inverse_affine_matrix, _get_perspective_coeffs
from distrt.vision.transforms.functional.resizing import *
from distrt.vision.transforms.functional.warping import *
from distrt.vision.transforms.interpolation import InterpolationMode
