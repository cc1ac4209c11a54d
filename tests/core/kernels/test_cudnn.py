"""What cuDNN does without a GPU: it says its version, and descriptors come back as they were set."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_uint32, c_void_p
from typing import Any

import numpy as np
import pytest

from distrt.core.dtypes import dtype as dt
from distrt.core.kernels.cudnn import convolution, recurrent
from distrt.core.kernels.cudnn.library import CuDNNError, library
from distrt.core.kernels.onednn.convolution import Geometry

pytestmark = pytest.mark.skipif(library() is None, reason="cuDNN is not here (DISTRT_CUDNN names its file)")

_WISH = convolution._Wish(tf32=False, benchmark=False, deterministic=False)
_IMAGES = Geometry((2, 4, 9, 8), (6, 2, 3, 2), (2, 6, 5, 10), (2, 1), (1, 2), (1, 2), 2)


def plan(geometry: Geometry, dtype: Any, way: Any, is_last: bool = False) -> Any:
    return convolution._Plan(library(), geometry, np.dtype(dtype), way, is_last, _WISH)


def described(descriptor: Any, dims: int) -> tuple[int, list[int], list[int]]:
    kind, count, sizes, steps = c_int(), c_int(), (c_int * dims)(), (c_int * dims)()
    library().call("cudnnGetTensorNdDescriptor", descriptor, dims, byref(kind), byref(count), sizes, steps)
    assert count.value == dims
    return kind.value, list(sizes), list(steps)


def test_it_says_its_version() -> None:
    assert library().version // 10000 == 9


@pytest.mark.parametrize(("is_last", "steps"), [(False, [288, 72, 8, 1]), (True, [288, 1, 32, 4])])
def test_an_image_comes_back_as_it_was_set(is_last: bool, steps: list[int]) -> None:
    made = plan(_IMAGES, dt.bfloat16.numpy, convolution._FORWARD, is_last)
    assert described(made.descriptors[0], 4) == (9, [2, 4, 9, 8], steps)


def test_a_line_is_an_image_of_one_row() -> None:
    lines = Geometry((2, 4, 11), (6, 4, 3), (2, 6, 6), (2,), (1,), (1,), 1)
    made = plan(lines, np.float32, convolution._FORWARD)
    assert described(made.descriptors[0], 4) == (0, [2, 4, 1, 11], [44, 11, 11, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, dt.bfloat16.numpy])
def test_cudnn_finds_the_output_of_the_size_that_is_expected(dtype: Any) -> None:
    made = plan(_IMAGES, dtype, convolution._FORWARD)
    sizes = (c_int * 4)()
    image, kernel, _ = made.descriptors
    library().call("cudnnGetConvolutionNdForwardOutputDim", made.convolution, image, kernel, 4, sizes)
    assert tuple(sizes) == _IMAGES.output


def test_groups_and_the_kind_of_products_come_back() -> None:
    single, half = (plan(_IMAGES, dtype, convolution._TO_WEIGHT) for dtype in (np.float32, np.float16))
    groups, math = c_int(), c_int()
    library().call("cudnnGetConvolutionGroupCount", single.convolution, byref(groups))
    found = []
    for each in (single, half):
        library().call("cudnnGetConvolutionMathType", each.convolution, byref(math))
        found.append(math.value)
    assert (groups.value, found) == (2, [convolution._NO_TENSOR_CORES, convolution._TENSOR_CORES])


def test_a_refusal_names_the_function() -> None:
    made = library().made("Tensor")
    none = (ctypes.c_int * 4)(0, 0, 0, 0)
    with pytest.raises(CuDNNError, match="cudnnSetTensorNdDescriptor: CUDNN_STATUS_"):
        library().call("cudnnSetTensorNdDescriptor", made, 0, 99, none, none)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, dt.bfloat16.numpy])
@pytest.mark.parametrize(("cell", "number"), [("relu", 0), ("tanh", 1), ("lstm", 2), ("gru", 3)])
def test_a_recurrent_layer_comes_back_as_it_was_set(cell: str, number: int, dtype: Any) -> None:
    case = recurrent.Case(cell, np.dtype(dtype), 5, 7, True, False)
    dropout = library().made("Dropout")
    made = recurrent.network_of(library(), case, dropout)
    found, told, flags = [c_int() for _ in range(12)], c_void_p(), c_uint32()
    library().call("cudnnGetRNNDescriptor_v8", made, *map(byref, found), byref(told), byref(flags))
    kind = convolution.DTYPES[np.dtype(dtype)]
    computed, math = convolution.COMPUTED[kind], convolution.math_of(kind, False)
    assert [each.value for each in found] == [0, number, 2, 0, 0, kind, computed, math, 5, 7, 7, 1]
    assert told.value == dropout.value
    assert flags.value == 0


def test_rows_of_sequences_come_back_as_they_were_set() -> None:
    made = recurrent.rows_of(library(), np.dtype(np.float16), (6, 3, 1), 4)
    found, lengths, filling = [c_int() for _ in range(5)], (c_int * 3)(), ctypes.create_string_buffer(8)
    library().call("cudnnGetRNNDataDescriptor", made, *map(byref, found), 3, lengths, filling)
    assert [each.value for each in found] == [2, 1, 6, 3, 4]
    assert list(lengths) == [6, 3, 1]
