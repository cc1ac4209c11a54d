"""Operations element by element, with broadcasting."""

from __future__ import annotations

from typing import Any

from distrt.parallel.distributed_tensors.operations.rules import LINEAR, Given, Way, rule, whole
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Replicate, Shard

__all__ = ["aligned", "alike"]


def alike(given: Given) -> list[Way]:
    """Operands that are broadcast to one shape are cut along one of its dims."""
    ndim = max(len(each.shape) for each in given.operands)
    dims = dict.fromkeys(
        each.cut_dim - each.ndim + ndim for each in given.operands if each.cut_dim is not None
    )
    found = [each for dim in dims if (each := _cut_along(given, dim, ndim)) is not None]
    return [*found, whole(given)]


def _cut_along(given: Given, dim: int, ndim: int) -> Way | None:
    length = max(_length(each.shape, dim - ndim) for each in given.operands)
    inputs: list[Placement] = []
    for each in given.operands:
        own = dim - ndim + each.ndim
        is_there = own >= 0 and (each.shape[own] == length or each.shape[own] == 0)
        inputs.append(Shard(own) if is_there else Replicate())
    return Way(tuple(inputs), Shard(dim))


def _length(shape: tuple[int, ...], dim: int) -> int:
    return shape[dim] if -dim <= len(shape) else 1


def aligned(given: Given, op: str) -> list[Way]:
    """All operands are summands, of which the results are summands."""
    if not any(each.placement == Partial(op) for each in given.operands):
        return []
    return [Way((Partial(op),) * len(given.operands), Partial(op))]


@rule(
    "abs absolute acos acosh angle arccos arccosh arcsin arcsinh arctan arctanh arctan2 asin asinh atan atan2 "
    "atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil celu "
    "clamp clamp_max clamp_min clip copysign cos cosh deg2rad digamma elu eq erf erfc erfinv exp exp2 expm1 "
    "fix float_power floor floor_divide fmax fmin fmod frac ge gelu greater greater_equal gt hardshrink "
    "hardsigmoid hardswish hardtanh heaviside hypot i0 invert isclose isfinite isinf isnan isneginf isposinf "
    "isreal ldexp le leaky_relu less less_equal lgamma log log10 log1p log2 logaddexp logaddexp2 logical_and "
    "logical_not logical_or logical_xor logit logsigmoid lt masked_fill maximum minimum mish mvlgamma "
    "nan_to_num ne nextafter not_equal polygamma pow rad2deg reciprocal relu relu6 remainder round rsqrt selu "
    "sgn sigmoid sign signbit silu sin sinc sinh softplus softshrink softsign sqrt square tan tanh tanhshrink "
    "threshold trunc where xlogy addcmul addcdiv lerp conj_physical expit log_ndtr ndtr entr xlog1py erfcx "
    "i0e i1 i1e __and__ __or__ __xor__ __invert__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __abs__ __pow__ "
    "__rpow__ __rand__ __ror__ __rxor__ __floordiv__ __rfloordiv__ __mod__ __rmod__ __rdiv__ __rtruediv__ "
    "__lshift__ __rshift__ __rlshift__ __rrshift__"
)
def pointwise(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    return alike(given)


@rule("add sub subtract rsub __rsub__")
def sums(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    """A sum of summands is a summand. A number would be added by every rank: only an average may have it."""
    ops = LINEAR if len(given.operands) > 1 else ("avg",)
    return [*(way for op in ops for way in aligned(given, op)), *alike(given)]


@rule("mul multiply div divide true_divide __truediv__")
def factors(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    """One factor may be a summand; a divisor may not."""
    if kwargs.get("rounding_mode") is not None:
        return alike(given)
    count = len(given.operands) if given.name.startswith("mul") else 1
    found = []
    for place in range(count):
        placement = given.operands[place].placement
        is_first = args and args[0] is given.operands[place]
        if placement in (Partial("sum"), Partial("avg")) and (is_first or given.name.startswith("mul")):
            inputs = [Replicate() if each != place else placement for each in range(len(given.operands))]
            found.append(Way(tuple(inputs), placement))
    return [*found, *alike(given)]


@rule(
    "neg negative positive to type double float half bfloat16 cdouble cfloat detach clone contiguous __neg__ "
    "__pos__ alias view_as_real cpu cuda type_as conj resolve_conj resolve_neg real imag"
)
def linear(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    if given.name in ("view_as_real", "real", "imag", "type_as"):
        return alike(given)
    return [*(way for op in LINEAR for way in aligned(given, op)), *alike(given)]


@rule("int long short byte char bool")
def rounded(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    return alike(given)


@rule("zeros_like ones_like full_like empty_like")
def made_alike(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    """No values are read: a summand counts as whole."""
    (operand,) = given.operands[:1]
    if isinstance(operand.placement, Partial):
        return [Way((operand.placement,), Replicate())]
    return alike(given)


@rule("new_empty new_full new_ones new_tensor new_zeros")
def made_anew(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    """Of the tensor only the kind counts."""
    return [Way(tuple(each.placement for each in given.operands), Replicate())]
