"""Memory shared with NumPy and, by DLPack, with any other library."""

from __future__ import annotations

import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import distrt
from distrt.utils import dlpack

DTYPES = "uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128 bool".split()


def test_numpy_shares_memory_both_ways() -> None:
    x = distrt.arange(6.0).reshape(2, 3)
    array = x.t().numpy()
    array[0, 1] = 50
    assert x[1, 0] == 50
    x[0, 0] = -1
    assert array[0, 0] == -1
    assert array.shape == (3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy 2.5
        array.shape = (1, 3, 2)  # the caller's own view: the tensor does not notice
    assert x.shape == (2, 3)


def test_numpy_of_what_is_expanded_can_be_written_to(torch: Any) -> None:
    for library in (distrt, torch):
        x = library.zeros(3)
        x.expand(2, 3).numpy()[1, 2] = 4
        assert x.tolist() == [0, 0, 4]


def test_numpy_refuses_the_graph_unless_forced() -> None:
    x = distrt.ones(2, requires_grad=True)
    for reading in (x.numpy, lambda: np.asarray(x), lambda: np.exp(x)):
        with pytest.raises(RuntimeError, match="detach"):
            reading()
    assert x.numpy(force=True).tolist() == [1, 1]


def test_asarray_and_array_follow_numpys_rules_of_copying() -> None:
    x = distrt.ones(3)
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, np.float64, copy=False)


def test_numpys_functions_make_tensors_of_tensors() -> None:
    x = distrt.tensor([1.0, 4.0])
    for made in (np.sqrt(x), np.add(np.zeros(2, np.float32), x)):
        assert isinstance(made, distrt.Tensor) and made.dtype is distrt.float32
    assert np.sqrt(x).tolist() == [1, 2]
    assert isinstance(np.sqrt(distrt.tensor(4.0)), distrt.Tensor)


@pytest.mark.parametrize("array", [np.ones((2, 3)), np.float64(2), np.float32(2), np.int64(2)], ids=repr)
def test_operators_between_arrays_and_tensors_make_tensors(array: Any) -> None:
    x = distrt.arange(6).reshape(2, 3) + 1.0
    for made in (
        x + array,
        array + x,
        x * array,
        array * x,
        array - x,
        x / array,
        array / x,
        x > array,
        array > x,
    ):
        assert isinstance(made, distrt.Tensor)
    expected = np.asarray(array) - x.numpy()
    assert (array - x).tolist() == expected.tolist()
    assert np.allclose((array / x).numpy(), np.asarray(array) / x.numpy())
    assert ((array > x).numpy() == (np.asarray(array) > x.numpy())).all()


def test_bfloat16_goes_to_numpy_as_ml_dtypes_has_it() -> None:
    x = distrt.tensor([1.5, 2.0]).bfloat16()
    assert x.numpy().dtype == ml_dtypes.bfloat16
    assert distrt.from_numpy(x.numpy()).dtype is distrt.bfloat16


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("way", ["object", "capsule"])
def test_dlpack_shares_memory_with_pytorch_both_ways(dtype: str, way: str, torch: Any) -> None:
    ours = distrt.arange(6).reshape(2, 3).to(getattr(distrt, dtype)).t()
    theirs = (
        torch.from_dlpack(ours) if way == "object" else torch.utils.dlpack.from_dlpack(dlpack.to_dlpack(ours))
    )
    assert (str(theirs.dtype), tuple(theirs.shape), theirs.stride()) == (str(ours.dtype), (3, 2), (1, 3))
    assert theirs.data_ptr() == ours.data_ptr()
    assert theirs.tolist() == ours.tolist()

    theirs = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype)).t()
    source = theirs if way == "object" else torch.utils.dlpack.to_dlpack(theirs)
    ours = distrt.from_dlpack(source)
    assert (str(ours.dtype), tuple(ours.shape), ours.stride()) == (str(theirs.dtype), (3, 2), (1, 3))
    assert ours.data_ptr() == theirs.data_ptr()
    ours[0, 0] = 1
    assert theirs.tolist() == ours.tolist()


def test_dlpack_with_numpy() -> None:
    x = distrt.arange(3)
    assert np.shares_memory(np.from_dlpack(x), x.numpy())
    array = np.arange(4.0)
    assert np.shares_memory(distrt.from_dlpack(array).numpy(), array)
    assert not np.shares_memory(distrt.from_dlpack(array, copy=True).numpy(), array)
    assert np.from_dlpack(distrt.zeros(3).expand(2, 3)).shape == (2, 3)


def test_the_memory_lives_as_long_as_whoever_uses_it() -> None:
    shared = np.from_dlpack(distrt.arange(1000) * 2)
    kept = distrt.from_dlpack(np.arange(1000) * 3)
    for _ in range(3):
        distrt.zeros(1000)
    assert shared[-1] == 1998
    assert kept[-1] == 2997


def test_dlpack_refuses_what_cannot_be_shared(torch: Any) -> None:
    for library in (distrt, torch):
        with pytest.raises(BufferError, match="gradient"):
            library.ones(2, requires_grad=True).__dlpack__()
        with pytest.raises((RuntimeError, AttributeError)):
            library.from_dlpack(3)
        capsule = library.ones(2).__dlpack__()
        library.from_dlpack(capsule)
        with pytest.raises(RuntimeError, match="invalid capsule"):
            library.from_dlpack(capsule)
    assert distrt.ones(2).__dlpack_device__() == (1, 0)


def test_element_types_that_tensors_do_not_have_are_refused() -> None:
    with pytest.raises(TypeError, match="type"):
        distrt.from_numpy(np.array(["a"]))
