"""What convolution and pooling promise besides PyTorch's results: bounded memory, few kept bytes, copies, seeds."""

from __future__ import annotations

import copy
import importlib
import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.nn import functional as F

#: The module; ``distrt.core.ops.spatial.convolution`` is the operation of that name.
KERNEL = importlib.import_module("distrt.core.ops.spatial.convolution")


def _there_and_back(dims: int) -> list[Any]:
    rng = np.random.default_rng(3)
    x = torch.tensor(rng.standard_normal((5, 4, *(7, 6, 3)[:dims])), requires_grad=True)
    w = torch.tensor(rng.standard_normal((6, 2, *(3, 2, 2)[:dims])), requires_grad=True)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    back = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[dims - 1]
    out = back(convolve(x, w, None, 2, 1, groups=2), w, None, 2, 1, groups=2)
    out.square().sum().backward()
    return [out.detach(), x.grad, w.grad]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("block_bytes", [1, 700, 5000])
def test_the_size_of_the_blocks_changes_no_result(
    dims: int, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _there_and_back(dims)
    monkeypatch.setattr(KERNEL, "_BLOCK_BYTES", block_bytes)
    for mine, reference in zip(_there_and_back(dims), expected, strict=True):
        assert torch.allclose(mine, reference, rtol=1e-12, atol=1e-12)


def _peak_bytes(run: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_convolution_over_three_dims_takes_blocks_and_not_27_times_its_input() -> None:
    x = torch.ones(1, 16, 32, 48, 48, requires_grad=True)  # 4.7 MB; its columns are 127 MB
    layer = nn.Conv3d(16, 8, 3, padding=1)
    whole = 27 * x.numel() * 4
    assert _peak_bytes(lambda: layer(x).sum().backward()) < whole / 3


def test_max_pooling_keeps_one_byte_for_each_window() -> None:
    x = torch.ones(4, 16, 64, 64, requires_grad=True)
    out = F.max_pool2d(x * 1, 2)
    (winner,) = (kept for kept in out.grad_fn.saved if isinstance(kept, np.ndarray))
    assert winner.dtype == np.int8 and winner.shape == out.shape


def test_layers_copy_and_pickle() -> None:
    for layer, shape in (
        (nn.Conv2d(3, 4, 3, padding="same", padding_mode="reflect"), (1, 3, 5, 5)),
        (nn.ConvTranspose1d(3, 4, 3, 2, output_padding=1), (1, 3, 5)),
        (nn.MaxPool2d(2, return_indices=True), (1, 3, 5, 5)),
        (nn.AdaptiveAvgPool2d((None, 2)), (1, 3, 5, 5)),
        (nn.CircularPad1d(2), (1, 3, 5)),
    ):
        x = torch.randn(*shape)
        expected = layer(x)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            found = other(x)
            assert repr(other) == repr(layer)
            for mine, reference in zip(_listed(found), _listed(expected), strict=True):
                assert torch.equal(mine, reference)


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


def test_a_convolution_may_be_changed_by_overriding_its_forward_step() -> None:
    class Standardised(nn.Conv2d):
        def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
            return super()._conv_forward(input, weight - weight.mean((1, 2, 3), keepdim=True), bias)

    layer = Standardised(3, 4, 3, padding=1, padding_mode="circular", bias=False)
    assert isinstance(layer, nn.modules.conv._ConvNd)
    assert layer(torch.ones(1, 3, 5, 5)).abs().max() < 1e-5


# -- fractional max pooling: random, and the same for the same seed


def test_fractional_max_pooling_follows_the_seed() -> None:
    x = torch.randn(2, 3, 17, 15)
    layer = nn.FractionalMaxPool2d(2, output_ratio=0.6)
    torch.manual_seed(1)
    first = layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first) and first.shape == (2, 3, 10, 9)
    assert any(not torch.equal(layer(x), first) for _ in range(5))


def test_fractional_max_pooling_takes_its_windows_from_all_over() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(40.0).reshape(1, 1, 1, 40).expand(1, 200, 2, 40)
    _, places = F.fractional_max_pool2d(ramp, (1, 2), (1, 15), return_indices=True)
    ends = places[0, :, 0] % 40
    steps = ends[:, 1:] - ends[:, :-1]
    assert (ends[:, -1] == 39).all() and (ends[:, 0] >= 1).all()
    # The step from the last random window to the last of all makes up for the others.
    assert set(steps[:, :-1].unique().tolist()) == {2, 3}
    assert abs(steps.float().mean().item() - 38 / 14) < 0.1
    assert len(places.unique()) > 20


def test_pooling_window_of_the_whole_image_keeps_its_place() -> None:
    x = torch.zeros(1, 1, 20, 20)
    x[0, 0, 13, 17] = 1
    value, place = F.max_pool2d(x, 20, return_indices=True)
    assert value.item() == 1 and place.item() == 13 * 20 + 17
    assert torch.equal(F.max_unpool2d(value, place, 20), x)


def test_the_places_of_a_dilated_window_lie_in_order_in_memory() -> None:
    _, places = F.max_pool2d(torch.randn(2, 3, 7, 8), (2, 3), dilation=2, return_indices=True)
    assert places.view(2, -1).shape == (2, 18)
