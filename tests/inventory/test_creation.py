"""Area A: making tensors."""

from __future__ import annotations

import numpy as np
import pytest

import distrt as torch
from tests.inventory.rows import covers


@covers("A1")
def test_the_dtype_follows_the_numbers() -> None:
    assert torch.tensor([1, 2]).dtype == torch.int64
    assert torch.tensor([[1.0, 2.0], [3.0, 4.0]]).dtype == torch.float32
    assert torch.tensor([True, False]).dtype == torch.bool
    assert torch.tensor([1 + 2j]).dtype == torch.complex64
    data = [[1, 2], [3, 4]]
    made = torch.tensor(data)
    data[0][0] = 9
    assert made.tolist() == [[1, 2], [3, 4]]


@covers("A2")
def test_a_number_gives_a_0_d_tensor() -> None:
    scalar = torch.tensor(3.14)
    assert scalar.shape == torch.Size([]) and scalar.dim() == 0
    assert scalar.item() == pytest.approx(3.14)


@covers("A3", "A4", "01")
def test_requires_grad_of_a_new_tensor() -> None:
    leaf = torch.tensor([1.0, 2.0], requires_grad=True)
    assert leaf.requires_grad and leaf.is_leaf
    with pytest.raises(RuntimeError, match="floating point"):
        torch.tensor([1, 2], requires_grad=True)
    fixed = torch.tensor([1.0, 2.0], requires_grad=False)
    (leaf * fixed).sum().backward()
    assert fixed.grad is None and leaf.grad.tolist() == [1.0, 2.0]
    for made in (torch.randn(3, requires_grad=True), torch.ones(2, 2, requires_grad=True)):
        assert made.requires_grad and made.is_leaf


@covers("A5")
def test_integers_as_float32() -> None:
    column = torch.tensor([[1], [2], [3], [4]], dtype=torch.float32)
    assert column.shape == (4, 1) and column.dtype == torch.float32


@covers("A6")
def test_a_tensor_of_a_tensor_is_a_copy_with_a_warning() -> None:
    first = torch.ones(2)
    with pytest.warns(UserWarning, match="copy construct"):
        second = torch.tensor(first)
    second[0] = 5
    assert first.tolist() == [1, 1]


@covers("A7")
def test_a_tensor_of_an_array_is_a_copy_of_its_dtype() -> None:
    array = np.ones(2)
    made = torch.tensor(array)
    array[0] = 7
    assert made.dtype == torch.float64 and made.tolist() == [1, 1]


@covers("A8", "A9")
def test_numpy_and_tensor_share_memory_both_ways() -> None:
    array = np.arange(6).reshape(2, 3)[:, ::2]
    shared = torch.from_numpy(array)
    assert shared.dtype == torch.int64 and shared.stride() == (3, 2)
    array[0, 0] = 10
    shared[1, 1] = 20
    assert shared[0, 0] == 10 and array[1, 1] == 20
    back = shared.numpy()
    back[0, 1] = 30
    assert shared[0, 1] == 30
    with pytest.raises(RuntimeError, match="detach"):
        torch.ones(2, requires_grad=True).numpy()


@covers("A10")
def test_clone_copies_and_differentiates() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    copied = x.clone()
    assert copied.data_ptr() != x.data_ptr()
    copied.sum().backward()
    assert x.grad.tolist() == [1, 1]


@covers("A11")
def test_detach_shares_storage_outside_the_graph() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    outside = (x * 2).detach()
    assert outside.is_leaf and not outside.requires_grad
    assert x.detach().data_ptr() == x.data_ptr()


@covers("A12", "A13", "A14", "A16", "A17")
def test_filled_tensors() -> None:
    assert torch.zeros(3, 4).tolist() == [[0.0] * 4] * 3 and torch.zeros((3, 4)).shape == (3, 4)
    assert torch.zeros(5, 1).to(torch.device("cpu")).shape == (5, 1)
    assert torch.ones(3, 4).dtype == torch.float32 and torch.ones(3, 4).sum() == 12
    assert torch.eye(4).tolist() == np.eye(4).tolist()
    assert torch.empty(3, 4).shape == (3, 4) and torch.empty(3, 4).dtype == torch.float32


@covers("A15")
def test_full_takes_the_dtype_of_its_value() -> None:
    assert torch.full((3, 4), 7).dtype == torch.int64
    assert torch.full((3, 4), 7.0).dtype == torch.float32
    assert torch.full((3, 4), True).dtype == torch.bool


@covers("A18", "A19", "A20", "A21")
def test_random_tensors() -> None:
    uniform = torch.rand(100, 100)
    assert uniform.min() >= 0 and uniform.max() < 1
    normal = torch.randn(100, 100)
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.05
    assert torch.randn((2, 3)).shape == torch.randn(torch.ones(2, 3).size()).shape == (2, 3)
    whole = torch.randint(0, 10, (3, 400))
    assert whole.dtype == torch.int64 and set(whole.flatten().tolist()) == set(range(10))
    assert torch.normal(mean=0, std=1, size=(3, 4)).shape == (3, 4)


@covers("A22", "A23", "A24", "A25")
def test_counted_tensors() -> None:
    assert torch.arange(0, 10, 2).tolist() == [0, 2, 4, 6, 8] and torch.arange(12).dtype == torch.int64
    assert torch.arange(0, 1, 0.25).tolist() == [0, 0.25, 0.5, 0.75]
    assert torch.arange(4, device=torch.ones(1).device).tolist() == [0, 1, 2, 3]
    assert torch.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert torch.logspace(0, 2, 3).tolist() == [1, 10, 100]


@covers("A26", "A27", "A28")
def test_like_another_tensor() -> None:
    x = torch.tensor([[1, 2], [3, 4]])
    assert torch.zeros_like(x).dtype == torch.ones_like(x).dtype == torch.int64
    with pytest.raises(RuntimeError):
        torch.rand_like(x)
    assert torch.rand_like(x.float()).shape == (2, 2)
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.randn_like(p) * 100
    assert p.grad.shape == (3,)


@covers("A29", "A30")
def test_manual_seed_repeats_every_generator() -> None:
    def drawn() -> list[object]:
        layer = torch.nn.Linear(3, 2)
        return [
            torch.rand(2).tolist(),
            torch.randn(2).tolist(),
            torch.randint(0, 99, (4,)).tolist(),
            torch.normal(0.0, 1.0, (2,)).tolist(),
            torch.randperm(9).tolist(),
            torch.nn.functional.dropout(torch.ones(20)).tolist(),
            layer.weight.tolist(),
        ]

    torch.manual_seed(42)
    torch.cuda.manual_seed_all(42)
    first = drawn()
    torch.manual_seed(42)
    assert drawn() == first
    assert drawn() != first
