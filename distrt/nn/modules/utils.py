"""What layers that users write take from PyTorch's path ``nn.modules.utils``: sizes, and names in a state_dict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from distrt.nn.functional.sizes import ntuple


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    """A function of that name, which gives ``n`` times a value, or the elements of what has any."""

    def parse(x: Any) -> tuple[Any, ...]:
        return ntuple(x, n)

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: Any, n: int) -> tuple[Any, ...]:
    """The elements from the last to the first, each ``n`` times: a layer's padding as ``F.pad`` takes it."""
    return tuple(each for each in reversed(t) for _ in range(n))


def _list_with_default(out_size: Any, defaults: list[int]) -> Any:
    """The sizes, with the last of ``defaults`` where there is None."""
    if not isinstance(out_size, Iterable):
        return out_size
    sizes = list(out_size)
    if len(defaults) <= len(sizes):
        raise ValueError(f"Input dimension should be at least {len(sizes) + 1}")
    last = defaults[len(defaults) - len(sizes) :]
    return [default if size is None else size for size, default in zip(sizes, last, strict=True)]


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Takes ``prefix`` off the names in place: what a wrapper saved is loaded without the wrapper."""
    for key in list(state_dict):
        if key.startswith(prefix):
            state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata = getattr(state_dict, "_metadata", {})
    for key in list(metadata):
        if key and (key == prefix.replace(".", "") or key.startswith(prefix)):
            metadata[key[len(prefix) :]] = metadata.pop(key)
