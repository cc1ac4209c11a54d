"""The names of ImageNet's classes, where torchvision has them."""

from distrt.vision.models._weights import imagenet_categories

_IMAGENET_CATEGORIES = imagenet_categories()
