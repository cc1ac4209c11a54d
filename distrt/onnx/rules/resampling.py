"""Images of other sizes, and sampled along a grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.pooling import averaged
from distrt.onnx.rules.table import Call, rule
from distrt.tracing import Value

_MODES = {
    "nearest": ("nearest", "asymmetric"),
    "nearest-exact": ("nearest", "half_pixel"),
    "linear": ("linear", "half_pixel"),
    "bilinear": ("linear", "half_pixel"),
    "trilinear": ("linear", "half_pixel"),
    "bicubic": ("cubic", "half_pixel"),
}


@rule("nn.functional.interpolate")
def _interpolate(g: Drawing, call: Call) -> Any:
    if call.mode == "area":
        spatial = len(call.input.shape) - 2
        sizes_before = [g.fixed(call.input, dim, "interpolation by area") for dim in range(-spatial, 0)]
        return averaged(g, call, sizes_before, call.result.shape[-spatial:])
    if call.mode not in _MODES:
        raise g.unsupported(f"interpolation by {call.mode!r}")
    if call.antialias or not call.input.dtype.is_floating_point:  # runtimes weigh and round otherwise
        raise g.unsupported("interpolation with antialias, or of integers")
    kind, places = _MODES[call.mode]
    spatial = len(call.input.shape) - 2
    scales, sizes = _scales(call, spatial), None
    if scales is None:
        wanted = [call.size] * spatial if isinstance(call.size, int | Value) else call.size
        if wanted is None:
            wanted = [
                g.fixed(call.result, dim, "interpolation to computed sizes") for dim in range(-spatial, 0)
            ]
        sizes = g.row([*g.rows_of(call.input)[:2], *wanted])
    empty = None if g.opset >= 13 else g.constant(np.empty(0, np.float32))
    return g.node(
        "Resize",
        call.input,
        empty,
        empty if scales is None else g.constant(np.array([1, 1, *scales], np.float32)),
        sizes,
        mode=kind,
        coordinate_transformation_mode="align_corners" if call.align_corners else places,
        nearest_mode={"nearest": "floor", "nearest-exact": "round_prefer_ceil"}.get(call.mode),
        cubic_coeff_a=-0.75 if kind == "cubic" else None,
    )


def _scales(call: Call, spatial: int) -> list[float] | None:
    """The factors, where they are what places are computed from."""
    if call.scale_factor is None or call.recompute_scale_factor:
        return None
    factors = call.scale_factor
    listed = list(factors) if isinstance(factors, tuple | list) else [factors] * spatial
    sizes = zip(call.input.shape[2:], call.result.shape[2:], strict=True)
    return [_no_less(np.float32(each), *pair) for each, pair in zip(listed, sizes, strict=True)]


def _no_less(factor: Any, before: int, after: int) -> float:
    """A factor in single precision, which must not be so much less that a size becomes another one."""
    while before * float(factor) < after:
        factor = np.nextafter(factor, np.float32(np.inf))
    return float(factor)


@rule("nn.functional.grid_sample")
def _grid_sample(g: Drawing, call: Call) -> Any:
    if g.opset < 16:
        raise g.unsupported("grid_sample")
    newer = {"bilinear": "linear", "bicubic": "cubic"}
    mode = newer.get(call.mode, call.mode) if g.opset >= 20 else call.mode
    return g.node(
        "GridSample",
        call.input,
        call.grid,
        mode=mode,
        padding_mode=call.padding_mode,
        align_corners=int(bool(call.align_corners)),
    )
