"""How the methods of PyTorch's process groups read their arguments: each takes several forms, told apart by types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from distrt.comm.functions.coalescing import Joined
from distrt.comm.functions.options import Options
from distrt.comm.reduction import PremulSum, ReduceOp
from distrt.comm.work import Work
from distrt.core.errors import NoKernelError, UnsupportedError
from distrt.core.tensor import Tensor

__all__ = ["bind", "only", "op_of", "row", "sure", "timed", "timeout_of"]


def bind(name: str, forms: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name, of the first form that they fit.

    Args:
        name: the method's, for messages.
        forms: parameters, each "name:kind", with "?" at the end of those that may be left out.
        args, kwargs: what the caller gave.

    Returns:
        what was given; what was left out is not in it.

    Raises:
        TypeError: the arguments fit no form.
    """
    for form in forms:
        found = _fit(form, args, kwargs)
        if found is not None:
            return found
    listed = "\n".join(f"    {number}. {name}({form})" for number, form in enumerate(forms, 1))
    got = [type(each).__name__ for each in args] + [
        f"{key}={type(it).__name__}" for key, it in kwargs.items()
    ]
    raise TypeError(
        f"{name}(): incompatible function arguments. The following argument types are supported:\n{listed}\n"
        f"Invoked with: {', '.join(got) or 'nothing'}"
    )


def _fit(form: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    parameters = [part.strip().partition(":")[::2] for part in form.split(",")] if form else []
    if len(args) > len(parameters):
        return None
    names = [name for name, _ in parameters]
    given = dict(zip(names, args, strict=False))
    if any(key not in names or key in given for key in kwargs):
        return None
    given.update(kwargs)
    for name, kind in parameters:
        if name not in given:
            if not kind.endswith("?"):
                return None
        elif not _KINDS[kind.rstrip("?").strip()](given[name]):
            return None
    return given


def _are_tensors(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, Tensor) for each in value)


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, Tensor)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "Tensor": lambda value: isinstance(value, Tensor),
    "Tensors": _are_tensors,
    "lists of Tensors": lambda value: isinstance(value, list | tuple) and all(map(_are_tensors, value)),
    "ReduceOp": lambda value: isinstance(value, ReduceOp | PremulSum),
    "int": _is_whole,
    "ints": lambda value: isinstance(value, list | tuple) and all(map(_is_whole, value)),
    "bool": lambda value: isinstance(value, bool),
    "timedelta": lambda value: value is None or isinstance(value, timedelta),
    "Options": lambda value: isinstance(value, Options),
}


def only(name: str, tensors: Sequence[Tensor]) -> Tensor:
    """The one tensor of a list: several were once for processes with several GPUs."""
    if not tensors:
        raise NoKernelError(f"{name}: There were no tensor arguments to this function")
    if len(tensors) > 1:
        raise UnsupportedError(f"{name}: expected a list of one tensor, got {len(tensors)}; call it for each")
    return tensors[0]


def row(name: str, rows: Sequence[Sequence[Tensor]]) -> Sequence[Tensor]:
    """The one list of a list of lists; an empty one where a rank has nothing to say."""
    if len(rows) > 1:
        raise UnsupportedError(f"{name}: expected one list of tensors, got {len(rows)}; call it for each")
    return rows[0] if rows else []


def op_of(given: dict[str, Any]) -> Any:
    """The operation that was given, by itself or in the options."""
    return given["op"] if "op" in given else getattr(given.get("opts"), "reduceOp", ReduceOp.SUM)


def timeout_of(given: dict[str, Any]) -> timedelta | None:
    """The time-out that was given, by itself or in the options; None for the group's."""
    options: Options | None = given.get("opts")
    found: timedelta | None = given.get("timeout") if options is None else options.timeout
    return None if found is None or found < timedelta() else found


def timed(work: Work | None, given: dict[str, Any]) -> Work:
    """The work, with the time-out that the caller gave for it."""
    timeout = timeout_of(given)
    if timeout is None:
        return sure(work)
    joined = Joined([sure(work)], timeout)
    joined._result = sure(work)._result
    return joined


def sure(work: Work | None) -> Work:
    """The work of a call with ``async_op=True``."""
    assert work is not None, "async_op=True gives a work"
    return work
