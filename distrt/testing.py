"""Comparisons for tests: ``assert_close`` with the tolerances of the dtypes; ``make_tensor``.

Source: https://pytorch.org/docs/stable/testing.html.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import on_host
from distrt.core.creation import tensor
from distrt.core.creation.arbitrary import make_tensor
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.promotion import promote_types
from distrt.core.ops.pointwise.half import wide
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.core.tensors import methods as methods  # every tensor that is made here has its methods

__all__ = ["assert_allclose", "assert_close", "make_tensor"]

#: (relative, absolute) tolerance by dtype; all others are exact.
_TOLERANCES: dict[dt.dtype, tuple[float, float]] = {
    dt.float16: (1e-3, 1e-5),
    dt.bfloat16: (1.6e-2, 1e-5),
    dt.float32: (1.3e-6, 1e-5),
    dt.float64: (1e-7, 1e-7),
    dt.complex64: (1.3e-6, 1e-5),
    dt.complex128: (1e-7, 1e-7),
}


class _Options(NamedTuple):
    allow_subclasses: bool
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool
    msg: str | Callable[[str], str] | None


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raises unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Tensors, arrays and numbers are compared; sequences and mappings of them element by element.

    Args:
        actual: what came.
        expected: what should have come.
        allow_subclasses: False asks for the same class on both sides.
        rtol: relative tolerance; by default that of the dtypes. It is given together with ``atol`` or not at all.
        atol: absolute tolerance.
        equal_nan: NaN equals NaN.
        check_device: the devices must be equal.
        check_dtype: the dtypes must be equal; otherwise both are promoted.
        check_layout: the layouts must be equal.
        check_stride: the strides must be equal.
        msg: the message of the error, or a function that makes it of the usual one.

    Raises:
        AssertionError: where they differ.
        TypeError: for what cannot be compared.
        ValueError: where only one of the tolerances is given.
    """
    if (rtol is None) != (atol is None):
        given, missing = ("atol", "rtol") if rtol is None else ("rtol", "atol")
        raise ValueError(
            f"rtol and atol must both be specified or both be unspecified, but got no {missing} beside {given}"
        )
    options = _Options(
        allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride, msg
    )
    _compare(actual, expected, options, ())


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """The older form of ``assert_close``: NaN equals NaN, and dtypes, devices and strides may differ."""
    warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12; use `torch.testing.assert_close()` instead.",
        FutureWarning,
    )
    if not isinstance(actual, Tensor):
        actual = tensor(actual)
    if not isinstance(expected, Tensor):
        expected = tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rtol, atol = _tolerances(actual.dtype, expected.dtype)
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=True,
        check_dtype=False,
        check_stride=False,
        msg=msg or None,
    )


def _tolerances(*dtypes: dt.dtype) -> tuple[float, float]:
    found = [_TOLERANCES.get(each, (0.0, 0.0)) for each in dtypes]
    return max(relative for relative, _ in found), max(absolute for _, absolute in found)


# What is compared with what

_Path = tuple[Any, ...]  # the keys that lead to an element


def _compare(actual: Any, expected: Any, options: _Options, path: _Path) -> None:
    if _is_container(actual, Sequence) and _is_container(expected, Sequence):
        _compare_sequences(actual, expected, options, path)
    elif _is_container(actual, Mapping) and _is_container(expected, Mapping):
        _compare_mappings(actual, expected, options, path)
    elif actual is None or expected is None:
        if actual is not expected:
            _fail(f"None mismatch: {actual!r} is not {expected!r}", options, path)
    elif _is_number(actual) and _is_number(expected):
        _compare_numbers(actual, expected, options, path)
    else:
        _compare_tensors(_as_tensor(actual, expected), _as_tensor(expected, actual), options, path)


def _is_container(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, str | bytes)


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | complex | np.generic)


