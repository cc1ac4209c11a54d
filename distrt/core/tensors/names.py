"""The names that users see: functions of ``distrt``, methods of ``Tensor``, in-place methods. One line a family.

Read by ``distrt/__init__`` (which must not load NumPy, so this file imports nothing), ``core/tensors/methods.py`` and
``core/definitions/in_place.py``. A name here is a function of the same name in ``core/ops`` (or ``core/creation`` and
the like); methods that differ from the function are written out in ``core/tensors/methods.py``.
"""

from __future__ import annotations

#: Functions of ``distrt`` that live in ``distrt.core.ops``.
FUNCTIONS: dict[str, str] = {
    "special": "digamma erf erfc erfinv i0 igamma igammac lgamma mvlgamma polygamma xlogy",
    "arithmetic": "add addcdiv addcmul clone lerp mul multiply neg negative positive rsub sub subtract "
    "true_divide",
    "bitwise": "bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor gcd "
    "lcm",
    "bounds": "clamp clamp_max clamp_min clip fmax fmin maximum minimum",
    "comparison": "allclose eq equal ge greater greater_equal gt isclose isfinite isinf isnan isneginf "
    "isposinf isreal le less less_equal logical_and logical_not logical_or logical_xor lt ne not_equal "
    "where",
    "complex": "angle complex conj conj_physical imag polar real resolve_conj resolve_neg view_as_complex "
    "view_as_real",
    "division": "div divide floor_divide fmod remainder",
    "elementwise": "logit relu sigmoid",
    "activations": "celu selu",
    "rectifiers": "hardshrink prelu rrelu threshold",
    "normalisation": "group_norm layer_norm rms_norm",
    "batch_normalisation": "batch_norm instance_norm",
    "dropout": "alpha_dropout dropout feature_alpha_dropout feature_dropout native_dropout",
    "shuffling": "channel_shuffle native_channel_shuffle pixel_shuffle pixel_unshuffle",
    "similarity": "bilinear cosine_similarity pairwise_distance",
    "powers": "exp exp2 expm1 float_power frexp ldexp log log10 log1p log2 logaddexp logaddexp2 pow "
    "reciprocal rsqrt sqrt square",
    "rounding": "abs absolute ceil copysign fix floor frac heaviside nan_to_num nextafter round sgn sign "
    "signbit trunc",
    "trigonometry": "acos acosh arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 "
    "atanh cos cosh deg2rad hypot rad2deg sin sinc sinh tan tanh",
    "losses": "log_softmax softmax",
    "matrix": "bmm dot matmul mm mv vdot",
    "differences": "cumulative_trapezoid diff gradient trapezoid trapz",
    "distances": "cdist dist norm pdist renorm",
    "extremes": "amax amin aminmax argmax argmin max min",
    "histograms": "histc histogram histogramdd",
    "order_statistics": "kthvalue median mode nanmedian nanquantile quantile",
    "reduction": "all any count_nonzero logsumexp mean nanmean nansum prod sum",
    "scan": "cummax cummin cumprod cumsum logcumsumexp",
    "sets": "bincount isin unique unique_consecutive",
    "shape": "adjoint atleast_1d atleast_2d atleast_3d broadcast_shapes broadcast_tensors broadcast_to "
    "flatten moveaxis movedim permute ravel reshape squeeze swapaxes swapdims t transpose "
    "unflatten unsqueeze",
    "sorting": "argsort bucketize msort searchsorted sort topk",
    "statistics": "corrcoef cov std std_mean var var_mean",
    "strided": "as_strided as_strided_scatter",
    "indexing": "gather scatter scatter_add scatter_reduce take_along_dim",
    "masking": "argwhere fill masked_fill masked_scatter masked_select nonzero nonzero_static put take",
    "slicewise": "index_add index_copy index_fill index_select",
    "scatter_reduction": "index_reduce",
    "subscripts": "index_put narrow select select_scatter slice_scatter",
    "copies": "alias_copy as_strided_copy diagonal_copy expand_copy narrow_copy permute_copy select_copy "
    "slice_copy split_copy split_with_sizes_copy squeeze_copy t_copy transpose_copy unbind_copy unfold_copy "
    "unsqueeze_copy view_as_complex_copy view_as_real_copy view_copy",
    "joining": "block_diag cat column_stack concat concatenate dstack hstack row_stack stack vstack",
    "splitting": "chunk dsplit hsplit split split_with_sizes tensor_split unbind unsafe_chunk unsafe_split vsplit",
    "repeating": "flip fliplr flipud repeat_interleave roll rot90 tile",
    "triangles": "diag diag_embed diagflat diagonal diagonal_scatter tril triu",
    "grids": "cartesian_prod combinations meshgrid unravel_index",
    "products": "addbmm addmm addmv addr baddbmm chain_matmul cross ger inner kron outer tensordot trace",
    "contractions": "einsum",
    "determinants": "det logdet matrix_exp matrix_power slogdet vander",
    "factorisations": "cholesky lu lu_unpack qr",
    "householder": "geqrf orgqr ormqr",
    "low_rank": "pca_lowrank svd_lowrank",
    "solving": "cholesky_inverse cholesky_solve inverse lu_solve triangular_solve",
    "short_time": "istft stft",
    "spectral": "svd",
    "pseudo_inverse": "pinverse",
    "recurrent_networks": "gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell",
    "sampling": "bernoulli binomial multinomial poisson",
}

