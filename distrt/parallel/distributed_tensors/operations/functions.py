"""Which functions are no operations: what asks a tensor something, reads its values, or belongs to it as an object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from distrt.core.errors import UnsupportedError
from distrt.core.overriding.dispatch import MODES_ONLY, Level
from distrt.core.overriding.doors import behind
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.distributed_tensors.operations import (  # noqa: F401 - they note their rules
    indexing,
    joining,
    network,
    pointwise,
    products,
    reductions,
    shapes,
)
from distrt.parallel.distributed_tensors.operations.arguments import replaced, tensors_in
from distrt.parallel.distributed_tensors.operations.dispatch import compute, rules_by_function
from distrt.parallel.distributed_tensors.operations.extremes import of_all_elements
from distrt.parallel.distributed_tensors.operations.in_place import change, is_change, write_out

if TYPE_CHECKING:
    pass

__all__ = ["called"]

Call = Callable[[Callable[..., Any], Sequence[Any], dict[str, Any]], Any]

#: Asked of a tensor of the whole size.
_QUESTIONS = (
    "__len__ can_cast dim dim_order element_size get_device is_complex is_contiguous is_floating_point "
    "is_nonzero_size is_same_size is_signed is_tensor ndimension nelement numel promote_types result_type "
    "size stride typename"
)
#: Of the object, or of the memory of its part.
_OF_THE_OBJECT = (
    "__deepcopy__ __reduce_ex__ data_ptr detach_ is_coalesced is_conj is_distributed is_inference is_neg "
    "is_pinned is_set_to is_shared pin_memory record_stream register_hook register_post_accumulate_grad_hook "
    "requires_grad_ retain_grad share_memory_ storage_offset type_name untyped_storage"
)
_REFUSED = {
    "numpy": ".numpy() is not supported for tensor subclasses.",
    "__array__": ".numpy() is not supported for tensor subclasses.",
    "tolist": ".tolist() is not supported for tensor subclasses, got DTensor",
    "as_strided": "as_strided not supported with DTensor",
    "__dlpack__": "a DTensor lies on several ranks: give to_local() or full_tensor()",
}


def called(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a public function gives that has a `DTensor` among its arguments."""
    handler = _handlers().get(func)
    if handler is not None:
        return handler(func, args, kwargs)
    if func.__name__ in ("__get__", "__set__") and func not in rules_by_function():
        with Level(
            MODES_ONLY
        ):  # an attribute of the object, which functions look at only beside other subclasses
            return func(*args, **kwargs)
    if kwargs.get("out") is not None:
        return write_out(func, args, kwargs)
    if is_change(func, args, kwargs):
        return change(func, args, kwargs)
    if func.__name__.startswith("_foreach_"):
        return _one_by_one(func, args, kwargs)
    return compute(func, args, kwargs)


@cache
def _handlers() -> dict[Any, Call]:
    import distrt
    from distrt.nn import functional

    found: dict[Any, Call] = {}

    def note(names: str, handler: Call) -> None:
        for name in names.split():
            for home in (Tensor, distrt, functional, distrt.linalg):
                function = getattr(home, name, None)
                if callable(function):
                    found[function] = handler

    note(_QUESTIONS, _asked)
    note(_OF_THE_OBJECT, _of_the_object)
    note(" ".join(_REFUSED), _refused)
    note("max min norm vector_norm", of_all_elements)
    note("expand_as reshape_as view_as", _shaped_as)
    found[functional.cross_entropy] = _cross_entropy
    return found


def _refused(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    raise RuntimeError(_REFUSED[func.__name__])


def _of_the_object(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    return behind(func)(*args, **kwargs)


def _asked(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    stand_ins = iter([_ghost(each) for each in tensors_in(args, kwargs)])
    return func(*replaced(tuple(args), stand_ins), **replaced(kwargs, stand_ins))


def _ghost(tensor: Any) -> Tensor:
    """A tensor of the size of the whole one, whose dims lie in memory in the order of the part's."""
    from distrt.core.meta.array import made, strides_of

    layout = getattr(tensor, "_layout", None)
    if layout is None:
        return tensor  # type: ignore[no-any-return]
    array = tensor._plain()._array
    order = range(array.ndim)
    if not array.flags.c_contiguous:
        order = sorted(order, key=lambda dim: -array.strides[dim])  # type: ignore[assignment]
    return wrap(made(layout.shape, array.dtype, strides_of(layout.shape, array.itemsize, list(order))))


def _shaped_as(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Of the second tensor only the shape counts."""
    tensor, other = (*args, *kwargs.values())[:2]
    if hasattr(tensor, "_layout"):
        name = {"expand_as": "expand", "reshape_as": "reshape", "view_as": "view"}[func.__name__]
        return getattr(Tensor, name)(tensor, tuple(other.shape))
    return func(tensor, _ghost(other))


def _cross_entropy(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Of logits that are cut by class no rank ever has all classes."""
    logits = args[0] if args else kwargs.get("input")
    layout: Any = getattr(logits, "_layout", None)
    is_by_class = layout is not None and any(dim == min(1, len(layout.shape) - 1) for _, dim in layout.cuts)
    if is_by_class and layout.device_mesh.ndim == 1:
        return behind(func)(*args, **kwargs)
    return compute(func, args, kwargs)


def _one_by_one(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A function of lists, tensor by tensor."""
    method = getattr(Tensor, func.__name__.removeprefix("_foreach_"), None)
    if method is None:
        raise UnsupportedError(f"{func.__name__}: of DTensors: call the operation of one tensor for each")
    count = len(args[0])
    rows = [
        [each[place] if isinstance(each, list | tuple) else each for each in args] for place in range(count)
    ]
    found = [method(*row, **kwargs) for row in rows]
    return None if func.__name__.endswith("_") else found
