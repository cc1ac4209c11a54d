"""Softmax, cross entropy and normalisation of rows on GPUs: one launch for what NumPy has several functions for."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, kernel

__all__ = [
    "class_losses",
    "class_slopes",
    "computed",
    "normal_slopes",
    "normalise",
    "parameters",
    "softmax",
    "softmax_slopes",
    "suits",
]

_THREADS = 256

#: Of rows up to some width: how many threads share one, and how many a block has. Each keeps up to 16 elements.
_SHAPES = ((512, 32, _THREADS), (4096, 256, 256), (16384, 1024, 1024))

# Rows whose share in the gradients of weight and bias one thread sums.
_STRETCH = 64


def suits(*arrays: Array) -> bool:
    """Whether these kernels do some arrays, along their last dim: all of them on a GPU, of one floating dtype."""
    first = arrays[0]
    return (
        is_on_gpu(first)
        and first.ndim > 0
        and first.size > 0
        and first.dtype in C_TYPES
        and all(
            is_on_gpu(each) and each.dtype == first.dtype and each.shape == first.shape for each in arrays
        )
    )


def softmax(input: Array, is_log: bool) -> Array:
    """The softmax along the last dim, or its logarithm."""
    made = np.empty(input.shape, input.dtype, like=input)
    _launch("softmax", made, row_major(input), made, is_log=is_log)
    return made


def softmax_slopes(g: Array, out: Array, is_log: bool) -> Array:
    """The gradient of the input of a softmax, or of its logarithm, from those and their gradient."""
    found = np.empty(out.shape, out.dtype, like=out)
    _launch("softmax_slopes", found, row_major(g), row_major(out), found, is_log=is_log)
    return found


def class_losses(input: Array, targets: Array) -> tuple[Array, Array]:
    """The negative logarithm of each target's probability, and the probabilities: float32, or float64 as the input.

    Shape: (N, C), (N) -> (N), (N, C).
    """
    wide = computed(input)
    losses, probabilities = np.zeros(len(input), wide, like=input), np.empty(input.shape, wide, like=input)
    _launch("class_losses", input, row_major(input), _numbers(targets), losses, probabilities)
    return losses, probabilities


def class_slopes(probabilities: Array, factor: Array, targets: Array, dtype: Any) -> Array:
    """``factor`` times the probabilities, less 1 at each target; the factor is one for each row, or for all."""
    found = np.empty(probabilities.shape, dtype, like=probabilities)
    given = [
        probabilities,
        row_major(factor.astype(probabilities.dtype, copy=False)),
        _numbers(targets),
        found,
    ]
    _launch("class_slopes", found, *given, is_one_factor=factor.size == 1)
    return found


def normalise(
    input: Array, weight: Array | None, bias: Array | None, eps: float, is_centred: bool
) -> tuple[Array, Array, Array]:
    """As ``distrt.core.kernels.rows.normalise``."""
    made, wide = np.empty(input.shape, input.dtype, like=input), computed(input)
    variances = np.empty((len(input), 1), wide, like=input)
    averages = np.empty((len(input), 1), wide, like=input) if is_centred else np.zeros((), wide, like=input)
    given, stored = parameters(input, weight, bias)
    given = [row_major(input), *given, made, averages, variances]
    _launch("normalise", input, *given, stored=stored, eps=eps, is_centred=is_centred)
    return made, averages, variances


def normal_slopes(
    g: Array,
    input: Array,
    weight: Array | None,
    averages: Array,
    variances: Array,
    eps: float,
    is_centred: bool,
) -> tuple[Array, Array, Array]:
    """As ``distrt.core.kernels.rows.slopes``."""
    found = np.empty(input.shape, input.dtype, like=input)
    g, input = row_major(g), row_major(input)
    (weight, _), stored = parameters(input, weight, None)
    _launch(
        "normal_slopes",
        input,
        *(g, input, weight, averages, variances, found),
        stored=stored,
        eps=eps,
        is_centred=is_centred,
    )
    return found, *_parameter_slopes(g, input, averages, variances, eps, is_centred)


def _parameter_slopes(
    g: Array, input: Array, averages: Array, variances: Array, eps: float, is_centred: bool
) -> tuple[Array, Array]:
    """The gradients of weight and bias, by stretches of rows: each an array of its own, for a parameter to have."""
    (rows, width), wide = input.shape, computed(input)
    stretches = min(65535, -(-rows // _STRETCH))
    stretch = -(-rows // stretches)
    made = [np.empty(width, wide, like=input) for _ in range(2)]
    parts: Any = made if stretches == 1 else np.empty((2, stretches, width), wide, like=input)
    left_open = {"T": C_TYPES[input.dtype], "W": "float", "LANES": 32, "HELD": 0}
    sizes = (np.int64(rows), np.int64(width), wide(eps), np.int32(is_centred), np.int32(stretch))
    columns = -(-width // _THREADS)
    kernel("rows", "parameter_slopes", **left_open)(
        (columns, stretches), (_THREADS,), (g, input, averages, variances, *parts, *sizes)
    )
    if stretches > 1:
        kernel("rows", "parameter_totals", **left_open)(
            (columns, 2), (_THREADS,), (parts, *made, np.int64(width), np.int32(stretches))
        )
    return made[0], made[1]


def parameters(input: Array, *given: Array | None) -> tuple[list[Array | None], str]:
    """Weight and bias, and what kernels call their dtype: the input's, or float32 beside half precision."""
    kinds = {each.dtype for each in given if each is not None}
    if len(kinds) > 1 or not kinds <= set(C_TYPES):
        kinds, given = (
            {computed(input)},
            tuple(None if each is None else each.astype(computed(input)) for each in given),
        )
    stored = C_TYPES[np.dtype(next(iter(kinds)))] if kinds else "float"
    return [None if each is None else row_major(each) for each in given], stored


def computed(input: Array) -> Any:
    """The dtype that kernels compute in."""
    return np.float64 if input.dtype == np.float64 else np.float32


def _numbers(targets: Array) -> Array:
    return row_major(targets.astype(np.int64, copy=False))


def _launch(
    name: str,
    typed: Array,
    *arrays: Array | None,
    stored: str = "float",
    eps: float | None = None,
    **flags: bool,
) -> None:
    """Runs a kernel on all rows of ``typed``, whose dtype is the kernels' T."""
    width = typed.shape[-1]
    rows = typed.size // width
    lanes, threads, held = _shape(width)
    code = kernel("rows", name, T=C_TYPES[typed.dtype], W=stored, LANES=lanes, HELD=held)
    numbers = [] if eps is None else [computed(typed)(eps)]
    blocks = min(MOST_BLOCKS, -(-rows * lanes // threads))
    flat = [np.int32(flag) for flag in flags.values()]
    code((blocks,), (threads,), (*arrays, np.int64(rows), np.int64(width), *numbers, *flat))


def _shape(width: int) -> tuple[int, int, int]:
    """Threads of a row and of a block, and how many elements each one keeps: powers of 2, so that kernels are few."""
    for longest, lanes, threads in _SHAPES:
        if width <= longest:
            held = 1
            while held * lanes < width:
                held *= 2
            return lanes, threads, held
    return 1024, 1024, 0
