"""Both MobileNets, where torchvision has them together."""

from distrt.vision.models import mobilenetv2, mobilenetv3
from distrt.vision.models.mobilenetv2 import *
from distrt.vision.models.mobilenetv3 import *

__all__ = [*mobilenetv2.__all__, *mobilenetv3.__all__]  # noqa: PLE0604 - lists of strings
