"""``out=``: an operation's result, written into a tensor that is there already."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from distrt.core.errors import AutogradError
from distrt.core.gpu.places import at
from distrt.core.modes import modes
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.core.tensors.history import require_kept, require_writeable, write


def write_out(operation: str, result: Any, out: Any) -> Any:
    """Writes ``result`` (a tensor, or several) into ``out``, which gets its size, and returns ``out``.

    Raises:
        TypeError: where ``out`` is no tensor, or not as many as there are results.
        AutogradError: where one of them is in a graph: a result that is written elsewhere has no history.
        DtypeError: where the values do not fit into the dtype of ``out``.
    """
    if isinstance(result, tuple):
        if not isinstance(out, tuple | list) or len(out) != len(result):
            raise TypeError(f"{operation}(): argument 'out' must be a tuple of {len(result)} Tensors")
        written = tuple(write_out(operation, each, into) for each, into in zip(result, out, strict=True))
        named: Any = type(result)
        return written if named is tuple else named(written)
    if not isinstance(out, Tensor):
        raise TypeError(f"{operation}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if result._edge is not None or (out._edge is not None and modes.grad):
        raise AutogradError(
            f"{operation}(): functions with out=... arguments don't support automatic differentiation, but one of "
            "the arguments requires grad."
        )
    require_kept(result, out)
    if result._array.shape != out._array.shape:
        require_writeable(out, is_overwritten=True)
        if out._array.size:
            warn(
                f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does "
                f"not match the required output shape {list(result.shape)}. Resize it to zero elements first."
            )
        with at(result._array):
            out._array = result._array.astype(out._array.dtype)
        return out
    write(out, result._array)
    return out


def require_tensor_beside_out(operation: str) -> TypeError:
    """The error for ``out=`` in a call without any tensor."""
    return TypeError(f"{operation}(): out= needs a Tensor among the other arguments")


def takes_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives ``out=`` to a function that is composed of operations."""

    @functools.wraps(function)
    def with_out(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None:
            return function(*args, **kwargs)
        return write_out(function.__name__, function(*args, **kwargs), out)

    with_out.takes_out = True  # type: ignore[attr-defined]  # for the stubs: the signature is the inner function's
    return with_out
