"""Folding batch normalisation into the layer before it, and rearranging weights in memory, against PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from tests.nn.both import Tell, assert_same_run, numbered


def _norm(t: Any, dims: int, features: int = 4, **options: Any) -> Any:
    norm = getattr(t.nn, f"BatchNorm{dims}d")(features, dtype=t.float64, **options).eval()
    with t.no_grad():
        for number, each in enumerate(norm.state_dict().values()):
            if each.is_floating_point():
                each.copy_(numbered(t, features, start=number).sin() + 2)
    return norm


def _filled(t: Any, layer: Any) -> Any:
    with t.no_grad():
        for each in layer.parameters():
            each.copy_(numbered(t, *each.shape).sin())
    return layer.double().eval()


def _convolutions(t: Any, tell: Tell, dims: int, transposed: bool, options: dict[str, Any]) -> None:
    kind = getattr(t.nn, f"Conv{'Transpose' if transposed else ''}{dims}d")
    layer, norm = _filled(t, kind(2, 4, 2, bias=options["bias"])), _norm(t, dims, affine=options["affine"])
    fused = t.nn.utils.fuse_conv_bn_eval(layer, norm, transpose=transposed)
    x = numbered(t, 3, 2, *[4] * dims).cos()
    tell(repr(fused), fused.weight, fused.bias, fused(x))
    assert fused is not layer and t.allclose(fused(x), norm(layer(x)))
    (fused(x) ** 2).sum().backward()
    tell(fused.weight.grad, fused.bias.grad if fused.bias.requires_grad else None)


@pytest.mark.parametrize(
    "options", [{"bias": True, "affine": True}, {"bias": False, "affine": False}], ids=str
)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolutions_are_fused_as_in_pytorch(
    dims: int, transposed: bool, options: dict[str, Any], torch: Any
) -> None:
    assert_same_run(torch, _convolutions, dims, transposed, options, scale=1000)


def _linear(t: Any, tell: Tell) -> None:
    for bias in (True, False):
        layer, norm = _filled(t, t.nn.Linear(3, 4, bias=bias)), _norm(t, 1)
        fused = t.nn.utils.fuse_linear_bn_eval(layer, norm)
        x = numbered(t, 2, 3).cos()
        tell(repr(fused), fused.weight, fused.bias, fused(x))
        assert t.allclose(fused(x), norm(layer(x)))
    one = t.nn.utils.fuse_linear_bn_eval(_filled(t, t.nn.Linear(3, 4)), _norm(t, 1, 1))
    tell(one.weight, one.bias)
    half = t.nn.utils.fuse_linear_bn_eval(_filled(t, t.nn.Linear(3, 4)).float(), _norm(t, 1).double())
    tell(half.weight, half.bias)
    frozen = _filled(t, t.nn.Linear(3, 4)).requires_grad_(False)
    fused = t.nn.utils.fuse_linear_bn_eval(frozen, _norm(t, 1))
    tell(fused.weight, fused.bias)


def _refusals(t: Any, tell: Tell) -> None:
    conv, linear = t.nn.Conv2d(2, 4, 2), t.nn.Linear(3, 4)
    norm = t.nn.BatchNorm2d(4)
    utils = t.nn.utils
    tell.error(lambda: utils.fuse_conv_bn_eval(conv, norm.eval()))
    tell.error(lambda: utils.fuse_conv_bn_eval(conv.eval(), t.nn.BatchNorm2d(4)))
    tell.error(lambda: utils.fuse_conv_bn_eval(conv, t.nn.BatchNorm2d(4, track_running_stats=False).eval()))
    tell.error(lambda: utils.fuse_linear_bn_eval(linear, norm))
    tell.error(lambda: utils.fuse_linear_bn_eval(linear.eval(), t.nn.BatchNorm1d(3).eval()))


def _formats(t: Any, tell: Tell) -> None:
    model = t.nn.Sequential(
        t.nn.Conv2d(3, 4, 3), t.nn.Sequential(t.nn.ConvTranspose2d(4, 5, 3)), t.nn.Linear(2, 3)
    )
    values = [each.detach().clone() for each in model.parameters()]
    utils = t.nn.utils
    assert utils.convert_conv2d_weight_memory_format(model, t.channels_last) is model
    tell([each.stride() for each in model.parameters()])
    assert all(t.equal(each, value) for each, value in zip(model.parameters(), values))  # noqa: B905
    utils.convert_conv2d_weight_memory_format(model, memory_format=t.contiguous_format)
    tell([each.stride() for each in model.parameters()])
    deep = t.nn.Conv3d(3, 4, 3)
    utils.convert_conv3d_weight_memory_format(deep, t.channels_last_3d)
    tell(deep.weight.stride(), isinstance(deep.weight, t.nn.Parameter), deep.weight.requires_grad)


@pytest.mark.parametrize("run", [_linear, _refusals, _formats])
def test_the_rest_is_pytorchs(run: Any, torch: Any) -> None:
    assert_same_run(torch, run)


def test_a_fused_layer_leaves_the_old_ones_alone() -> None:
    layer, norm = _filled(distrt, distrt.nn.Conv2d(2, 4, 2)), _norm(distrt, 2)
    before = [each.clone() for each in (*layer.state_dict().values(), *norm.state_dict().values())]
    fused = distrt.nn.utils.fuse_conv_bn_eval(layer, norm)
    with distrt.no_grad():
        for each in fused.parameters():
            each.add_(1)
    after = [*layer.state_dict().values(), *norm.state_dict().values()]
    assert all(distrt.equal(old, new) for old, new in zip(before, after, strict=True))
