"""``torch._foreach_*``: an operation on every tensor of a list, as optimizers and averages of models use them.

``distrt`` resolves these names here. Each is the method of that name, called for one tensor after another.
Source: the schemas ``aten::_foreach_*``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor
from distrt.core.tensors.formats import preserve_format

__all__ = ["functions"]

_OF_ONE = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round "
    "rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
).split()

#: name -> the method, which takes a number or a tensor.
_OF_TWO = {
    **{name: name for name in "add clamp_max clamp_min div mul pow sub".split()},
    "maximum": "clamp_min",
    "minimum": "clamp_max",
}


def functions() -> dict[str, Callable[..., Any]]:
    """All of them, by name."""
    from distrt.core.tensors import methods  # noqa: F401 - it gives Tensor the methods

    found: dict[str, Callable[..., Any]] = {
        "_foreach_clone": _foreach_clone,
        "_foreach_copy_": _foreach_copy_,
        "_foreach_max": _foreach_max,
        "_foreach_mm": _foreach_mm,
        "_foreach_norm": _foreach_norm,
        "_foreach_zero_": _foreach_zero_,
    }
    for ending in ("", "_"):
        for name in _OF_ONE:
            found[f"_foreach_{name}{ending}"] = _of_one(name, ending)
        for name, method in _OF_TWO.items():
            found[f"_foreach_{name}{ending}"] = _of_two(name, method, ending)
        for name in ("addcdiv", "addcmul"):
            found[f"_foreach_{name}{ending}"] = _of_three(name, ending)
        found[f"_foreach_lerp{ending}"] = _lerp(ending)
    return found


def _of_one(name: str, ending: str) -> Callable[..., Any]:
    method = getattr(Tensor, name + ending)

    def foreach(self: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return _each(name, method, self)

    return _called(foreach, name, ending)


def _of_two(name: str, method_name: str, ending: str) -> Callable[..., Any]:
    method = getattr(Tensor, method_name + ending)

    def foreach(self: Any, *given: Any, alpha: Any = 1, **named: Any) -> tuple[Tensor, ...]:
        (other,) = (*given, *named.values())  # other, scalar, scalars, tensor or exponent
        if name == "pow" and not isinstance(self, list | tuple):
            return tuple([self**each for each in other])
        others = _one_each(name, other, len(self))
        if alpha == 1:
            return _each(name, method, self, others)
        return tuple([method(each, value, alpha=alpha) for each, value in zip(self, others, strict=True)])

    return _called(foreach, name, ending)


def _of_three(name: str, ending: str) -> Callable[..., Any]:
    method = getattr(Tensor, name + ending)

    def foreach(
        self: Sequence[Tensor],
        tensor1: Sequence[Tensor],
        tensor2: Sequence[Tensor],
        value: Any = 1,
        *,
        scalars: Any = None,
    ) -> tuple[Tensor, ...]:
        values = value if scalars is None else scalars
        values = values.tolist() if isinstance(values, Tensor) else values
        listed = _one_each(name, values, len(self))
        _require_as_many(name, self, tensor1, tensor2)
        rows = zip(self, tensor1, tensor2, listed, strict=True)
        return tuple([method(each, first, second, value=factor) for each, first, second, factor in rows])

    return _called(foreach, name, ending)


def _lerp(ending: str) -> Callable[..., Any]:
    method = getattr(Tensor, "lerp" + ending)

    def foreach(self: Sequence[Tensor], tensors1: Sequence[Tensor], weight: Any = None, **named: Any) -> Any:
        weights = named.get("weights", weight)
        return _each("lerp", method, self, tensors1, _one_each("lerp", weights, len(self)))

    return _called(foreach, "lerp", ending)


def _foreach_norm(self: Sequence[Tensor], ord: Any = 2, dtype: Any = None) -> tuple[Tensor, ...]:
    """The norm of each tensor."""
    return tuple([(each if dtype is None else each.to(dtype)).norm(ord) for each in self])


def _foreach_max(self: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The largest element of each tensor."""
    return tuple([each.max() for each in self])


def _foreach_mm(self: Sequence[Tensor], mat2: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The product of each pair of matrices."""
    return _each("mm", Tensor.mm, self, mat2)


def _foreach_clone(self: Sequence[Tensor], *, memory_format: Any = preserve_format) -> tuple[Tensor, ...]:
    """A copy of each tensor."""
    return tuple([each.clone(memory_format=memory_format) for each in self])


def _foreach_copy_(self: Sequence[Tensor], src: Sequence[Tensor], non_blocking: bool = False) -> list[Tensor]:
    """Each tensor takes over another one's values."""
    _require_as_many("copy_", self, src)
    return [each.copy_(source, non_blocking) for each, source in zip(self, src, strict=True)]


def _foreach_zero_(self: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor becomes 0."""
    return [each.zero_() for each in self]


def _each(name: str, method: Callable[..., Tensor], *lists: Sequence[Any]) -> tuple[Tensor, ...]:
    _require_as_many(name, *lists)
    return tuple([method(*row) for row in zip(*lists, strict=True)])


def _one_each(name: str, value: Any, count: int) -> Sequence[Any]:
    """A number or a tensor for each of ``count`` tensors; a sequence is one already."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"scalar tensor expected to be 0 dim but it has {value.ndim} dimensions")
    if isinstance(value, Iterable) and not isinstance(value, Tensor | str):
        listed = tuple(value)
        if len(listed) != count and not isinstance(listed[0], Tensor):
            raise ShapeError("Tensor list must have same number of elements as scalar list.")
        return listed
    if isinstance(value, str):
        raise TypeError(f"_foreach_{name}(): expected numbers or tensors, got {value!r}")
    return (value,) * count


def _require_as_many(name: str, first: Sequence[Any], *others: Sequence[Any]) -> None:
    if not len(first):
        raise ShapeError("Tensor list must have at least one tensor.")
    for each in others:
        if len(each) != len(first):
            raise ShapeError(
                f"_foreach_{name}: Tensor lists must have the same number of tensors, got {len(first)} and {len(each)}"
            )


def _called(function: Callable[..., Any], name: str, ending: str) -> Callable[..., Any]:
    if ending:
        return _called(_in_place(function), name + ending, "")
    function.__name__ = function.__qualname__ = f"_foreach_{name}"
    function.__doc__ = f"``Tensor.{name}`` of every tensor of a list."
    return function


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which returns the tensors as a list."""
    return lambda *given, **named: list(function(*given, **named))
