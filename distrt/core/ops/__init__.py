"""Every operation, by name. The derivative rules reach one another through this module (``ops.mul``).

Each family lists what it gives in its own ``__all__``; which of these users see is in ``core/names.py``.
"""

import sys

from distrt.core.ops.activations import *
from distrt.core.ops.along_dim import *
from distrt.core.ops.arithmetic import *
from distrt.core.ops.attention import *
from distrt.core.ops.average_pooling import *
from distrt.core.ops.batch_normalisation import *
from distrt.core.ops.bitwise import *
from distrt.core.ops.bounds import *
from distrt.core.ops.broadcasting import *
from distrt.core.ops.chains import *
from distrt.core.ops.class_losses import *
from distrt.core.ops.comparison import *
from distrt.core.ops.complex_numbers import *
from distrt.core.ops.contractions import *
from distrt.core.ops.convolution import *
from distrt.core.ops.copies import *
from distrt.core.ops.ctc import *
from distrt.core.ops.cylinder_functions import *
from distrt.core.ops.determinants import *
from distrt.core.ops.differences import *
from distrt.core.ops.distances import *
from distrt.core.ops.division import *
from distrt.core.ops.dropout import *
from distrt.core.ops.element_losses import *
from distrt.core.ops.elementwise import *
from distrt.core.ops.embedding import *
from distrt.core.ops.embedding_bag import *
from distrt.core.ops.extremes import *
from distrt.core.ops.factorisations import *
from distrt.core.ops.folding import *
from distrt.core.ops.fourier import *
from distrt.core.ops.grids import *
from distrt.core.ops.histograms import *
from distrt.core.ops.householder import *
from distrt.core.ops.indexing import *
from distrt.core.ops.joining import *
from distrt.core.ops.linear_cross_entropy import *
from distrt.core.ops.losses import *
from distrt.core.ops.low_rank import *
from distrt.core.ops.margin_losses import *
from distrt.core.ops.masking import *
from distrt.core.ops.matrices import *
from distrt.core.ops.matrix import *
from distrt.core.ops.normalisation import *
from distrt.core.ops.norms import *
from distrt.core.ops.order_statistics import *
from distrt.core.ops.padding import *
from distrt.core.ops.pathwise import *
from distrt.core.ops.planes import *
from distrt.core.ops.polynomials import *
from distrt.core.ops.pooling import *
from distrt.core.ops.powers import *
from distrt.core.ops.products import *
from distrt.core.ops.pseudo_inverse import *
from distrt.core.ops.rectifiers import *
from distrt.core.ops.recurrent import *
from distrt.core.ops.recurrent_gru import *
from distrt.core.ops.recurrent_lstm import *
from distrt.core.ops.recurrent_networks import *
from distrt.core.ops.reduction import *
from distrt.core.ops.repeating import *
from distrt.core.ops.resampling import *
from distrt.core.ops.rounding import *
from distrt.core.ops.sampling import *
from distrt.core.ops.scan import *
from distrt.core.ops.scatter_reduction import *
from distrt.core.ops.sets import *
from distrt.core.ops.shape import *
from distrt.core.ops.short_time import *
from distrt.core.ops.shuffling import *
from distrt.core.ops.similarity import *
from distrt.core.ops.slicewise import *
from distrt.core.ops.solving import *
from distrt.core.ops.sorting import *
from distrt.core.ops.special import *
from distrt.core.ops.spectral import *
from distrt.core.ops.splitting import *
from distrt.core.ops.statistics import *
from distrt.core.ops.strided import *
from distrt.core.ops.subscripts import *
from distrt.core.ops.triangles import *
from distrt.core.ops.trigonometry import *

_FAMILIES = [
    each for name, each in sys.modules.items() if name.startswith(f"{__name__}.") and hasattr(each, "__all__")
]

__all__ = sorted({name for family in _FAMILIES for name in family.__all__})  # noqa: PLE0605 - one list, not two
