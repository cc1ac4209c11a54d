"""Rows of the op table: what views show, in memory of its own, and views that are written back."""

from __future__ import annotations

from tests.oracle.op_cases import COMPLEX, FLOATS, In, row
from tests.oracle.ways import BITS

CUBE = [In((2, 3, 4)), In((4, 3, 2), "normal", "transposed")]
KINDS = (*FLOATS, *BITS, "complex64")

for name, arguments in {
    "alias_copy": (),
    "as_strided_copy": ((2, 2), (3, 1), 1),
    "diagonal_copy": (1, 0, 2),
    "select_copy": (1, 2),
    "slice_copy": (1, 0, 3, 2),
    "split_copy": (2, 1),
    "split_with_sizes_copy": ((1, 2), 1),
    "squeeze_copy": (),
    "transpose_copy": (0, 2),
    "unbind_copy": (1,),
    "unfold_copy": (1, 2, 1),
    "unsqueeze_copy": (1,),
    "view_copy": ((6, 4),),
}.items():
    shapes = [In((2, 3, 4))] if name in ("as_strided_copy", "view_copy") else CUBE
    kinds = (
        KINDS[:-1] if name in ("select_copy", "slice_copy") else KINDS
    )  # PyTorch has no complex gradients there
    row(name, lambda t, a, n=name, k=arguments: getattr(t, n)(a, *k), shapes, dtypes=kinds)
row("t_copy", lambda t, a: t.t_copy(a), [In((2, 3)), In((3,))], dtypes=KINDS)
row("view_as_real_copy", lambda t, a: t.view_as_real_copy(a), [In((2, 3))], dtypes=COMPLEX, smooth=False)
row("view_as_complex_copy", lambda t, a: t.view_as_complex_copy(a.detach()), [In((3, 2))], smooth=False)
row(
    "copies written to out",
    lambda t, a: (t.transpose_copy(a, 0, 1, out=t.empty(0)), t.alias_copy(a, out=t.empty(0))),
    [In((2, 3), grad=False)],
    dtypes=("float32",),
    smooth=False,
)
row(
    "as_strided_scatter",
    # PyTorch gives the gradient of `a` where `b` lies, and none where it is seen.
    lambda t, a, b: (t.as_strided_scatter(a, b, (2, 2), (4, 2), 1), a.as_strided_scatter(b, (2, 2), (4, 2))),
    [(In((3, 4), grad=False), In((2, 2)))],
    dtypes=KINDS,
)
row(
    "as_strided in place",
    lambda t, a: (a * 1).as_strided_((2, 2), (4, 2), 1),
    [In((3, 4))],
    dtypes=KINDS,
    covers="as_strided",
)
