"""The transforms under the names of torchvision's second version, for images: there are no boxes, masks or videos here.

Source: https://pytorch.org/vision/stable/transforms.html#v2-api-reference-recommended.
"""

from distrt.vision.transforms import *
from distrt.vision.transforms import functional as functional
from distrt.vision.transforms.conversion import PILToTensor as PILToTensor
from distrt.vision.transforms.v2.conversion import *
