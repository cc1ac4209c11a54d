"""Joining and cutting images along their channels gives what NumPy's gives, in memory of its own."""

import numpy as np
import pytest

import distrt as torch
from distrt.core.layouts import is_channels_last
from distrt.core.pixels import cut_channels, join_channels


def images(*channels, dtype=np.float32, size=(5, 6)):
    random = np.random.default_rng(0)
    return [np.moveaxis(random.standard_normal((2, *size, n)).astype(dtype), -1, 1) for n in channels]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
@pytest.mark.parametrize("size", [(5, 6), (2, 3, 4)])
def test_channels_are_joined_and_cut_again(dtype, size):
    given = images(3, 16, 2, dtype=dtype, size=size)
    made = join_channels(given)
    assert np.array_equal(made, np.concatenate(given, 1)) and is_channels_last(made)
    pieces = cut_channels(made, [3, 16, 2])
    for piece, each in zip(pieces, given, strict=True):
        assert np.array_equal(piece, each) and is_channels_last(piece)
        assert not np.shares_memory(piece, made)


def test_other_orders_and_dtypes_are_left_to_numpy():
    last, other = images(4, 8)
    assert join_channels([last, np.ascontiguousarray(other)]) is None
    assert join_channels([last, other.astype(np.float64)]) is None
    assert cut_channels(np.ascontiguousarray(last), [2, 2]) is None
    assert cut_channels(last, [4, 0]) is None


def test_a_skip_connection_gives_every_part_its_gradient():
    def slopes(layout):
        torch.manual_seed(0)
        x = torch.randn(2, 16, 16, 16).to(memory_format=layout).requires_grad_()
        first, second = torch.nn.Conv2d(16, 16, 3, padding=1), torch.nn.Conv2d(32, 4, 1)
        y = torch.cat([first(x), x], dim=1)
        second(y).square().mean().backward()
        return [x.grad, first.weight.grad, second.weight.grad]

    for one, two in zip(slopes(torch.channels_last), slopes(torch.contiguous_format), strict=True):
        assert torch.allclose(one, two, atol=1e-7)