def _as_tensor(value: Any, other: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return tensor(value)
    if _is_number(value):
        return tensor(value)
    raise TypeError(
        f"No comparison pair was able to handle inputs of type {type(value)} and {type(other)}: expected tensors, "
        "arrays, numbers, None, or sequences and mappings of them"
    )


def _compare_sequences(actual: Any, expected: Any, options: _Options, path: _Path) -> None:
    if len(actual) != len(expected):
        _fail(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", options, path)
    for number, pair in enumerate(zip(actual, expected, strict=True)):
        _compare(*pair, options, (*path, number))


def _compare_mappings(actual: Any, expected: Any, options: _Options, path: _Path) -> None:
    if set(actual) != set(expected):
        missing, additional = set(expected) - set(actual), set(actual) - set(expected)
        _fail(
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {sorted(missing, key=str)}\n"
            f"Additional keys in the actual mapping: {sorted(additional, key=str)}",
            options,
            path,
        )
    for key in sorted(actual, key=str):
        _compare(actual[key], expected[key], options, (*path, key))


def _compare_numbers(actual: Any, expected: Any, options: _Options, path: _Path) -> None:
    actual, expected = (each.item() if isinstance(each, np.generic) else each for each in (actual, expected))
    if options.check_dtype and type(actual) is not type(expected):
        _fail(f"The (d)types do not match: {type(actual)} != {type(expected)}.", options, path)
    kinds = {float: dt.float64, complex: dt.complex128}
    dtypes = [kinds.get(type(each), dt.int64) for each in (actual, expected)]
    relative, absolute = _limits(options, *dtypes)
    if actual == expected or (options.equal_nan and actual != actual and expected != expected):
        return
    difference = abs(actual - expected)
    if math.isfinite(abs(expected)) and difference <= absolute + relative * abs(expected):
        return
    _fail(_of_scalars(actual, expected, relative, absolute), options, path)


def _limits(options: _Options, *dtypes: dt.dtype) -> tuple[float, float]:
    if options.rtol is not None and options.atol is not None:
        return options.rtol, options.atol
    return _tolerances(*dtypes)


# Tensors


def _compare_tensors(actual: Tensor, expected: Tensor, options: _Options, path: _Path) -> None:
    if not options.allow_subclasses and type(actual) is not type(expected):
        _fail(f"The types do not match: {type(actual)} != {type(expected)}", options, path)
    _compare_attributes(actual, expected, options, path)
    relative, absolute = _limits(options, actual.dtype, expected.dtype)
    a, b = on_host(actual._array), on_host(expected._array)
    common = promote_types(a.dtype, b.dtype)
    a, b = a.astype(common), b.astype(common)
    is_close = _close(a, b, relative, absolute, options.equal_nan)
    if not is_close.all():
        _fail(_difference(a, b, is_close, relative, absolute), options, path)


def _compare_attributes(actual: Tensor, expected: Tensor, options: _Options, path: _Path) -> None:
    checks: list[tuple[str, bool, Any, Any]] = [
        ("shape", True, actual.shape, expected.shape),
        ("device", options.check_device, actual.device, expected.device),
        ("dtype", options.check_dtype, actual.dtype, expected.dtype),
        ("layout", options.check_layout, actual.layout, expected.layout),
        ("stride()", options.check_stride, actual.stride(), expected.stride()),
    ]
    for name, is_asked, a, b in checks:
        if is_asked and a != b:
            _fail(f"The values for attribute {name!r} do not match: {a} != {b}.", options, path)


def _close(a: Any, b: Any, relative: float, absolute: float, equal_nan: bool) -> Any:
    if a.dtype.kind in "bui":
        if not relative and not absolute:
            return np.asarray(a == b)
        a, b = a.astype(np.float64), b.astype(np.float64)
    limit = _rounded(absolute + _rounded(relative * wide(np.abs(b)), b.dtype), b.dtype)
    close = (a == b) | (np.isfinite(b) & (np.abs(a - b) <= limit))
    if equal_nan:
        close |= np.isnan(a) & np.isnan(b)
    return np.asarray(close)


def _rounded(values: Any, dtype: Any) -> Any:
    """Half precision rounds after every step, as PyTorch's comparison does."""
    return values.astype(dtype) if dtype.itemsize == 2 else values


def _difference(a: Any, b: Any, is_close: Any, relative: float, absolute: float) -> str:
    """How many elements differ, and which the most."""
    is_exact = not relative and not absolute
    verdict = "equal" if is_exact else "close"
    if a.ndim == 0:
        return _of_scalars(wide(a).item(), wide(b).item(), relative, absolute)
    if a.dtype.kind in "bui":
        a, b = a.astype(np.int64), b.astype(np.int64)
    gaps = np.abs(a - b)
    shares = gaps / np.abs(b)
    count = int((~is_close).sum())
    lines = [
        f"Tensor-likes are not {verdict}!\n",
        f"Mismatched elements: {count} / {a.size} ({count / a.size:.1%})",
    ]
    for name, values, limit in (("absolute", gaps, absolute), ("relative", shares, relative)):
        where = np.where(is_close, 0, values).argmax()
        index = tuple(int(each) for each in np.unravel_index(where, a.shape))
        place = index[0] if len(index) == 1 else index
        shown = index if len(index) > 1 else (place,)
        value = wide(values[index]).item()
        lines.append(f"Greatest {name} difference: {value} at index {shown}{_allowed(limit, is_exact)}")
    return "\n".join(lines)


def _of_scalars(a: Any, b: Any, relative: float, absolute: float) -> str:
    is_exact = not relative and not absolute
    gap = abs(a - b)
    share = gap / abs(b) if b else math.inf
    return (
        f"Scalars are not {'equal' if is_exact else 'close'}!\n\nExpected {b} but got {a}.\n"
        f"Absolute difference: {gap}{_allowed(absolute, is_exact)}\n"
        f"Relative difference: {share}{_allowed(relative, is_exact)}"
    )


def _allowed(limit: float, is_exact: bool) -> str:
    return "" if is_exact else f" (up to {limit} allowed)"


def _fail(text: str, options: _Options, path: _Path) -> None:
    if path:
        text += "\n\nThe failure occurred for item " + "".join(f"[{key!r}]" for key in path)
    if options.msg is not None:
        text = options.msg(text) if callable(options.msg) else options.msg
    raise AssertionError(text)
