"""The names that users see: functions of ``distrt``, methods of ``Tensor``, in-place methods. One line a family.

Read by ``distrt/__init__`` (which must not load NumPy, so this file imports nothing), ``core/methods.py`` and
``core/in_place.py``. A name here is a function of the same name in ``core/ops`` (or ``core/creation`` and the like);
methods that differ from the function are written out in ``core/methods.py``.
"""

from __future__ import annotations

#: Functions of ``distrt`` that live in ``distrt.core.ops``.
FUNCTIONS: dict[str, str] = {
    "arithmetic": "add clone div floor_divide mul neg remainder square sub true_divide",
    "comparison": "eq ge gt isfinite isnan le logical_and logical_not logical_or lt ne where",
    "complex": "complex conj imag real view_as_complex view_as_real",
    "elementwise": "abs ceil clamp cos exp floor log maximum minimum pow reciprocal relu round rsqrt sigmoid sign sin "
    "sqrt tanh",
    "losses": "log_softmax softmax",
    "matrix": "bmm dot matmul mm mv vdot",
    "differences": "cumulative_trapezoid diff trapezoid trapz",
    "distances": "cdist dist norm renorm",
    "extremes": "amax amin aminmax argmax argmin max min",
    "histograms": "histc histogram",
    "order_statistics": "kthvalue median mode nanmedian nanquantile quantile",
    "reduction": "all any count_nonzero logsumexp mean nanmean nansum prod sum",
    "scan": "cummax cummin cumprod cumsum logcumsumexp",
    "sets": "bincount isin unique unique_consecutive",
    "shape": "cat chunk flatten permute reshape split squeeze stack transpose unbind unsqueeze",
    "sorting": "argsort bucketize msort searchsorted sort topk",
    "statistics": "corrcoef cov std std_mean var var_mean",
    "strided": "as_strided",
    "indexing": "gather scatter scatter_add scatter_reduce take_along_dim",
    "masking": "argwhere masked_fill masked_scatter masked_select nonzero put take",
    "slicewise": "index_add index_copy index_fill index_select",
    "subscripts": "index_put narrow narrow_copy select select_scatter slice_scatter",
    "products": "addbmm addmm addmv addr baddbmm chain_matmul cross ger inner kron outer tensordot trace",
    "contractions": "einsum",
    "determinants": "det logdet matrix_exp matrix_power slogdet",
    "factorisations": "cholesky lu lu_unpack orgqr qr",
    "solving": "cholesky_inverse cholesky_solve inverse lu_solve triangular_solve",
    "spectral": "svd",
    "pseudo_inverse": "pinverse",
}

#: Methods of ``Tensor`` that are the function of the same name.
METHODS: dict[str, str] = {
    "arithmetic": "add clone contiguous div floor_divide mul neg remainder square sub true_divide",
    "comparison": "eq ge gt isfinite isnan le logical_and logical_not logical_or lt ne",
    "complex": "conj",
    "elementwise": "abs ceil clamp cos exp floor log maximum minimum pow reciprocal relu round rsqrt sigmoid sign sin "
    "sqrt tanh",
    "losses": "log_softmax softmax",
    "matrix": "bmm dot matmul mm mv vdot",
    "differences": "diff",
    "distances": "dist norm renorm",
    "extremes": "amax amin aminmax argmax argmin max min",
    "histograms": "histc histogram",
    "order_statistics": "kthvalue median mode nanmedian nanquantile quantile",
    "reduction": "all any count_nonzero logsumexp mean nanmean nansum prod sum",
    "scan": "cummax cummin cumprod cumsum logcumsumexp",
    "sets": "bincount unique unique_consecutive",
    "shape": "chunk expand_as flatten split squeeze transpose unbind unsqueeze",
    "sorting": "argsort msort sort topk",
    "statistics": "corrcoef cov std var",
    "strided": "as_strided",
    "indexing": "gather scatter scatter_add scatter_reduce take_along_dim",
    "masking": "argwhere masked_fill masked_scatter masked_select nonzero put take",
    "slicewise": "index_add index_copy index_fill index_select",
    "subscripts": "index_put narrow narrow_copy select select_scatter slice_scatter",
    "products": "addbmm addmm addmv addr baddbmm cross ger inner kron outer trace",
    "determinants": "det logdet matrix_exp matrix_power slogdet",
    "factorisations": "cholesky lu orgqr qr",
    "solving": "cholesky_inverse cholesky_solve inverse lu_solve triangular_solve",
    "spectral": "svd",
    "pseudo_inverse": "pinverse",
}

#: Methods whose in-place form has the same name and a ``_``.
IN_PLACE: dict[str, str] = {
    "arithmetic": "add div mul neg sub",
    "elementwise": "abs ceil clamp cos exp floor log pow reciprocal relu round rsqrt sigmoid sin sqrt tanh",
    "indexing": "scatter scatter_add scatter_reduce",
    "masking": "masked_fill masked_scatter put",
    "slicewise": "index_add index_copy index_fill",
    "subscripts": "index_put",
    "products": "addbmm addmm addmv addr baddbmm",
    "distances": "renorm",
    "scan": "cumprod cumsum",
}


def listed(table: dict[str, str]) -> list[str]:
    """All names of a table."""
    return [name for names in table.values() for name in names.split()]
