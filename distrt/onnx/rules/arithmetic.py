"""Arithmetic, comparison and selection of elements."""

from __future__ import annotations

from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.table import Call, Rule, common_dtype, rule

_ARITHMETIC = {"mul": "Mul", "multiply": "Mul", "maximum": "Max", "minimum": "Min"}
_COMPARISONS = {
    "eq": "Equal",
    "ne": "Equal",
    "not_equal": "Equal",
    "lt": "Less",
    "less": "Less",
    "gt": "Greater",
    "greater": "Greater",
    "le": "Less",
    "less_equal": "Less",
    "ge": "Greater",
    "greater_equal": "Greater",
}
_LOGIC = {"and": "And", "or": "Or", "xor": "Xor"}


def _arithmetic(kind: str) -> Rule:
    def draw(g: Drawing, call: Call) -> Any:
        dtype = call.result.dtype
        if dtype is dt.bool_:
            kind_of_bools = {"Mul": "And", "Max": "Or", "Min": "And"}[kind]
            return g.node(kind_of_bools, g.number(call.input, dtype), g.number(call.other, dtype))
        return g.node(kind, g.number(call.input, dtype), g.number(call.other, dtype))

    return draw


for _name, _kind in _ARITHMETIC.items():
    rule(_name)(_arithmetic(_kind))


@rule("fmax", "fmin")
def _fmax(g: Drawing, call: Call) -> Any:
    """The number where the other one is none."""
    dtype = call.result.dtype
    first, second = g.number(call.input, dtype), g.number(call.other, dtype)
    found = g.node("Max" if call.target == "fmax" else "Min", first, second)
    if not dtype.is_floating_point:
        return found
    found = g.node("Where", g.node("IsNaN", second), first, found)
    return g.node("Where", g.node("IsNaN", first), second, found)


