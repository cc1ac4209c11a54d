"""Area D: indexing; area E: shape."""

from __future__ import annotations

import pytest

import distrt as torch
from tests.inventory.rows import covers


def _t() -> torch.Tensor:
    return torch.arange(12).reshape(3, 4)


@covers("D1", "D2")
def test_basic_indexing_gives_views() -> None:
    t = _t()
    assert t[0].tolist() == [0, 1, 2, 3] and t[0, 1] == 1 and t[:, 0].tolist() == [0, 4, 8]
    assert t[1:, :2].tolist() == [[4, 5], [8, 9]] and t[:, -1].tolist() == [3, 7, 11]
    assert t[..., None].shape == (3, 4, 1) and t[::2].tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    t[0][0] = 50
    assert t[0, 0] == 50
    with pytest.raises(IndexError):
        t[3]


@covers("D3")
def test_index_tensors_copy_and_add_up_in_backward() -> None:
    x = torch.arange(4.0).requires_grad_()
    picked = x[torch.tensor([1, 3, 1])]
    assert picked.tolist() == [1, 3, 1]
    picked.sum().backward()
    assert x.grad.tolist() == [0, 2, 0, 1]


@covers("D4")
def test_a_mask_selects_into_one_dim() -> None:
    t = _t()
    assert repr(t[t > 5]) == "tensor([ 6,  7,  8,  9, 10, 11])"


@covers("D5", "D6")
def test_assignment() -> None:
    t = _t()
    t[0, 0] = 100
    t[:, -1] = 0
    assert t[0].tolist() == [100, 1, 2, 0] and t[2, 3] == 0
    g, x = torch.ones(4), torch.tensor([-1.0, 2.0, -3.0, 4.0])
    g[x < 0] = 0
    assert g.tolist() == [0, 1, 0, 1]


@covers("D7", "D8")
def test_an_element_differentiates() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    output = x * 2
    output[0, 1].backward()
    assert x.grad.tolist() == [[0, 2, 0], [0, 0, 0]]
    hidden = torch.arange(6).view(3, 2)
    assert hidden[-1].tolist() == [4, 5]


@covers("D9")
def test_assignment_to_a_view_is_part_of_the_graph() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    row = y[1:]
    row.mul_(5)
    y[0] = 7.0
    y.sum().backward()
    assert y.tolist() == [7, 10, 10] and x.grad.tolist() == [0, 10, 10]


@covers("E1", "E2", "E3")
def test_reshape_and_view() -> None:
    t = torch.arange(12)
    assert t.reshape(3, 4).shape == (3, 4) and t.reshape(2, -1).shape == (2, 6)
    assert t.reshape(3, 4).data_ptr() == t.data_ptr()
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        torch.ones(2, 3).reshape(2, 6)
    v = t.view(3, 4)
    v[0, 0] = 99
    assert t[0] == 99 and t.view(-1, 1).shape == (12, 1)
    with pytest.raises(RuntimeError, match="view size"):
        v.t().view(-1)


@covers("E4", "E5", "E6", "E7")
def test_dims_merged_removed_and_added() -> None:
    t = torch.zeros(1, 3, 1, 4)
    assert t.flatten().shape == (12,) and t.flatten(0, 1).shape == (3, 1, 4)
    assert torch.nn.Flatten()(torch.zeros(2, 3, 4)).shape == (2, 12)
    assert t.squeeze().shape == (3, 4) and t.squeeze(0).shape == (3, 1, 4) and t.squeeze(1).shape == t.shape
    assert torch.zeros(3, 4).unsqueeze(0).shape == (1, 3, 4)
    assert torch.zeros(3, 4).unsqueeze(-1).shape == (3, 4, 1)


@covers("E8", "E9", "E10")
def test_dims_moved_and_repeated() -> None:
    t = torch.zeros(2, 3, 4)
    assert t.transpose(0, 2).shape == (4, 3, 2) and t.transpose(-2, -1).shape == (2, 4, 3)
    assert t.permute(2, 0, 1).shape == (4, 2, 3) and torch.zeros(2, 3).permute(1, 0).shape == (3, 2)
    assert t.transpose(0, 2).data_ptr() == t.data_ptr()
    y = torch.ones(1, 4, requires_grad=True)
    wide = y.expand_as(torch.zeros(3, 4))
    assert wide.stride() == (0, 1)
    wide.sum().backward()
    assert y.grad.tolist() == [[3.0] * 4]


@covers("E11", "E12")
def test_joining() -> None:
    a, b = torch.ones(2, 2), torch.zeros(2, 2)
    assert torch.cat([a, b], dim=0).shape == (4, 2) and torch.cat([a, b], dim=1).shape == (2, 4)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        torch.cat([a, torch.ones(3, 3)])
    assert torch.stack([a, b], dim=0).shape == (2, 2, 2)
    assert torch.stack([torch.tensor(1), torch.tensor(2)]).tolist() == [1, 2]


@covers("E13", "E14", "E15")
def test_splitting_gives_views() -> None:
    t = torch.arange(8).view(4, 2)
    halves = torch.split(t, 2, dim=0)
    assert isinstance(halves, tuple) and [tuple(each.shape) for each in halves] == [(2, 2), (2, 2)]
    assert [len(each) for each in torch.split(t, [1, 3], dim=0)] == [1, 3]
    assert [len(each) for each in torch.chunk(torch.arange(5), 2)] == [3, 2]
    rows = torch.unbind(t, dim=0)
    assert len(rows) == 4 and rows[0].dim() == 1
    rows[3][0] = 60
    halves[0][0, 0] = 70
    assert t[3, 0] == 60 and t[0, 0] == 70


@covers("E16")
def test_gradients_of_shape_operations() -> None:
    def moved(x: torch.Tensor) -> torch.Tensor:
        x = x.reshape(4, 6).view(2, 12).flatten().view(2, 3, 4)
        x = x.transpose(0, 2).permute(1, 2, 0).unsqueeze(1).squeeze(1)
        first, second = torch.split(x, [1, 2], dim=0)
        joined = torch.cat([second, first * 2, torch.stack([first[0], first[0]])])
        return torch.cat([part * 3 for part in torch.chunk(joined, 2)]) * torch.unbind(joined)[0].expand_as(
            joined
        )

    x = torch.randn(24, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(moved, (x,))
