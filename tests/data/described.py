"""A batch in terms that both libraries share, so that it can be compared with ``==``."""

from collections.abc import Mapping
from typing import Any


def described(value: Any) -> Any:
    """Structure, container types, dtypes, shapes and values; a tensor of either library becomes a tuple."""
    if hasattr(value, "requires_grad"):
        return "tensor", str(value.dtype).split(".")[-1], tuple(value.shape), value.tolist()
    if isinstance(value, Mapping):
        return type(value), {key: described(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [described(item) for item in value]
    if hasattr(value, "dtype"):
        return type(value), value.dtype, value.tolist()
    return type(value), value
