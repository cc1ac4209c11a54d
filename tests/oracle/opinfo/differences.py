"""What differs from PyTorch's table on purpose or for a reason: data, held against each run in both directions."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from typing import Any


@dataclasses.dataclass(frozen=True)
class Known:
    """A difference with its reason: of these entries, in forms that fit, where what is said fits, in these dtypes."""

    entries: str
    form: str
    what: str
    reason: str
    dtypes: str = ""  # in every dtype, where none is named

    def explains(self, difference: Any) -> bool:
        """Whether the difference is this one."""
        return (
            difference.entry in self.entries.split()
            and fnmatch.fnmatch(difference.form, self.form)
            and re.search(self.what, difference.what) is not None
            and (not self.dtypes or difference.dtype in self.dtypes.split())
        )


def explain(difference: Any) -> Known | None:
    """The entry of the list that gives the reason, or None."""
    return next((each for each in KNOWN if each.explains(difference)), None)


_MISSING = "^missing: "

_LEFT_OUT = (
    Known(
        "_softmax_backward_data _batch_norm_with_update _native_batch_norm_legit _upsample_bilinear2d_aa "
        "torch.ops.aten._safe_softmax.default torch.ops.aten._flash_attention_forward "
        "torch.ops.aten._efficient_attention_forward slice _unsafe_masked_index _unsafe_masked_index_put_accumulate "
        "_chunk_cat _segment_reduce.lengths _segment_reduce.offsets native_dropout_backward native_group_norm "
        "native_layer_norm native_batch_norm constant_pad_nd grid_sampler_2d grid_sampler_3d hash_tensor",
        "*",
        _MISSING,
        "an entrance to PyTorch's kernels that its documentation does not have",
    ),
    Known(
        "max_pool2d_with_indices_backward",
        "function",
        "no attribute 'max_pool2d_with_indices_backward'",
        "torch.ops.aten calls public functions, and this is none",
    ),
    Known(
        "sparse.sampled_addmm sparse.mm.reduce",
        "*",
        _MISSING,
        "entrances to PyTorch's kernels by names that its documentation does not have",
    ),
    Known(
        "to_sparse",
        "*",
        "does not support automatic differentiation for outputs with complex dtype",
        "sparse tensors of complex numbers are differentiated like others",
    ),
    Known("torch._scaled_mm torch._scaled_mm_v2", "*", _MISSING, "products of 8-bit floats, on GPUs"),
    Known(
        "jiterator_unary jiterator_binary jiterator_4inputs_with_extra_args jiterator_binary_return_by_ref "
        "jiterator_2inputs_2outputs",
        "*",
        _MISSING,
        "CUDA source as an operation",
    ),
    Known("chalf", "*", "chalf", "there is no complex number of half precision: NumPy has none"),
    Known("complex view_as_complex", "function", "float16", "no complex number of half precision"),
    Known(
        "linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve",
        "*",
        _MISSING,
        "LAPACK's factorisation of indefinite matrices is not among NumPy's",
    ),
    Known(
        "masked.sum masked.prod masked.cumsum masked.cumprod masked.amax masked.amin masked.argmax masked.argmin "
        "masked.mean masked.median masked.norm masked.var masked.std masked.softmax masked.log_softmax masked.softmin "
        "masked.normalize masked.logaddexp masked.logsumexp",
        "*",
        _MISSING,
        "there are no masked tensors: use where, masked_fill or nansum",
    ),
)

_OUT = (
    Known(
        "kthvalue masked_select gather take cat",
        "errors",
        "refer to a single memory location",
        "an argument may be written over: the result is computed before it is written",
    ),
    Known(
        "aminmax gather complex multinomial",
        "errors",
        "no error, instead of RuntimeError: .*(out|expects Long)",
        "out= takes a wider dtype, as it does everywhere",
    ),
    Known("nonzero", "function", "^out=: no error", "as_tuple=True and out= together write to each tensor"),
    Known("fft.ihfft2 fft.ihfftn", "function", "^out=: result: values", "PyTorch leaves zeros in out"),
)

_CHOICES = (
    Known(
        "topk kthvalue sort argsort mode msort",
        "*",
        r"^(result|result\[1\]|gradient 0 of order 1): values",
        "which of equal elements is named is left open; distrt names the first",
    ),
    Known(
        "ormqr",
        "*",
        "a tensor instead of None",
        "a gradient without elements where PyTorch has none",
    ),
    Known(
        "linalg.householder_product",
        "*",
        "requires_grad False instead of True",
        "without reflections the result depends on nothing",
    ),
    Known(
        "cholesky_inverse cholesky_solve",
        "*",
        "^gradient",
        "PyTorch gives gradients to the triangle that is not read",
    ),
    Known(
        "cholesky linalg.cholesky linalg.cholesky_ex",
        "*",
        "^gradient 0 of order [12]: values, .*j",
        "the imaginary part on the diagonal, which no Hermitian matrix has, with upper=True",
    ),
    Known(
        "as_strided_scatter",
        "*",
        "^gradient",
        "PyTorch gives the gradient of input where src lies, and none where it is seen",
    ),
    Known(
        "linalg.norm.subgradients_at_zero",
        "function",
        "gradient 0 of order 2: values, .* instead of .*nan",
        "0, where PyTorch gives nan",
    ),
    Known("renorm", "*", "instead of .*nan", "a gradient, where PyTorch gives nan"),
    Known(
        "acosh asinh atanh",
        "*in place",
        "gradient of order 1: no error",
        "in-place forms have the gradient of the function, which PyTorch lacks",
    ),
    Known("round", "alias special.round", "no error", "special.round takes integers, as round does"),
)

_ROUNDING = (
    Known(
        "matrix_exp nn.functional.normalize nn.functional.soft_margin_loss",
        "*",
        "instead of .*(nan|inf)",
        "half precision is computed in float32 and rounded once: no overflow on the way",
    ),
    Known(
        "histc",
        "*",
        "^result: values",
        "PyTorch divides by the bins' width in half precision; each of distrt's counts is that of float64",
        "bfloat16 float16",
    ),
    Known(
        "nn.functional.grid_sample",
        "function",
        "^(result|gradient 1 of order 1): values",
        "PyTorch places the samples in half precision; distrt's values are those of float64, rounded",
        "bfloat16 float16",
    ),
    Known(
        "logcumsumexp",
        "*",
        "^gradient 0 of order 1: values",
        "elements of 1e4, whose running sums have no digits left for others: of the largest gradient, distrt is off "
        "by up to 4e-5 in float32 and 0.57 in half precision, PyTorch by 6e-4 and 0.83",
        "bfloat16 float16 complex64 float32",
    ),
    Known(
        "special.airy_ai special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1",
        "function",
        "values",
        "PyTorch computes the phase of waves in single precision, and is off by up to 3e-6 (mpmath, 30 digits, in 303 "
        "places); distrt by 5e-14",
    ),
    Known(
        "cov",
        "*",
        "^gradient 1 of order 1: values",
        "of two observations' weights, on which nothing depends: in place of 0, the rounding of 16 bits remains",
        "bfloat16",
    ),
    Known(
        "cov",
        "function",
        "^gradient 0 of order 2: values",
        "the table gives float32 weights beside complex128: distrt is off by 2e-6, PyTorch by 5e-6",
        "complex128",
    ),
    Known(
        "linalg.householder_product",
        "function",
        "gradient [01] of order 2: values, 1 of",
        "a second derivative of 1e4 in a column of rounding errors",
    ),
    Known(
        "special.i1 special.i1e",
        "function",
        "gradient of order 1: no error",
        "gradients in half precision, too",
    ),
)

_ERRORS = (
    Known("arange", "errors", "step must be nonzero", "RuntimeError, as for other arguments of arange"),
    Known(
        "narrow_copy",
        "errors",
        "error class: DimensionError",
        "an IndexError as from narrow, where PyTorch's kernel fails on an assertion",
    ),
    Known(
        "__radd__ __rmul__ __rand__ __ror__ __rxor__ __rdiv__",
        "errors",
        "no error",
        "called on the class with two numbers",
    ),
    Known(
        "nn.functional.batch_norm",
        "function",
        "an input of 1 dims has no channels",
        "a batch without elements and without channels",
    ),
)

KNOWN: tuple[Known, ...] = (*_LEFT_OUT, *_OUT, *_CHOICES, *_ROUNDING, *_ERRORS)