#: Methods of ``Tensor`` that are the function of the same name.
METHODS: dict[str, str] = {
    "special": "digamma erf erfc erfinv i0 igamma igammac lgamma mvlgamma xlogy",
    "arithmetic": "add addcdiv addcmul clone contiguous lerp mul multiply neg negative positive sub "
    "subtract true_divide",
    "bitwise": "bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor gcd "
    "lcm",
    "bounds": "clamp clamp_max clamp_min clip fmax fmin maximum minimum",
    "comparison": "allclose eq equal ge greater greater_equal gt isclose isfinite isinf isnan isneginf "
    "isposinf isreal le less less_equal logical_and logical_not logical_or logical_xor lt ne not_equal",
    "complex": "angle conj conj_physical resolve_conj resolve_neg",
    "division": "div divide floor_divide fmod remainder",
    "elementwise": "logit relu sigmoid",
    "rectifiers": "hardshrink prelu",
    "powers": "exp exp2 expm1 float_power frexp ldexp log log10 log1p log2 logaddexp logaddexp2 pow "
    "reciprocal rsqrt sqrt square",
    "rounding": "abs absolute ceil copysign fix floor frac heaviside nan_to_num nextafter round sgn sign "
    "signbit trunc",
    "trigonometry": "acos acosh arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 "
    "atanh cos cosh deg2rad hypot rad2deg sin sinc sinh tan tanh",
    "losses": "log_softmax softmax",
    "matrix": "bmm dot matmul mm mv vdot",
    "differences": "diff",
    "distances": "dist norm renorm",
    "extremes": "amax amin aminmax argmax argmin max min",
    "histograms": "histc histogram",
    "order_statistics": "kthvalue median mode nanmedian nanquantile quantile",
    "reduction": "all any count_nonzero logsumexp mean nanmean nansum prod sum sum_to_size",
    "scan": "cummax cummin cumprod cumsum logcumsumexp",
    "sets": "bincount unique unique_consecutive",
    "shape": "adjoint expand_as flatten moveaxis movedim ravel reshape_as squeeze swapaxes swapdims t transpose "
    "unsqueeze view_as",
    "sorting": "argsort msort sort topk",
    "statistics": "corrcoef cov std var",
    "strided": "as_strided as_strided_scatter unfold",
    "indexing": "gather scatter scatter_add scatter_reduce take_along_dim",
    "masking": "argwhere masked_fill masked_scatter masked_select nonzero nonzero_static put take",
    "slicewise": "index_add index_copy index_fill index_select",
    "scatter_reduction": "index_reduce",
    "subscripts": "index_put narrow select select_scatter slice_scatter",
    "copies": "narrow_copy",
    "splitting": "chunk dsplit hsplit split split_with_sizes tensor_split unbind unsafe_chunk unsafe_split vsplit",
    "repeating": "fliplr flipud roll rot90",
    "triangles": "diag diag_embed diagflat diagonal diagonal_scatter tril triu",
    "products": "addbmm addmm addmv addr baddbmm cross ger inner kron outer trace",
    "determinants": "det logdet matrix_exp matrix_power slogdet",
    "factorisations": "cholesky lu qr",
    "householder": "geqrf orgqr ormqr",
    "solving": "cholesky_inverse cholesky_solve inverse lu_solve triangular_solve",
    "short_time": "istft stft",
    "spectral": "svd",
    "pseudo_inverse": "pinverse",
    "sampling": "bernoulli multinomial",
}

#: Methods whose in-place form has the same name and a ``_``.
IN_PLACE: dict[str, str] = {
    "special": "digamma erf erfc erfinv i0 igamma igammac lgamma mvlgamma xlogy",
    "arithmetic": "add addcdiv addcmul lerp mul multiply neg negative sub subtract true_divide",
    "bitwise": "bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor gcd "
    "lcm",
    "bounds": "clamp clamp_max clamp_min clip",
    "comparison": "eq ge greater greater_equal gt le less less_equal logical_and logical_not logical_or "
    "logical_xor lt ne not_equal",
    "complex": "conj_physical",
    "division": "div divide floor_divide fmod remainder",
    "elementwise": "logit relu sigmoid",
    "powers": "exp exp2 expm1 float_power ldexp log log10 log1p log2 pow reciprocal rsqrt sqrt square",
    "rounding": "abs absolute ceil copysign fix floor frac heaviside nan_to_num nextafter round sgn sign "
    "trunc",
    "trigonometry": "acos acosh arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 "
    "atanh cos cosh deg2rad hypot rad2deg sin sinc sinh tan tanh",
    "distances": "renorm",
    "scan": "cumprod cumsum",
    "indexing": "scatter scatter_add scatter_reduce",
    "masking": "masked_fill masked_scatter put",
    "slicewise": "index_add index_copy index_fill",
    "scatter_reduction": "index_reduce",
    "subscripts": "index_put",
    "triangles": "tril triu",
    "products": "addbmm addmm addmv addr baddbmm",
}

#: In-place methods that PyTorch also has as functions: ``distrt.neg_(x)``.
IN_PLACE_FUNCTIONS = (
    "abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_ atan_ atanh_ ceil_ "
    "clamp_ clamp_max_ clamp_min_ clip_ conj_physical_ cos_ cosh_ deg2rad_ detach_ erf_ erfc_ exp2_ exp_ expm1_ "
    "fill_ fix_ floor_ frac_ gcd_ i0_ index_put_ lcm_ ldexp_ log10_ log1p_ log2_ log_ logit_ nan_to_num_ neg_ "
    "negative_ rad2deg_ reciprocal_ resize_as_ round_ rsqrt_ sigmoid_ sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_ trunc_ "
    "xlogy_ zero_"
)

#: NumPy's keywords for PyTorch's: PyTorch takes these as well.
NUMPY_NAMES = {"dim": "axis", "keepdim": "keepdims"}


def listed(table: dict[str, str]) -> list[str]:
    """All names of a table."""
    return [name for names in table.values() for name in names.split()]