@rule("add", "sub", "subtract", "rsub")
def _add(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    first, second = g.number(call.input, dtype), g.number(call.other, dtype)
    if call.target == "rsub":
        first, second = second, first
    if call.get("alpha", 1) != 1:
        second = g.node("Mul", second, g.number(call.alpha, dtype))
    if call.target in ("add", "Tensor.add_"):
        return g.node("Or" if dtype is dt.bool_ else "Add", first, second)
    return g.node("Sub", first, second)


@rule("div", "divide", "true_divide", "floor_divide")
def _div(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    first, second = g.number(call.input, dtype), g.number(call.other, dtype)
    mode = "floor" if "floor" in call.target else call.get("rounding_mode")
    if mode is None:
        return g.node("Div", first, second)
    if dtype.is_floating_point:
        return rounded(g, g.node("Div", first, second), mode, dtype)
    if mode == "floor":  # Div rounds integers toward zero
        first = g.node("Sub", first, g.node("Mod", first, second))
    return g.node("Div", first, second)


def rounded(g: Drawing, value: str, mode: str, dtype: dt.dtype) -> str:
    """A float rounded down, or toward zero."""
    if mode == "floor":
        return g.node("Floor", value)
    return g.node("Mul", g.node("Sign", value), g.node("Floor", g.node("Abs", value)))


@rule("remainder", "fmod")
def _remainder(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    first, second = g.number(call.input, dtype), g.number(call.other, dtype)
    if "fmod" in call.target:
        return g.node("Mod", first, second, fmod=1)
    if not dtype.is_floating_point:
        return g.node("Mod", first, second)
    times = g.node("Floor", g.node("Div", first, second))
    return g.node("Sub", first, g.node("Mul", times, second))


@rule("pow")
def _pow(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    return g.node("Pow", g.number(call.input, dtype), g.number(call.exponent, dtype))


@rule("lerp")
def _lerp(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    way = g.node("Sub", g.number(call.end, dtype), g.number(call.input, dtype))
    return g.node("Add", call.input, g.node("Mul", g.number(call.weight, dtype), way))


@rule("addcmul", "addcdiv")
def _addcmul(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    kind = "Mul" if "mul" in call.target else "Div"
    change = g.node(kind, g.number(call.tensor1, dtype), g.number(call.tensor2, dtype))
    if call.value != 1:
        change = g.node("Mul", change, g.scalar(call.value, dtype))
    return g.node("Add", g.number(call.input, dtype), change)


def _comparison(name: str, kind: str) -> Rule:
    def draw(g: Drawing, call: Call) -> Any:
        dtype = common_dtype(call.input, call.other)
        if dtype is dt.bool_ and kind != "Equal":
            dtype = dt.int32
        first, second = g.number(call.input, dtype), g.number(call.other, dtype)
        return _as_bools(g, call, compare(g, first, second))

    def compare(g: Drawing, first: str, second: str) -> str:
        if name in ("ne", "not_equal"):
            return g.node("Not", g.node(kind, first, second))
        if name not in ("le", "less_equal", "ge", "greater_equal"):
            return g.node(kind, first, second)
        if g.opset >= 12:
            return g.node(f"{kind}OrEqual", first, second)
        return g.node("Or", g.node(kind, first, second), g.node("Equal", first, second))

    return draw


def _as_bools(g: Drawing, call: Call, found: str) -> str:
    """Bools, or, for a form in place, numbers of the tensor's dtype."""
    dtype = call.result.dtype
    return found if dtype is dt.bool_ else g.node("Cast", found, to=dtype)


for _name, _kind in _COMPARISONS.items():
    rule(_name)(_comparison(_name, _kind))


def _logic(kind: str) -> Rule:
    def draw(g: Drawing, call: Call) -> Any:
        if not call.target.startswith("logical") and call.result.dtype is not dt.bool_:
            if g.opset < 18:
                raise g.unsupported(f"{call.target} of integers")
            dtype = call.result.dtype
            return g.node(f"Bitwise{kind}", g.number(call.input, dtype), g.number(call.other, dtype))
        return _as_bools(
            g, call, g.node(kind, g.number(call.input, dt.bool_), g.number(call.other, dt.bool_))
        )

    return draw


for _name, _kind in _LOGIC.items():
    rule(f"logical_{_name}", f"bitwise_{_name}")(_logic(_kind))


@rule("logical_not", "bitwise_not")
def _not(g: Drawing, call: Call) -> Any:
    if call.target == "bitwise_not" and call.result.dtype is not dt.bool_:
        dtype = call.result.dtype
        return g.node("Sub", g.node("Neg", call.input), g.scalar(1, dtype))
    return _as_bools(g, call, g.node("Not", g.number(call.input, dt.bool_)))


@rule("where")
def _where(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    condition = g.number(call.condition, dt.bool_)
    return g.node("Where", condition, g.number(call.input, dtype), g.number(call.other, dtype))


@rule("masked_fill")
def _masked_fill(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    return g.node("Where", call.mask, g.number(call.value, dtype), g.number(call.input, dtype))


@rule("clamp", "clip", "clamp_min", "clamp_max")
def _clamp(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    low, high = call.get("min"), call.get("max")
    return clamped(g, g.number(call.input, dtype), low, high, dtype)


def clamped(g: Drawing, value: str, low: Any, high: Any, dtype: dt.dtype) -> str:
    """Elements not below one bound nor above the other; None is no bound."""
    plain = all(each is None or isinstance(each, int | float) for each in (low, high))
    if plain and (dtype.is_floating_point or g.opset >= 12):
        bounds = [None if each is None else g.scalar(each, dtype) for each in (low, high)]
        return g.node("Clip", value, *bounds)
    for kind, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            value = g.node(kind, value, g.number(bound, dtype))
    return value


@rule("operator.add", "operator.sub", "operator.mul", "operator.floordiv", "operator.mod", "operator.neg")
def _integer(g: Drawing, call: Call) -> Any:
    kind = {"add": "Add", "sub": "Sub", "mul": "Mul", "mod": "Mod"}
    name = call.target.partition(".")[2]
    first = g.number(call.input, dt.int64)
    if name == "neg":
        return g.node("Neg", first)
    second = g.number(call.other, dt.int64)
    if name == "floordiv":
        return g.node("Div", g.node("Sub", first, g.node("Mod", first, second)), second)
    return g.node(kind[name], first, second)


@rule("size")
def _size(g: Drawing, call: Call) -> Any:
    return g.node("Gather", g.node("Shape", call.input), g.scalar(call.other, dt.int64), axis=0)


@rule("Tensor.numel", "Tensor.nelement")
def _numel(g: Drawing, call: Call) -> Any:
    return g.node("Size", call.first)
