"""Functions of single elements: mathematics and activations."""

from __future__ import annotations

import math
from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.arithmetic import clamped, rounded
from distrt.onnx.rules.table import Call, Rule, dim_of, rule

_SAME = "Abs Neg Exp Log Sqrt Reciprocal Floor Ceil Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Erf Sign"
_ALIASES = {
    "Abs": "absolute",
    "Neg": "negative",
    "Asin": "arcsin",
    "Acos": "arccos",
    "Atan": "arctan",
    "Asinh": "arcsinh",
    "Acosh": "arccosh",
    "Atanh": "arctanh",
}


def _unary(kind: str) -> Rule:
    return lambda g, call: g.node(kind, g.number(call.input, call.result.dtype))


for _kind in _SAME.split():
    rule(_kind.lower(), *([_ALIASES[_kind]] if _kind in _ALIASES else []))(_unary(_kind))
rule("sigmoid", "nn.functional.sigmoid")(_unary("Sigmoid"))
rule("tanh", "nn.functional.tanh")(_unary("Tanh"))
rule("relu", "nn.functional.relu", "nn.functional.relu_")(_unary("Relu"))
rule("nn.functional.softsign")(_unary("Softsign"))
rule("nn.functional.selu", "nn.functional.selu_", "selu")(_unary("Selu"))


@rule("isnan", "isinf")
def _is_nan(g: Drawing, call: Call) -> Any:
    return g.node({"isnan": "IsNaN", "isinf": "IsInf"}[call.target], call.input)


@rule("rsqrt")
def _rsqrt(g: Drawing, call: Call) -> Any:
    return g.node("Reciprocal", g.node("Sqrt", g.number(call.input, call.result.dtype)))


@rule("square")
def _square(g: Drawing, call: Call) -> Any:
    return g.node("Mul", call.input, call.input)


