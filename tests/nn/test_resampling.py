"""Interpolation and sampling beyond the tables: warnings, options, what is not a number, second derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from distrt import nn
from distrt.nn import functional as F


def test_former_names_warn_and_do_the_same() -> None:
    x = distrt.randn(1, 2, 3, 4)
    for function, options in (
        (F.upsample, {}),
        (F.upsample_nearest, {}),
        (F.upsample_bilinear, {"mode": "bilinear", "align_corners": True}),
    ):
        with pytest.warns(UserWarning, match=f"`nn.functional.{function.__name__}` is deprecated") as caught:
            found = function(x, scale_factor=2)
        assert caught[0].filename == __file__
        assert distrt.equal(found, F.interpolate(x, scale_factor=2, **options))


def test_undecided_corners_warn() -> None:
    x, theta = distrt.randn(1, 1, 3, 4), distrt.eye(2, 3)[None]
    with pytest.warns(UserWarning, match="Default grid_sample and affine_grid behavior") as caught:
        grid = F.affine_grid(theta, (1, 1, 3, 4))
    assert caught[0].filename == __file__ and distrt.equal(grid, F.affine_grid(theta, (1, 1, 3, 4), False))
    with pytest.warns(UserWarning, match="Default grid_sample and affine_grid behavior"):
        found = F.grid_sample(x, grid)
    distrt.testing.assert_close(found, x)
    with pytest.warns(UserWarning, match="unit-size grids"):
        assert F.affine_grid(theta, (1, 1, 1, 3), True)[0, 0, :, 1].tolist() == [0, 0, 0]


def test_sizes_may_be_a_size_tensors_or_numpys() -> None:
    x = distrt.randn(1, 1, 4, 5)
    expected = F.interpolate(x, (3, 7))
    for size in (distrt.Size((3, 7)), [3, 7], (distrt.tensor(3), np.int64(7))):
        assert distrt.equal(F.interpolate(x, size), expected)
    assert F.interpolate(x, distrt.tensor(6)).shape == (1, 1, 6, 6)


def test_positions_follow_the_scale_factor_unless_it_is_recomputed(torch: Any) -> None:
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    results = []
    for recompute in (None, False, True):
        ours, theirs = (
            library.nn.functional.interpolate(
                library.tensor(x), scale_factor=1.7, mode="bilinear", recompute_scale_factor=recompute
            )
            for library in (distrt, torch)
        )
        np.testing.assert_allclose(ours.numpy(), theirs.numpy())
        results.append(ours)
    assert distrt.equal(results[0], results[1]) and not distrt.allclose(results[1], results[2])


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_what_is_not_a_number_stays_where_it_is(mode: str) -> None:
    x = distrt.ones(1, 1, 8, 8)
    x[0, 0, 0, 0] = float("nan")
    small = F.interpolate(x.requires_grad_(), (4, 4), mode=mode)
    assert int(small.isnan().sum()) in (1, 4) and bool(small[..., 2:, 2:].isfinite().all())
    large = F.interpolate(x, (16, 16), mode=mode)
    assert bool(large[..., 8:, 8:].isfinite().all()) and not bool(large[0, 0, 0, 0].isfinite())
    g = distrt.zeros(1, 1, 16, 16)
    g[0, 0, 0, 0] = float("nan")
    (found,) = distrt.autograd.grad(large, x, g)
    assert bool(found[..., 4:, 4:].isfinite().all()) and bool(found[0, 0, 0, 0].isnan())


def test_a_gradient_is_the_transposed_map_of_any_order() -> None:
    x = distrt.randn(1, 1, 5, 6, dtype=distrt.float64, requires_grad=True)
    for options in (
        {"mode": "bicubic"},
        {"mode": "bilinear", "antialias": True},
        {"mode": "area"},
        {"mode": "nearest"},
    ):
        assert distrt.autograd.gradcheck(lambda a, o=options: F.interpolate(a, (3, 9), **o), (x,))
        assert distrt.autograd.gradgradcheck(lambda a, o=options: F.interpolate(a, (3, 9), **o) ** 2, (x,))


@pytest.mark.ci
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_sampling_has_second_derivatives(mode: str, padding: str, rng: np.random.Generator) -> None:
    x = distrt.tensor(rng.standard_normal((1, 1, 4, 3))).requires_grad_()
    grid = distrt.tensor(rng.uniform(-1.4, 1.4, (1, 2, 2, 2))).requires_grad_()
    assert distrt.autograd.gradgradcheck(
        lambda a, b: F.grid_sample(a, b, mode, padding, align_corners=False), (x, grid)
    )


def test_positions_that_are_not_numbers_do_no_harm() -> None:
    x = distrt.arange(6.0).reshape(1, 1, 2, 3)
    grid = distrt.tensor([[[[float("nan"), 0.0], [float("inf"), 0.0], [1e20, 0.2], [0.0, 0.0]]]])
    for padding in ("zeros", "border", "reflection"):
        for mode in ("bilinear", "nearest", "bicubic"):
            found = F.grid_sample(x, grid, mode, padding, True)
            assert found.shape == (1, 1, 1, 4) and bool(found[..., 3].isfinite())
    border = F.grid_sample(x, grid, "bilinear", "border", True).flatten()
    distrt.testing.assert_close(border, distrt.tensor([1.5, 3.5, 3.8, 2.5]))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_sampled_in_float32_and_rounded_once(dtype: str, mode: str) -> None:
    x = distrt.randn(2, 3, 4, 5).to(getattr(distrt, dtype))
    grid = (distrt.rand(2, 3, 3, 2) * 2 - 1).to(x.dtype)
    expected = F.grid_sample(x.float(), grid.float(), mode, align_corners=False)
    assert distrt.equal(F.grid_sample(x, grid, mode, align_corners=False), expected.to(x.dtype))


def test_an_identity_map_samples_the_image_itself() -> None:
    x = distrt.randn(2, 3, 5, 4)
    theta = distrt.eye(2, 3).expand(2, 2, 3)
    for align in (False, True):
        grid = F.affine_grid(theta, x.shape, align)
        distrt.testing.assert_close(F.grid_sample(x, grid, align_corners=align), x)


def test_upsample_keeps_its_options() -> None:
    layer = nn.Upsample(scale_factor=(2, 3), mode="bilinear", align_corners=False)
    assert layer.name == "Upsample" and layer.scale_factor == (2.0, 3.0) and layer.size is None
    assert layer.align_corners is False and layer.recompute_scale_factor is None
    assert nn.UpsamplingBilinear2d(3).align_corners is True


def test_resampled_bytes_lie_in_order_in_memory() -> None:
    x = distrt.arange(32).reshape(1, 2, 4, 4).to(distrt.uint8)
    assert F.interpolate(x, size=(5, 7), mode="bilinear").view(2, -1).shape == (2, 35)
