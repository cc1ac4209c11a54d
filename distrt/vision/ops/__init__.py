"""Operations on boxes, and layers that torchvision's models are made of.

Source: https://pytorch.org/vision/stable/ops.html.
"""

from distrt.vision.ops import boxes, misc
from distrt.vision.ops.boxes import *
from distrt.vision.ops.focal_loss import sigmoid_focal_loss
from distrt.vision.ops.misc import *
from distrt.vision.ops.stochastic_depth import StochasticDepth, stochastic_depth

__all__ = sorted([*boxes.__all__, *misc.__all__, "StochasticDepth", "sigmoid_focal_loss", "stochastic_depth"])  # noqa: PLE0605 - one list, not two
