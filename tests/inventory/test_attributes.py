"""Area B: what a tensor tells about itself; area C: dtypes and conversion."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import distrt as torch
from tests.inventory.rows import covers


@covers("B1", "B2", "B3", "B4", "B5", "B6")
def test_what_a_tensor_is() -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    assert str(x.dtype) == "torch.float32" and str(x.shape) == "torch.Size([3])" and str(x.device) == "cpu"
    assert x.requires_grad is False
    x.requires_grad = True
    assert x.requires_grad
    with pytest.raises(RuntimeError):
        (x * 2).requires_grad = False
    cube = torch.zeros(3, 4, 5)
    assert cube.shape[1:] == (4, 5) and cube.size() == cube.shape and cube.size(0) == 3
    a, b, c = cube.size()
    assert (a, b, c) == (3, 4, 5) and cube.dim() == 3 and cube.numel() == 60
    assert str(torch.tensor(1).shape) == "torch.Size([])"


@covers("B7", "B8", "B9", "B10", "B11")
def test_how_it_lies_in_memory() -> None:
    x = torch.arange(60).view(3, 4, 5)
    assert x.stride() == (20, 5, 1) and x.storage_offset() == 0 and x.is_contiguous()
    assert torch.zeros(3, 4).stride() == (4, 1)
    assert x[1, 2:].storage_offset() == 30
    storage = x[1].storage()
    assert len(storage) == 60 and storage[7] == 7 and storage.tolist()[-1] == 59
    turned = x.transpose(0, 1)
    assert not turned.is_contiguous()
    with pytest.raises(RuntimeError):
        turned.view(-1)
    assert turned.contiguous().view(-1).shape == (60,)
    assert torch.zeros(1, 3, 1).transpose(0, 2).is_contiguous()


@covers("B12", "B13")
def test_identity_and_version() -> None:
    x = torch.ones(3)
    before, version = id(x), x._version
    assert id(x + 5) != before
    x.add_(5)
    assert id(x) == before and x._version == version + 1
    assert x.data_ptr() == x[0].data_ptr()


@covers("B14")
def test_printed_text() -> None:
    assert repr(torch.tensor([1.0, 2.0, 3.0])) == "tensor([1., 2., 3.])"
    assert repr(torch.tensor([6, 7, 8, 9, 10, 11])) == "tensor([ 6,  7,  8,  9, 10, 11])"
    assert repr(torch.tensor(1)) == "tensor(1)"
    assert (
        repr(torch.tensor([[1.5, -20.0], [3.0, 4.0]]))
        == "tensor([[  1.5000, -20.0000],\n        [  3.0000,   4.0000]])"
    )
    x = torch.tensor([2.0], requires_grad=True)
    assert (
        repr(x) == "tensor([2.], requires_grad=True)"
        and repr(x * 3) == "tensor([6.], grad_fn=<MulBackward0>)"
    )


@covers("B15", "B16")
def test_as_python_numbers() -> None:
    x = torch.tensor([3.5])
    assert x.item() == float(x) == 3.5 and int(x) == 3 and f"{x.item():.4f}" == "3.5000"
    assert f"{torch.tensor(3.14159):.2f}" == "3.14"
    with pytest.raises(RuntimeError):
        torch.ones(2).item()
    assert torch.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]] and torch.tensor(2.5).tolist() == 2.5


@covers("B17", "B18", "B19")
def test_as_a_sequence_a_condition_and_an_index() -> None:
    x = torch.arange(6).view(2, 3)
    assert len(x) == 2 and [row.tolist() for row in x] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(TypeError):
        len(torch.tensor(1))
    assert (x.sum() > 0) and not (x.sum() < 0)
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(x)
    weights = [1.0, 2.0, 0.5]
    assert weights[torch.tensor(2)] == 0.5


@covers("B20", "012")
def test_del_gives_the_memory_back() -> None:
    x = torch.randn(1000, 1000)
    array = weakref.ref(x._array)
    del x
    assert array() is None


@covers("C1")
def test_dtypes_are_numpys() -> None:
    for name in "float16 float32 float64 uint8 int8 int16 int32 int64 complex64 complex128".split():
        assert torch.zeros(1, dtype=getattr(torch, name)).numpy().dtype == np.dtype(name)
    assert torch.zeros(1, dtype=torch.bool).numpy().dtype == np.bool_
    assert torch.tensor(1.0).dtype == torch.float32 and torch.tensor(1).dtype == torch.int64


@covers("C2", "C3", "C4")
def test_casts() -> None:
    t = torch.tensor([0, 1, 2])
    kinds = [t.float(), t.double(), t.int(), t.long(), t.bool(), t.to(torch.float16)]
    names = "float32 float64 int32 int64 bool float16".split()
    assert [str(each.dtype) for each in kinds] == [f"torch.{name}" for name in names]
    assert t.long() is t
    assert (torch.tensor([0.2, 0.7]) > 0.5).float().tolist() == [0.0, 1.0]


@covers("C5", "C6")
def test_devices() -> None:
    t = torch.ones(2)
    assert t.to("cpu") is t and t.to(torch.device("cpu")) is t and t.cpu() is t
    model = torch.nn.Linear(2, 2)
    assert model.cpu() is model
    if not torch.cuda.is_available():
        for move in (lambda: t.to("cuda"), lambda: t.to(0), t.cuda, model.cuda, lambda: model.to("cuda:0")):
            with pytest.raises((RuntimeError, AssertionError), match="CUDA"):
                move()


@covers("C7", "C8")
def test_promotion() -> None:
    i = torch.tensor([1, 2])
    assert (i + 1.5).dtype == torch.float32 and (i / i).dtype == torch.float32
    assert (torch.ones(2) + torch.tensor(1.0, dtype=torch.float64)).dtype == torch.float32
    assert torch.tensor([True, True]).sum().dtype == torch.int64
    with pytest.raises(RuntimeError):
        torch.ones(2, 2) @ torch.ones(2, 2, dtype=torch.float64)
