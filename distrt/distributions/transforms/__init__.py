"""Maps of random variables, which distributions are made of, and which free parameters are constrained with.

Source: https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.transforms
"""

from distrt.distributions.transforms import base, composite, elementwise, vectors
from distrt.distributions.transforms.base import *
from distrt.distributions.transforms.base import _InverseTransform as _InverseTransform
from distrt.distributions.transforms.composite import *
from distrt.distributions.transforms.elementwise import *
from distrt.distributions.transforms.vectors import *

__all__ = sorted([*base.__all__, *composite.__all__, *elementwise.__all__, *vectors.__all__])  # noqa: PLE0605
