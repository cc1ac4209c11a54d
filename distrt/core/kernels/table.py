"""Which kernel does what: one row for each operation that has more than NumPy's implementation.

A choice follows from sizes, dtypes and what is installed, and from nothing that happened before: so the same call gives
the same bits every time, on every rank. The tests compare each kernel with its oracle.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, is_on_gpu
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import on_gpu
from distrt.core.kernels.onednn.columns import columns_of
from distrt.core.kernels.onednn.convolution import Geometry, OneDNNConvolution, convolution_of
from distrt.core.kernels.onednn.product import multiplies_bfloat16
from distrt.core.kernels.winograd.convolution import Winograd, winograd_of

if TYPE_CHECKING:
    from distrt.core.kernels.cudnn.convolution import CuDNNConvolution

__all__ = ["ROWS", "Row", "convolution_kernel"]


class Row(NamedTuple):
    """An operation's kernels.

    Attributes:
        operation: its name.
        kernel: where the kernel is.
        oracle: the NumPy implementation, which serves where the kernel cannot.
        when: what the kernel is chosen for.
        why: what was measured.
    """

    operation: str
    kernel: str
    oracle: str
    when: str
    why: str


ROWS = (
    Row(
        "convolution and its gradients",
        "distrt.core.kernels.winograd",
        "distrt.core.ops.spatial.convolution",
        "3 by 3 kernels at stride 1, or 2 with a padding of 1, channels in whole pairs of vectors, from 30 million "
        "multiplications on; float32, and bfloat16 where the processor multiplies it itself",
        "1.3 to 2 times as fast as oneDNN at the sizes of ResNet-18, at stride 2 1.1 to 2.2 times, in both dtypes, but "
        "takes 0.4 s to compile for each stride",
    ),
    Row(
        "convolution, its gradients, transposed convolution",
        "distrt.core.kernels.onednn.convolution",
        "distrt.core.ops.spatial.convolution",
        "float32, and half precision, from 100,000 multiplications on; bfloat16 by the processor's own products where "
        "it has them, else half precision is computed in float32",
        "3 to 6 times as fast as NumPy's columns and products at the sizes of ResNet-18; bfloat16 twice as fast again",
    ),
    Row(
        "convolution and its weight's gradient",
        "distrt.core.kernels.onednn.columns",
        "distrt.core.ops.spatial.convolution",
        "bfloat16, where the processor multiplies it itself, for a weight of four times its images' elements",
        "16 images of 8x8 pixels, 256 to 512 channels, 5 by 5 kernels at stride 2: 4.7 and 4.9 ms, where oneDNN's "
        "convolutions take 11.5 and 10.4",
    ),
    Row(
        "matmul, linear, addmm and their like, and the gradients of these",
        "distrt.core.kernels.onednn.product",
        "distrt.core.ops.linalg.matrix.multiplied",
        "bfloat16, where the processor multiplies it itself, from 32,768 multiplications on; float32, where it has "
        "vectors of 16 numbers, from a million multiplications and 4 rows on",
        "450 and 200 to 240 GFLOP/s on a Zen 5, where NumPy's OpenBLAS has 120 by AVX2 and 110 to 225 by AVX-512",
    ),
    Row(
        "conversion between float32 and half precision; sums, differences, products, quotients and relu of bfloat16",
        "distrt.core.kernels.casting, distrt.core.kernels.elements",
        "ml_dtypes, with the same bits",
        "from 16,384 elements on",
        "rounding to bfloat16 and arithmetic on it 5 and 15 times as fast as number by number",
    ),
    Row(
        "erf, gelu of both kinds, and its slope",
        "distrt.core.kernels.formulas",
        "the same formula in NumPy, with the same bits (distrt.core.numerics.single)",
        "float32, and half precision, which is computed in it, when NumPy has taken as long as it takes to compile",
        "50 times as fast as NumPy's error function",
    ),
    Row(
        "one layer and direction of an LSTM without projection",
        "distrt.core.kernels.lstm",
        "distrt.core.ops.nn.recurrent_lstm",
        "float32, and bfloat16, sequences of one length, whole vectors and rows, from 4 million multiplications on",
        "the recurrent weight is put in order once, not at every step; gates and cells take one pass; rows are read "
        "and written in steps or in sequences, as they lie",
    ),
    Row(
        "scaled_dot_product_attention and its gradients, without dropout",
        "distrt.core.kernels.attention",
        "distrt.core.ops.nn.attention",
        "float32, and half precision, which is computed in it, a head of queries for each of keys, from 8 million "
        "multiplications on; not where the mask gets a gradient",
        "scores stay in the first-level cache, heads are read where they lie: a quarter of NumPy's time",
    ),
    Row(
        "layer_norm, rms_norm and their gradients",
        "distrt.core.kernels.rows",
        "distrt.core.ops.nn.standardising",
        "float32, and half precision, which is computed in it; rows in whole pairs of vectors, from 65,536 elements on",
        "one pass over the rows in each direction instead of seven and fifteen",
    ),
    Row(
        "cross_entropy, softmax and log_softmax along the last dim, and their gradients",
        "distrt.core.kernels.softmax",
        "distrt.core.ops.nn.losses",
        "float32, and half precision, which is computed in it; from 65,536 elements on",
        "a row stays in the first-level cache, where NumPy goes over all of them five times",
    ),
    Row(
        "max_pool2d and its gradient",
        "distrt.core.kernels.max_pooling",
        "distrt.core.ops.spatial.pooling",
        "float32 or bfloat16 images with their channels last, in whole vectors, from 65,536 elements on; not dilated",
        "one pass over the image instead of several for each position of a window",
    ),
    Row(
        "batch_norm, relu's slope",
        "distrt.core.kernels.channels",
        "distrt.core.ops.nn.standardising",
        "float32 or bfloat16 images with their channels last, in whole vectors, from 65,536 elements on",
        "two passes over the image in each direction instead of five and nine",
    ),
    Row(
        "the same on GPUs: softmax, log_softmax, cross_entropy, layer_norm, rms_norm and their gradients",
        "distrt.core.kernels.cuda.rows",
        "the same operations in CuPy's functions",
        "floating dtypes, along the last dim",
        "one launch that reads a row once, instead of five to fifteen; not measured: no GPU has been at hand",
    ),
    Row(
        "relu's slope on GPUs",
        "distrt.core.kernels.cuda.elements",
        "distrt.core.ops.pointwise.comparison",
        "floating dtypes, where the gradient lies as the result does, without gaps",
        "one launch instead of two, and no truth values in memory; not measured",
    ),
    Row(
        "scaled_dot_product_attention and its gradients on GPUs, with dropout",
        "distrt.core.kernels.cuda.attention",
        "distrt.core.ops.nn.attention",
        "floating dtypes; not where the mask gets a gradient",
        "four launches for a block of scores forward, six backward, with products on tensor cores, instead of a dozen "
        "each in float32; not measured",
    ),
    Row(
        "the same without scores in memory",
        "distrt.core.kernels.cuda.fused_attention",
        "distrt.core.kernels.cuda.attention",
        "float16 and bfloat16, rows of up to 128 numbers in whole eights, from compute capability 8.0 on; not with "
        "backends.cuda.enable_flash_sdp(False) or DISTRT_FUSED_ATTENTION=0",
        "one launch forward and three backward, which read and write tiles; not measured",
    ),
    Row(
        "batch, instance and group normalisation on GPUs, frozen too, their gradients and running statistics",
        "distrt.core.kernels.cuda.channels",
        "distrt.core.ops.nn.standardising, distrt.core.ops.nn.batch_normalisation, distrt.parallel.global_batch",
        "floating dtypes, row-major or with channels last",
        "an image is read twice and written once in each direction: 3 launches instead of 14 to 33; not measured",
    ),
    Row(
        "sums of rows by number on GPUs: embedding's gradient, index_add, scatter_add, index_put, gather's gradient",
        "distrt.core.kernels.cuda.adding",
        "distrt.core.ops.indexing.adding_at",
        "floats and complex numbers without gaps",
        "the same bits every time, without a wait, where CuPy adds atomically and its sorting waits; not measured",
    ),
    Row(
        "max, average, adaptive and fractional pooling on GPUs, and their gradients",
        "distrt.core.kernels.cuda.pooling",
        "distrt.core.ops.spatial.pooling, distrt.core.ops.spatial.average_pooling, distrt.core.ops.indexing.planes",
        "floating dtypes, in the order in which the image lies",
        "one launch and no wait, instead of several for each position of a window; not measured",
    ),
    Row(
        "one layer and direction of an LSTM, a GRU or a plain RNN on GPUs, and its gradients, by cuDNN",
        "distrt.core.kernels.cudnn.recurrent",
        "distrt.core.kernels.cuda.recurrent",
        "floating dtypes, more than one step, without projection, where cuDNN is installed, enabled, and not to be "
        "deterministic",
        "one call for all steps, instead of a product and a launch for each; not measured",
    ),
    Row(
        "one layer and direction of an LSTM, a GRU or a plain RNN on GPUs, and its gradients",
        "distrt.core.kernels.cuda.recurrent",
        "distrt.core.ops.nn.recurrent_lstm, recurrent_gru, recurrent",
        "floating dtypes",
        "one product and one launch for a step, instead of a dozen and more; not measured",
    ),
    Row(
        "ctc_loss on GPUs, and its gradient",
        "distrt.core.kernels.cuda.ctc",
        "distrt.core.ops.nn.ctc",
        "float32 and float64",
        "one launch for all steps forward, three backward, no wait, instead of a dozen for each step; not measured",
    ),
    Row(
        "derivatives of gamma and Dirichlet numbers by their parameters on GPUs, igamma and igammac",
        "distrt.core.kernels.cuda.special",
        "distrt.core.numerics.pathwise, distrt.core.numerics.gamma",
        "everywhere",
        "one launch and no wait, instead of dozens that keep 137 numbers for each, or of five for a term; not measured",
    ),
    Row(
        "erf and gelu on GPUs, and every optimizer's rule",
        "distrt.core.kernels.cuda.loops",
        "the same formula or rule, operation by operation, with the same bits",
        "wherever arrays lie without gaps",
        "one launch for all parameters that are alike; not measured",
    ),
    Row(
        "convolution on GPUs, its gradients, transposed convolution",
        "distrt.core.kernels.cudnn.convolution",
        "distrt.core.ops.spatial.convolution",
        "floating dtypes, where cuDNN is installed and not switched off",
        "tensor cores; not measured",
    ),
    Row(
        "matmul, linear, addmm and their like on GPUs, and the gradients of these",
        "distrt.core.kernels.cublas.product",
        "distrt.core.ops.linalg.matrix.multiplied",
        "floating dtypes, where cuBLAS is installed",
        "half precision as it is, on tensor cores; not measured",
    ),
    Row(
        "linear and addmm with a bias on GPUs, and the gradients of weight and bias",
        "distrt.core.kernels.cublas.epilogues",
        "distrt.core.kernels.cublas.product, and a sum",
        "float32 and half precision, one matrix, where cuBLASLt is installed and has an algorithm",
        "the bias is added where the result is made, its gradient summed where the factor is read: a launch less "
        "forward, one or two less backward; not measured",
    ),
    Row(
        "the product of a sparse matrix and a dense one, and its gradients",
        "distrt.core.kernels.sparse_products",
        "distrt.core.sparse.operations",
        "float32, from 65,536 multiplications on",
        "a million elements by 64 columns: 10 ms, where NumPy takes 0.15 s, which copies a row for each element",
    ),
)

# Of multiplications. Below, the code takes longer to compile than a short program gains.
_LEAST_FOR_WINOGRAD = 30_000_000

# Below, loading the library and making a primitive cost more than a short program gains.
_LEAST_PRODUCTS = 100_000


def convolution_kernel(
    input: tuple[int, ...],
    weight: tuple[int, ...],
    output: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    like: Array,
) -> OneDNNConvolution | Winograd | CuDNNConvolution | None:
    """The kernel for a convolution of these sizes, of arrays like one of them; None for NumPy."""
    geometry = Geometry(input, weight, output, stride, padding, dilation, groups)
    if like.__class__ is not np.ndarray:
        return on_gpu.convolutions.convolution_of(geometry, like.dtype) if is_on_gpu(like) else None
    return _kernel_of(geometry, like.dtype, _LEAST_PRODUCTS, _LEAST_FOR_WINOGRAD)


@functools.lru_cache(maxsize=512)
def _kernel_of(
    geometry: Geometry, dtype: Any, least: int, least_for_winograd: int
) -> OneDNNConvolution | Winograd | None:
    if dtype.itemsize > 4 or dtype.kind not in "fV" or len(geometry.input) > 5:
        return None
    count = math.prod(geometry.output) * math.prod(geometry.weight[1:])
    if count < least:
        return None
    is_large = count >= least_for_winograd
    if dtype == dt.bfloat16.numpy:
        # Who takes its instructions for bfloat16 away from oneDNN wants float32's products everywhere.
        quick = winograd_of(geometry, "bfloat16") if is_large and multiplies_bfloat16() else None
        own = quick or columns_of(geometry) or convolution_of(geometry, "bfloat16")
        if own is not None:
            return own
    found = winograd_of(geometry) if is_large else None
    return found or convolution_of(geometry)
