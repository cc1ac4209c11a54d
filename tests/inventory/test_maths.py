"""Area F: arithmetic, matrix products, reductions, comparison, in-place forms."""

from __future__ import annotations

import math

import pytest

import distrt as torch
from tests.inventory.rows import covers


@covers("F1")
def test_operators() -> None:
    a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0])
    assert (
        (a + b).tolist() == [5, 7, 9] and (a - b).tolist() == [-3, -3, -3] and (a * b).tolist() == [4, 10, 18]
    )
    assert (b / a).tolist() == [4, 2.5, 2] and (a**2).tolist() == [1, 4, 9] and (-a).tolist() == [-1, -2, -3]
    assert (torch.tensor([-5, 5]) % 3).tolist() == [1, 2]
    assert (10 - a).tolist() == [9, 8, 7] and (6 / a).tolist() == [6, 3, 2] and (2**a).tolist() == [2, 4, 8]
    assert (2 + a).tolist() == [3, 4, 5] and (2 * a).tolist() == [2, 4, 6]


@covers("F2", "F3", "F4", "F5")
def test_matrix_products() -> None:
    a, b = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(3, 4)
    assert torch.equal(a @ b, torch.mm(a, b)) and torch.equal(torch.matmul(a, b), a @ b)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        torch.matmul(torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(RuntimeError):
        torch.mm(torch.ones(2, 3), torch.ones(3))
    assert torch.matmul(torch.ones(5, 1, 2, 3), torch.ones(4, 3, 2)).shape == (5, 4, 2, 2)
    assert torch.matmul(a, torch.ones(3)).tolist() == [3, 12]
    assert torch.bmm(torch.ones(10, 2, 3), torch.ones(10, 3, 4)).shape == (10, 2, 4)
    with pytest.raises(RuntimeError):
        torch.bmm(a, b)
    assert torch.dot(torch.tensor([1, 2, 3]), torch.tensor([4, 5, 6])) == 32
    with pytest.raises(RuntimeError):
        torch.dot(a, a)


@covers("F6", "F7", "F8", "F9")
def test_sums_means_and_spreads() -> None:
    t = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert t.sum() == 21 and t.sum(dim=0).tolist() == [5, 7, 9] and t.sum(dim=1).tolist() == [6, 15]
    assert t.sum(dim=1, keepdim=True).shape == (2, 1)
    assert torch.ones(2, 3, 4, 5).mean(dim=[2, 3], keepdim=True).shape == (2, 3, 1, 1)
    assert t.mean(dim=1).tolist() == [2, 5] and t.mean() == 3.5
    with pytest.raises(RuntimeError, match="dtype"):
        torch.tensor([1, 2]).mean()
    assert t.var().item() == pytest.approx(3.5) and t.std().item() == pytest.approx(math.sqrt(3.5))


@covers("F10", "F11", "F12")
def test_extremes() -> None:
    t = torch.tensor([[1.0, 9.0, 3.0], [7.0, 5.0, 6.0]])
    assert t.max() == 9 and t.min() == 1 and t.max().dim() == 0
    values, indices = t.max(1)
    assert values.tolist() == [9, 7] and indices.tolist() == [1, 0]
    assert t.max(1).indices.dtype == torch.int64 and t.max(1).values.tolist() == [9, 7]
    assert t.argmax() == 1 and t.argmin() == 0 and torch.argmax(t, dim=1).tolist() == [1, 0]


@covers("F13", "F14", "F15", "F16", "F17")
def test_functions_of_each_element() -> None:
    x = torch.tensor([0.25, 1.0], requires_grad=True)
    for name in "exp log sqrt abs sin cos tanh sigmoid relu".split():
        by_function, by_method = getattr(torch, name)(x), getattr(x, name)()
        assert torch.equal(by_function, by_method) and by_function.requires_grad
    assert torch.exp(torch.tensor(0.0)) == 1 and torch.sqrt(torch.tensor(4.0)) == 2
    assert torch.softmax(torch.zeros(2, 4), dim=1).tolist() == [[0.25] * 4] * 2
    assert torch.tensor([-1.0, 2.0]).clamp(min=0).tolist() == [0, 2]
    assert torch.tensor([0.5, 1.5, 2.5, -0.4]).round().tolist() == [0, 2, 2, 0]
    n = torch.tensor([3.0, 4.0], requires_grad=True)
    n.norm().backward()
    assert n.norm() == 5 and n.grad.tolist() == pytest.approx([0.6, 0.8])


@covers("F18")
def test_masked_fill_broadcasts_its_mask() -> None:
    scores, mask = torch.zeros(2, 2, 3), torch.tensor([[1, 0, 1]])
    filled = scores.masked_fill(mask == 0, -1e9)
    assert filled[1, 0].tolist() == [0, -1e9, 0] and scores.sum() == 0


@covers("F19", "F20", "F21", "F22")
def test_comparison() -> None:
    a, b = torch.tensor([1, 2, 3]), torch.tensor([3, 2, 1])
    assert (a > b).tolist() == [False, False, True] and (a == b).tolist() == [False, True, False]
    assert torch.equal(torch.eq(a, b), a.eq(b)) and torch.gt(a, b).dtype == torch.bool
    assert (a != b).tolist() == [True, False, True] and torch.lt(a, b).tolist() == [True, False, False]
    assert torch.all(a > 0) and torch.any(a > 2) and torch.all(a > 0).dim() == 0
    assert torch.isnan(torch.tensor([1.0, float("nan")])).any()
    assert torch.isinf(torch.tensor([1.0, float("inf")])).any()
    hits = torch.tensor([0.9, 0.2]).round() == torch.tensor([1.0, 1.0])
    assert hits.sum().item() == 1 and hits.sum().dtype == torch.int64


@covers("F23")
def test_broadcasting() -> None:
    row, col = torch.tensor([1, 2, 3]), torch.tensor([[1], [2], [3]])
    assert (row + col).tolist() == [[2, 3, 4], [3, 4, 5], [4, 5, 6]]
    assert (torch.ones(2, 3, 4) + torch.ones(3, 1)).shape == (2, 3, 4)
    bias = torch.zeros(4, requires_grad=True)
    (torch.ones(3, 4) + bias).sum().backward()
    assert bias.grad.tolist() == [3.0] * 4
    with pytest.raises(RuntimeError, match="must match"):
        torch.ones(3, 4) + torch.ones(3)


@covers("F24", "F25", "F26")
def test_in_place_forms() -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    same, place = x, x.data_ptr()
    assert x.add_(5) is x and x.tolist() == [6, 7, 8]
    x.mul_(2)
    x += 1
    assert x is same and x.data_ptr() == place and x.tolist() == [13, 15, 17]
    assert x.zero_().tolist() == [0, 0, 0] and x.fill_(5).tolist() == [5, 5, 5]
    with pytest.raises(RuntimeError, match="shape"):
        x.add_(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.tensor([1, 2]).add_(1.5)
    w = torch.ones(2, requires_grad=True)
    w.sum().backward()
    w.grad.zero_()
    assert w.grad.tolist() == [0, 0]
