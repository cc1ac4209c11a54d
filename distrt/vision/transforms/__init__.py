"""Transforms of images, which draw their own random parameters: on Pillow's images and tensors (*, C, H, W).

Random numbers come from ``distrt``'s default generator; ``RandomChoice`` and ``RandomOrder`` ask Python's, as in
torchvision. ``functional`` has the same changes without randomness.

Source: https://pytorch.org/vision/stable/transforms.html.
"""

from distrt.vision.transforms import autoaugment, functional, transforms
from distrt.vision.transforms.autoaugment import *
from distrt.vision.transforms.transforms import *
