"""Rows of the table of op cases: convolution, transposed convolution, folding."""

from __future__ import annotations

from typing import Any

from tests.oracle.op_cases import COMPLEX, FLOATS, HALVES, In, row


def _f(t: Any) -> Any:
    return t.nn.functional


IMAGE, KERNEL, BIAS = In((2, 4, 6, 5)), In((6, 2, 3, 2)), In((6,))
row(
    "convolution",
    lambda t, a, w, b: _f(t).conv2d(a, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
    [
        (IMAGE, KERNEL, BIAS),
        (In((4, 6, 5)), KERNEL, BIAS),
        (In((2, 4, 6, 5), "normal", "transposed"), In((6, 2, 3, 2), "normal", "strided"), BIAS),
        (In((2, 4, 6, 5), grad=False), KERNEL, BIAS),
        (IMAGE, In((6, 2, 3, 2), grad=False), BIAS),
    ],
    dtypes=(*FLOATS, *COMPLEX),
    covers="convolution_input_gradient convolution_weight_gradient",
)
row(
    "convolution of no samples",
    lambda t, a, w, b: (
        _f(t).conv2d(a, w, b, groups=2)
        * _f(t).conv_transpose2d(a, w.reshape(4, 3, 3, 2), b, 1, (2, 1), groups=2)
    ),
    [(In((0, 4, 6, 5)), KERNEL, BIAS)],
    order=1,
    covers="convolution transposed_convolution",
)
row(
    "convolution in half",
    lambda t, a, w, b: _f(t).conv2d(a, w, b, groups=2),
    [(IMAGE, KERNEL, BIAS)],
    dtypes=("bfloat16",),
    covers="convolution",
    order=1,
)
row(
    "convolution of integers",
    lambda t, a, w: t.stack([_f(t).conv2d(a, w), _f(t).conv2d(a, w, padding=1)[:, :, ::2, ::2]]),
    [(In((2, 2, 3, 3), "positive"), In((3, 2, 2, 2)))],
    dtypes=("int64", "int32", "uint8"),
    smooth=False,
    covers="convolution",
)
row(
    "convolution over one dim",
    lambda t, a, w, b: _f(t).conv1d(a, w, b, 2, 1, 2),
    [(In((2, 3, 8)), In((4, 3, 3)), In((4,))), (In((3, 8)), In((4, 3, 3)), In((4,)))],
    dtypes=(*FLOATS, *COMPLEX),
    covers="convolution",
)
row(
    "convolution over three dims",
    lambda t, a, w: _f(t).conv3d(a, w, None, (1, 2, 1), (1, 0, 2), (2, 1, 1), 2),
    [(In((2, 2, 4, 3, 3)), In((4, 1, 2, 3, 2)))],
    dtypes=(*FLOATS, "complex128"),
    covers="convolution",
)
row(
    "convolution with one weight each",
    lambda t, a, w: _f(t).conv2d(a, w),
    [(IMAGE, In((3, 4, 1, 1))), (In((2, 4, 6, 5), "normal", "transposed"), In((3, 4, 1, 1)))],
    covers="convolution",
)
row(
    "convolution with a kernel larger than the result",
    lambda t, a, w: _f(t).conv2d(a, w, groups=2),
    [(IMAGE, In((2, 2, 5, 5)))],
    covers="convolution",
)
row(
    "convolution to the same size",
    lambda t, a, w: (
        _f(t).conv2d(a, w, padding="same", dilation=(1, 3)) + _f(t).conv2d(a, w, None, 1, "valid").sum()
    ),
    [(In((2, 2, 5, 6)), In((3, 2, 2, 2)))],
    covers="convolution constant_pad",
)
row(
    "convolution of time first",
    lambda t, a, w, b: _f(t).conv_tbc(a, w, b, 1),
    [(In((5, 2, 3)), In((2, 3, 4)), In((4,)))],
    covers="convolution",
)
row(
    "transposed_convolution",
    lambda t, a, w, b: _f(t).conv_transpose2d(a, w, b, (2, 1), (1, 2), (1, 0), 2, (1, 2)),
    [
        (In((2, 4, 3, 4)), In((4, 3, 3, 2)), In((6,))),
        (In((4, 3, 4)), In((4, 3, 3, 2)), In((6,))),
        (In((2, 4, 3, 4), "normal", "transposed"), In((4, 3, 3, 2), "normal", "strided"), In((6,))),
    ],
    dtypes=(*FLOATS, *COMPLEX),
    covers="convolution_weight_gradient",
)
row(
    "transposed_convolution with more at the end than a stride",
    lambda t, a, w: _f(t).conv_transpose2d(a, w, None, (1, 2), 1, (2, 3), 1, 4),
    [(In((2, 2, 3, 3)), In((2, 3, 2, 2)))],
    covers="transposed_convolution",
)
row(
    "transposed_convolution with one weight each, and more at the end",
    lambda t, a, w: _f(t).conv_transpose1d(a, w, None, 1, 1, 1, 1, 2),
    [(In((2, 2, 4)), In((2, 3, 1)))],
    covers="transposed_convolution",
)
row(
    "transposed_convolution over one and three dims",
    lambda t, a, w: (
        _f(t).conv_transpose3d(a, w, None, 2, 1) * _f(t).conv_transpose1d(a[0, :, 0, 0], w[:, :, 0, 0]).sum()
    ),
    [(In((2, 2, 2, 2, 3)), In((2, 3, 3, 2, 2)))],
    covers="transposed_convolution",
)
row(
    "transposed_convolution in half",
    lambda t, a, w, b: _f(t).conv_transpose2d(a, w, b, 2),
    [(In((2, 4, 3, 4)), In((4, 3, 3, 2)), In((3,)))],
    dtypes=("bfloat16",),
    covers="transposed_convolution",
    order=1,
)
row(
    "transposed_convolution of integers",
    lambda t, a, w: _f(t).conv_transpose2d(a, w, None, 2),
    [(In((2, 2, 3, 3)), In((2, 3, 2, 2)))],
    dtypes=("int64",),
    smooth=False,
    covers="transposed_convolution",
)
row(
    "unfold_columns",
    lambda t, a: _f(t).unfold(a, (2, 3), dilation=(2, 1), padding=(1, 2), stride=(1, 2)),
    [In((2, 3, 5, 4)), In((3, 5, 4), "normal", "strided"), In((0, 3, 5, 4))],
    dtypes=(*HALVES, *COMPLEX, "bool"),
    covers="fold_columns",
)
row(
    "fold_columns",
    lambda t, a: _f(t).fold(a, (5, 4), (2, 3), (2, 1), (1, 2), (1, 2)),
    [In((2, 12, 15)), In((12, 15), "normal", "transposed"), In((0, 12, 15))],
    dtypes=(*HALVES, *COMPLEX, "bool"),
    covers="unfold_columns",
)
