"""Tensors that are made of sizes and numbers."""

from __future__ import annotations

from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.table import Call, rule
from distrt.tracing import Value

_FILLS = {"zeros": 0, "ones": 1, "empty": 0}


@rule("zeros", "ones", "empty", "Tensor.new_zeros", "Tensor.new_ones", "Tensor.new_empty")
def _filled(g: Drawing, call: Call) -> Any:
    given = call.positions[1:] if call.target.startswith("Tensor.") else call.positions
    sizes = _sizes(call.get("size") or given)
    fill = _FILLS[call.target.removeprefix("Tensor.new_")]
    return g.node("Expand", g.scalar(fill, call.result.dtype), g.row(sizes))


@rule("full", "Tensor.new_full")
def _full(g: Drawing, call: Call) -> Any:
    given = call.positions[1:] if call.target.startswith("Tensor.") else call.positions
    size = call.get("size") or given[0]
    fill = given[1] if len(given) > 1 and given[1] is not None else call.get("fill_value")
    fill = call.get("kwargs", {}).get("fill_value", fill)
    return g.node("Expand", g.number(fill, call.result.dtype), g.row(_sizes([size])))


def _sizes(given: Any) -> list[Any]:
    """Sizes that were given one by one, or as one tuple."""
    if isinstance(given, tuple | list) and given and isinstance(given[0], tuple | list):
        return list(given[0])
    return [each for each in given if isinstance(each, int | Value) and not isinstance(each, bool)]


@rule("zeros_like", "ones_like", "full_like", "empty_like")
def _like(g: Drawing, call: Call) -> Any:
    value, *rest = call.positions
    fill: Any = {"zeros_like": 0, "ones_like": 1, "empty_like": 0}.get(call.target)
    if fill is None:
        fill = rest[0] if rest and rest[0] is not None else call.get("kwargs", {}).get("fill_value")
    return g.node("Expand", g.number(fill, call.result.dtype), g.shape_of(value))


@rule("arange", "range")
def _arange(g: Drawing, call: Call) -> Any:
    named = call.get("kwargs", {})
    given = [each for each in call.get("args", ()) if isinstance(each, int | float | Value)]
    bounds = [named.get(name) for name in ("start", "end", "step")]
    if len(given) == 1:
        bounds[1] = given[0]
    else:
        bounds[: len(given)] = given
    dtype = call.result.dtype
    between = dtype if dtype in (dt.int32, dt.int64, dt.float32, dt.float64) else dt.float32
    start, end, step = bounds
    made = g.node("Range", *[g.number(each, between) for each in (start or 0, end, step or 1)])
    return made if between is dtype else g.node("Cast", made, to=dtype)


@rule("rand_like", "randn_like")
def _random_like(g: Drawing, call: Call) -> Any:
    kind = "RandomUniformLike" if call.target == "rand_like" else "RandomNormalLike"
    return g.node(kind, call.first, dtype=call.result.dtype)


@rule("rand", "randn")
def _random(g: Drawing, call: Call) -> Any:
    kind = "RandomUniform" if call.target == "rand" else "RandomNormal"
    sizes = _sizes(call.positions)
    if any(isinstance(g.plain(each), Value) for each in sizes):
        like = g.node("Expand", g.scalar(0, call.result.dtype), g.row(sizes))
        return g.node(f"{kind}Like", like, dtype=call.result.dtype)
    return g.node(kind, shape=[g.plain(each) for each in sizes], dtype=call.result.dtype)