@rule("exp2", "expm1", "log1p", "log2", "log10")
def _logarithms(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    x = g.number(call.input, dtype)
    name = call.target.removeprefix("Tensor.").removesuffix("_")
    if name == "exp2":
        return g.node("Pow", g.scalar(2, dtype), x)
    if name == "expm1":
        return g.node("Sub", g.node("Exp", x), g.scalar(1, dtype))
    if name == "log1p":
        return g.node("Log", g.node("Add", x, g.scalar(1, dtype)))
    return g.node("Div", g.node("Log", x), g.scalar(math.log(2 if name == "log2" else 10), dtype))


@rule("round", "trunc", "fix", "frac")
def _round(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    if not dtype.is_floating_point:
        return call.input
    if "round" not in call.target:
        whole = rounded(g, g.name_of(call.input), "trunc", dtype)
        return g.node("Sub", call.input, whole) if "frac" in call.target else whole
    if not call.get("decimals"):
        return g.node("Round", call.input)
    factor = g.scalar(10.0**call.decimals, dtype)
    return g.node("Div", g.node("Round", g.node("Mul", call.input, factor)), factor)


@rule("erfc")
def _erfc(g: Drawing, call: Call) -> Any:
    return g.node("Sub", g.scalar(1, call.result.dtype), g.node("Erf", call.input))


# -- activations


@rule("nn.functional.leaky_relu", "nn.functional.leaky_relu_", "leaky_relu")
def _leaky_relu(g: Drawing, call: Call) -> Any:
    return g.node("LeakyRelu", call.input, alpha=float(call.negative_slope))


@rule("nn.functional.rrelu", "nn.functional.rrelu_")
def _rrelu(g: Drawing, call: Call) -> Any:
    if call.training and call.lower != call.upper:
        raise g.unsupported("a random slope of rrelu in training")
    return g.node("LeakyRelu", call.input, alpha=(float(call.lower) + float(call.upper)) / 2)


@rule("prelu", "nn.functional.prelu")
def _prelu(g: Drawing, call: Call) -> Any:
    rank = len(call.input.shape)
    if rank == 0:
        return g.node("PRelu", call.input, g.reshape(call.weight, []))
    if len(call.weight.shape) == 0 or call.weight.shape[0] == 1 or rank < 3:
        return g.node("PRelu", call.input, call.weight)
    return g.node("PRelu", call.input, g.reshape(call.weight, [-1] + [1] * (rank - 2)))


@rule("nn.functional.elu", "nn.functional.elu_", "elu")
def _elu(g: Drawing, call: Call) -> Any:
    return g.node("Elu", call.input, alpha=float(call.alpha))


@rule("nn.functional.celu", "nn.functional.celu_", "celu")
def _celu(g: Drawing, call: Call) -> Any:
    if call.alpha == 1:
        return g.node("Elu", call.input, alpha=1.0)
    dtype = call.result.dtype
    alpha, zero = g.scalar(call.alpha, dtype), g.scalar(0, dtype)
    grown = g.node("Sub", g.node("Exp", g.node("Div", call.input, alpha)), g.scalar(1, dtype))
    return g.node("Add", g.node("Max", call.input, zero), g.node("Min", g.node("Mul", alpha, grown), zero))


@rule("gelu", "nn.functional.gelu")
def _gelu(g: Drawing, call: Call) -> Any:
    dtype, x = call.result.dtype, g.name_of(call.input)
    if g.opset >= 20:
        return g.node("Gelu", x, approximate=call.approximate)
    if call.approximate == "tanh":
        cube = g.node("Mul", x, g.node("Mul", x, x))
        inner = g.node("Add", x, g.node("Mul", cube, g.scalar(0.044715, dtype)))
        squashed = g.node("Tanh", g.node("Mul", inner, g.scalar(math.sqrt(2 / math.pi), dtype)))
    else:
        squashed = g.node("Erf", g.node("Div", x, g.scalar(math.sqrt(2), dtype)))
    half = g.node("Mul", x, g.node("Add", squashed, g.scalar(1, dtype)))
    return g.node("Mul", half, g.scalar(0.5, dtype))


@rule("nn.functional.silu", "silu")
def _silu(g: Drawing, call: Call) -> Any:
    return g.node("Mul", call.input, g.node("Sigmoid", call.input))


@rule("nn.functional.mish", "mish")
def _mish(g: Drawing, call: Call) -> Any:
    return g.node("Mul", call.input, g.node("Tanh", g.node("Softplus", call.input)))


@rule("nn.functional.hardsigmoid", "hardsigmoid")
def _hardsigmoid(g: Drawing, call: Call) -> Any:
    return g.node("HardSigmoid", call.input, alpha=1 / 6, beta=0.5)


@rule("nn.functional.hardswish", "hardswish")
def _hardswish(g: Drawing, call: Call) -> Any:
    if g.opset >= 14:
        return g.node("HardSwish", call.input)
    return g.node("Mul", call.input, g.node("HardSigmoid", call.input, alpha=1 / 6, beta=0.5))


@rule("nn.functional.hardtanh", "nn.functional.hardtanh_", "hardtanh")
def _hardtanh(g: Drawing, call: Call) -> Any:
    return clamped(g, g.name_of(call.input), call.min_val, call.max_val, call.result.dtype)


@rule("nn.functional.relu6")
def _relu6(g: Drawing, call: Call) -> Any:
    return clamped(g, g.name_of(call.input), 0, 6, call.result.dtype)


@rule("softplus", "nn.functional.softplus")
def _softplus(g: Drawing, call: Call) -> Any:
    dtype, x = call.result.dtype, g.name_of(call.input)
    if call.beta == 1:
        soft = scaled = g.node("Softplus", x)
        scaled = x
    else:
        scaled = g.node("Mul", x, g.scalar(call.beta, dtype))
        soft = g.node("Div", g.node("Softplus", scaled), g.scalar(call.beta, dtype))
    if call.threshold >= 20:  # from there on the two agree to a rounding
        return soft
    return g.node("Where", g.node("Greater", scaled, g.scalar(call.threshold, dtype)), x, soft)


@rule("log_sigmoid", "nn.functional.logsigmoid")
def _log_sigmoid(g: Drawing, call: Call) -> Any:
    return g.node("Neg", g.node("Softplus", g.node("Neg", call.input)))


@rule("nn.functional.tanhshrink")
def _tanhshrink(g: Drawing, call: Call) -> Any:
    return g.node("Sub", call.input, g.node("Tanh", call.input))


@rule("hardshrink", "nn.functional.hardshrink", "softshrink", "nn.functional.softshrink")
def _shrink(g: Drawing, call: Call) -> Any:
    bias = float(call.lambd) if "soft" in call.target else 0.0
    return g.node("Shrink", call.input, lambd=float(call.lambd), bias=bias)


@rule("nn.functional.threshold", "nn.functional.threshold_", "threshold")
def _threshold(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    above = g.node("Greater", call.input, g.scalar(call.threshold, dtype))
    return g.node("Where", above, call.input, g.scalar(call.value, dtype))


@rule("glu", "nn.functional.glu")
def _glu(g: Drawing, call: Call) -> Any:
    dim = dim_of(call.input, call.dim)
    half = g.fixed(call.input, dim, "glu") // 2
    first, second = g.split(call.input, [half, half], dim)
    return g.node("Mul", first, g.node("Sigmoid", second))


# -- softmax


@rule("softmax", "nn.functional.softmax")
def _softmax(g: Drawing, call: Call) -> Any:
    return softmax(g, "Softmax", g.cast(call.input, call.result.dtype), len(call.input.shape), call.dim)


@rule("log_softmax", "nn.functional.log_softmax")
def _log_softmax(g: Drawing, call: Call) -> Any:
    return softmax(g, "LogSoftmax", g.cast(call.input, call.result.dtype), len(call.input.shape), call.dim)


@rule("nn.functional.softmin")
def _softmin(g: Drawing, call: Call) -> Any:
    x = g.node("Neg", g.cast(call.input, call.result.dtype))
    return softmax(g, "Softmax", x, len(call.input.shape), call.dim)


def softmax(g: Drawing, kind: str, value: str, rank: int, dim: Any) -> str:
    """A softmax along a dim; before opset 13, ONNX has it only over all dims from one on."""
    if dim is None:  # the default that PyTorch warns of
        dim = 0 if rank in (0, 1, 3) else 1
    if rank == 0:
        return g.squeeze(g.node(kind, g.unsqueeze(value, 0), axis=0), 0)
    dim %= rank
    if g.opset >= 13 or dim == rank - 1:
        return g.node(kind, value, axis=dim)
    order = [*range(dim), rank - 1, *range(dim + 1, rank - 1), dim]
    return g.node(
        "Transpose", g.node(kind, g.node("Transpose", value, perm=order), axis=rank - 1), perm=order
    )


# -- dropout


@rule("dropout", "nn.functional.dropout")
def _dropout(g: Drawing, call: Call) -> Any:
    if not call.get("training", call.get("train", True)) or not call.p:
        return call.input
    return dropped(g, g.name_of(call.input), float(call.p))


def dropped(g: Drawing, value: str, p: float) -> str:
    """With elements left out at random, and the others scaled.

    Raises:
        UnsupportedOperatorError: before opset 12, where Dropout never drops anything.
    """
    if p == 1:
        return g.node("Sub", value, value)
    if g.opset < 12:
        raise g.unsupported("dropout in training")
    return g.node("Dropout", value, g.scalar(p, dt.float32), g.scalar(True, dt.bool_))


@rule("nn.functional.dropout1d", "nn.functional.dropout2d", "nn.functional.dropout3d")
def _channel_dropout(g: Drawing, call: Call) -> Any:
    if not call.training or not call.p:
        return call.input
    spatial = int(call.target[-2])
    dtype, sizes = call.result.dtype, g.rows_of(call.input)
    channels = g.row([*sizes[: len(sizes) - spatial], *[1] * spatial])
    ones = g.node("Expand", g.scalar(1, dtype), channels)
    return g.node("Mul", call.input, dropped(g, ones, float(call.p)))


@rule("nn.functional.alpha_dropout", "nn.functional.feature_alpha_dropout")
def _alpha_dropout(g: Drawing, call: Call) -> Any:
    if call.training and call.p:
        raise g.unsupported("alpha dropout in training")
    return call.input
