"""Every operation, by name. The derivative rules reach one another through this module (``ops.mul``).

Each family lists what it gives in its own ``__all__``; which of these users see is in ``core/tensors/names.py``.
"""

import sys

from distrt.core.ops.indexing.along_dim import *
from distrt.core.ops.indexing.gathering import *
from distrt.core.ops.indexing.masking import *
from distrt.core.ops.indexing.planes import *
from distrt.core.ops.indexing.scatter_reduction import *
from distrt.core.ops.indexing.slicewise import *
from distrt.core.ops.indexing.subscripts import *
from distrt.core.ops.linalg.chains import *
from distrt.core.ops.linalg.contractions import *
from distrt.core.ops.linalg.determinants import *
from distrt.core.ops.linalg.distances import *
from distrt.core.ops.linalg.factorisations import *
from distrt.core.ops.linalg.householder import *
from distrt.core.ops.linalg.linear import *
from distrt.core.ops.linalg.low_rank import *
from distrt.core.ops.linalg.matrices import *
from distrt.core.ops.linalg.matrix import *
from distrt.core.ops.linalg.norms import *
from distrt.core.ops.linalg.products import *
from distrt.core.ops.linalg.pseudo_inverse import *
from distrt.core.ops.linalg.similarity import *
from distrt.core.ops.linalg.solving import *
from distrt.core.ops.linalg.spectral import *
from distrt.core.ops.nn.activations import *
from distrt.core.ops.nn.attention import *
from distrt.core.ops.nn.batch_normalisation import *
from distrt.core.ops.nn.class_losses import *
from distrt.core.ops.nn.ctc import *
from distrt.core.ops.nn.dropout import *
from distrt.core.ops.nn.element_losses import *
from distrt.core.ops.nn.elementwise import *
from distrt.core.ops.nn.embedding import *
from distrt.core.ops.nn.embedding_bag import *
from distrt.core.ops.nn.linear_cross_entropy import *
from distrt.core.ops.nn.losses import *
from distrt.core.ops.nn.margin_losses import *
from distrt.core.ops.nn.normalisation import *
from distrt.core.ops.nn.rectifiers import *
from distrt.core.ops.nn.recurrent import *
from distrt.core.ops.nn.recurrent_gru import *
from distrt.core.ops.nn.recurrent_lstm import *
from distrt.core.ops.nn.recurrent_networks import *
from distrt.core.ops.pointwise.arithmetic import *
from distrt.core.ops.pointwise.bitwise import *
from distrt.core.ops.pointwise.bounds import *
from distrt.core.ops.pointwise.comparison import *
from distrt.core.ops.pointwise.complex_numbers import *
from distrt.core.ops.pointwise.cylinder_functions import *
from distrt.core.ops.pointwise.division import *
from distrt.core.ops.pointwise.polynomials import *
from distrt.core.ops.pointwise.powers import *
from distrt.core.ops.pointwise.rounding import *
from distrt.core.ops.pointwise.special import *
from distrt.core.ops.pointwise.trigonometry import *
from distrt.core.ops.random.pathwise import *
from distrt.core.ops.random.sampling import *
from distrt.core.ops.reductions.differences import *
from distrt.core.ops.reductions.extremes import *
from distrt.core.ops.reductions.histograms import *
from distrt.core.ops.reductions.order_statistics import *
from distrt.core.ops.reductions.reduction import *
from distrt.core.ops.reductions.scan import *
from distrt.core.ops.reductions.sets import *
from distrt.core.ops.reductions.sorting import *
from distrt.core.ops.reductions.statistics import *
from distrt.core.ops.shapes.broadcasting import *
from distrt.core.ops.shapes.copies import *
from distrt.core.ops.shapes.grids import *
from distrt.core.ops.shapes.joining import *
from distrt.core.ops.shapes.padding import *
from distrt.core.ops.shapes.repeating import *
from distrt.core.ops.shapes.shape import *
from distrt.core.ops.shapes.shuffling import *
from distrt.core.ops.shapes.splitting import *
from distrt.core.ops.shapes.strided import *
from distrt.core.ops.shapes.triangles import *
from distrt.core.ops.signal.fourier import *
from distrt.core.ops.signal.short_time import *
from distrt.core.ops.spatial.average_pooling import *
from distrt.core.ops.spatial.convolution import *
from distrt.core.ops.spatial.folding import *
from distrt.core.ops.spatial.pooling import *
from distrt.core.ops.spatial.resampling import *

_FAMILIES = [
    each for name, each in sys.modules.items() if name.startswith(f"{__name__}.") and hasattr(each, "__all__")
]

__all__ = sorted({name for family in _FAMILIES for name in family.__all__})  # noqa: PLE0605 - one list, not two
