"""Changes in place: computed out of place, and written to each rank's part; the tensor goes on lying as it did."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from distrt.core.errors import ShapeError, UnsupportedError
from distrt.core.modes import modes
from distrt.core.overriding.doors import behind
from distrt.core.tensor import Tensor
from distrt.core.tensors.history import adopt, require_no_leaf
from distrt.parallel.distributed_tensors.layout import Layout, everywhere
from distrt.parallel.distributed_tensors.operations.arguments import replaced, tensors_in
from distrt.parallel.distributed_tensors.operations.dispatch import compute, operands_of
from distrt.parallel.distributed_tensors.redistribution import moved

if TYPE_CHECKING:
    from distrt.parallel.distributed_tensors.tensor import DTensor

__all__ = ["change", "is_change", "write_out"]

#: What changes a shape, or where the memory is.
_REFUSED = frozenset(
    "resize_ resize_as_ set_ t_ transpose_ squeeze_ unsqueeze_ swapaxes_ swapdims_ as_strided_".split()
)


def is_change(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a call overwrites its first argument."""
    name = func.__name__
    if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")):
        return True
    if name.startswith("__i") and f"__{name[3:]}" in _AUGMENTED:
        return True
    place = _place_of_flag(func)
    return place is not None and bool(kwargs.get("inplace", args[place] if place < len(args) else False))


_AUGMENTED = frozenset("__and__ __floordiv__ __lshift__ __mod__ __or__ __pow__ __rshift__ __xor__".split())


@cache
def _place_of_flag(func: Callable[..., Any]) -> int | None:
    try:
        names = list(inspect.signature(func).parameters)
    except (TypeError, ValueError):
        return None
    return names.index("inplace") if "inplace" in names else None


def change(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Makes a change in place of the first argument.

    Raises:
        UnsupportedError: the change is of the shape.
    """
    from distrt.parallel.distributed_tensors.tensor import DTensor

    target, name = args[0], func.__name__
    if name in _REFUSED:
        raise UnsupportedError(f"{name}: of a DTensor, shape and memory stay: use {name.rstrip('_')}")
    operands_of(func, tensors_in(args, kwargs))
    if not isinstance(target, DTensor):
        raise RuntimeError(
            f"{name}: a plain tensor cannot be changed by a DTensor: use to_local() or full_tensor()"
        )
    require_no_leaf(target)
    if _is_plain_step(func, target, args, kwargs):
        return _changed_alike(func, target, args, kwargs)
    computed = _out_of_place(func, args, kwargs)
    if tuple(computed.shape) != tuple(target.shape):
        raise ShapeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(computed.shape)}"
        )
    _become(target, computed, name)
    return None if name == "__setitem__" else target


def _become(target: DTensor, computed: DTensor, name: str) -> None:
    local = moved(computed._plain(), computed._layout, target.placements)
    adopt(target, local, name)


#: Changes by numbers and by tensors that lie alike, which need nothing but the parts.
_STEPS = frozenset(
    "add_ sub_ mul_ div_ addcmul_ addcdiv_ lerp_ zero_ clamp_ clamp_min_ clamp_max_ sqrt_ neg_ pow_ exp_ abs_ "
    "reciprocal_ square_ sign_ maximum_ minimum_ masked_fill_ relu_ sigmoid_ tanh_".split()
)
_OF_SUMMANDS = frozenset(("zero_", "neg_"))


def _is_plain_step(func: Callable[..., Any], target: DTensor, args: Sequence[Any], kwargs: Any) -> bool:
    name = func.__name__
    if name not in _STEPS or (target._layout.is_partial and name not in _OF_SUMMANDS):
        return name == "fill_" and not target._layout.is_partial and not tensors_in(args[1:], kwargs)
    others = tensors_in(args[1:], kwargs)
    return all(getattr(each, "_layout", None) == target._layout for each in others)


def _changed_alike(func: Callable[..., Any], target: DTensor, args: Sequence[Any], kwargs: Any) -> DTensor:
    locals_ = iter([each._plain() for each in operands_of(func, [target, *tensors_in(args[1:], kwargs)])[1:]])
    behind(func)(target, *replaced(tuple(args[1:]), locals_), **replaced(kwargs, locals_))
    return target


def _out_of_place(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> DTensor:
    name, place = func.__name__, _place_of_flag(func)
    if place is not None:
        kwargs = {**kwargs, "inplace": False} if "inplace" in kwargs else kwargs
        args = (*args[:place], False, *args[place + 1 :]) if place < len(args) else args
        return compute(func, args, kwargs)  # type: ignore[no-any-return]
    if name in ("zero_", "fill_"):
        import distrt

        return distrt.full_like(args[0], 0 if name == "zero_" else (*args[1:], *kwargs.values())[0])  # type: ignore[return-value]
    if name in ("copy_",):
        return args[1]  # type: ignore[no-any-return]
    plain = getattr(Tensor, f"__{name[3:]}" if name.startswith("__i") else name[:-1], None)
    if plain is not None and name != "__setitem__":
        return compute(plain, args, kwargs)  # type: ignore[no-any-return]
    return _of_whole(func, args, kwargs)


def _of_whole(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> DTensor:
    """Every rank changes a copy of the whole."""
    from distrt.parallel.distributed_tensors.tensor import distributed_like

    operands = operands_of(func, tensors_in(args, kwargs))
    whole = everywhere(operands[0].device_mesh)
    locals_ = [moved(each._plain(), each._layout, whole) for each in operands]
    locals_[0] = first = locals_[0].clone()
    given = iter(locals_)
    func(*replaced(tuple(args), given), **replaced(kwargs, given))
    return distributed_like(first, Layout(operands[0].device_mesh, whole, tuple(first._array.shape)))


def write_out(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A call with ``out=``: the result is written there."""
    from distrt.parallel.distributed_tensors.tensor import DTensor

    out = kwargs["out"]
    if not isinstance(out, DTensor):
        raise UnsupportedError(
            f"{func.__name__}: out= is one DTensor where operands are, got {type(out).__name__}"
        )
    computed = compute(func, args, {name: each for name, each in kwargs.items() if name != "out"})
    if modes.grad and (computed._edge is not None or out._edge is not None):
        raise RuntimeError(
            f"{func.__name__}(): functions with out=... arguments don't support automatic differentiation, but one of "
            "the arguments requires grad."
        )
    if tuple(computed.shape) != tuple(out.shape):
        raise UnsupportedError(
            f"{func.__name__}: out= has shape {tuple(out.shape)}, the result {tuple(computed.shape)}"
        )
    _become(out, computed, func.__name__)
    return out
