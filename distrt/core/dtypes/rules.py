"""What users ask and set about dtypes: promotion, conversion, and the dtype of Python floats."""

from __future__ import annotations

from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes import promotion

__all__ = [
    "can_cast",
    "get_default_dtype",
    "promote_types",
    "result_type",
    "set_default_dtype",
    "set_default_tensor_type",
]


def get_default_dtype() -> dt.dtype:
    """The dtype of new tensors, and of Python floats among integers."""
    return dt.default.floating


def set_default_dtype(d: Any) -> None:
    """Changes the dtype of new tensors, and of Python floats among integers.

    Raises:
        TypeError: for what is no floating dtype.
    """
    if not isinstance(d, dt.dtype):
        raise TypeError(
            f"invalid dtype object: only floating-point types are supported as the default type, not {d!r}"
        )
    if not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, not {d}")
    dt.default.set(d)


def set_default_tensor_type(t: Any) -> None:
    """As :func:`set_default_dtype` and ``set_default_device``, given a tensor type (``DoubleTensor``) or its name.

    Raises:
        TypeError: for what names no floating dtype, and for a type of tensors on GPUs, without one.
    """
    from distrt.core.device import set_default_device
    from distrt.core.tensors import construct

    if isinstance(t, str):
        name = t.rpartition(".")[2]
        is_on_gpu = t.startswith("torch.cuda.")
        t = construct.CUDA_TYPES.get(name) if is_on_gpu else getattr(construct, name, None)
    kind = getattr(t, "device_type", "cpu")
    if kind != "cpu":
        construct.require_built(t)
    set_default_dtype(getattr(t, "dtype", None))
    set_default_device(kind)


def can_cast(from_: dt.dtype, to: dt.dtype) -> bool:
    """True where values keep their kind: never from complex to real, float to integer, or anything to bool."""
    if to is dt.bool_:
        return from_ is dt.bool_
    return from_.category <= to.category


def promote_types(type1: dt.dtype, type2: dt.dtype) -> dt.dtype:
    """The smallest dtype that both can be converted to without losing their kind."""
    for position, given in enumerate((type1, type2), 1):
        if not isinstance(given, dt.dtype):
            raise TypeError(
                f"promote_types(): argument 'type{position}' (position {position}) must be torch.dtype, not "
                f"{type(given).__name__}"
            )
    return dt.known(promotion.promote_types(type1.numpy, type2.numpy))


def result_type(tensor1: Any, tensor2: Any) -> dt.dtype:
    """The dtype of arithmetic between two tensors or numbers."""
    return dt.known(
        promotion.result_dtype(getattr(tensor1, "_array", tensor1), getattr(tensor2, "_array", tensor2))
    )
