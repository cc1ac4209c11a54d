"""Watching the forward functions of operations: what counts them, or gives what they gave before in their place.

Below the graph: an operation is recorded all the same. Nothing looks for watchers until the first one comes; then
every operation's forward function is replaced by one that asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from distrt.core import op

#: What runs a forward function in its own way: ``watcher(name, forward, args, kwargs)``.
Watcher = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


class _Thread(threading.local):
    watchers: tuple[Watcher, ...] = ()


_thread = _Thread()


class watched:  # noqa: N801 - reads as what it says: with watched(watcher)
    """For a block, in this thread: forward functions are run by ``watcher``, outside of any other one's."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._outer: list[tuple[Watcher, ...]] = []

    def __enter__(self) -> None:
        op.watch_kernels(_asking)
        self._outer.append(_thread.watchers)
        _thread.watchers = (*_thread.watchers, self._watcher)

    def __exit__(self, *exception: object) -> None:
        _thread.watchers = self._outer.pop()


def _asking(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
    """The forward function that asks this thread's watchers, the innermost first; they are not asked inside of it."""

    def run(*args: Any, **kwargs: Any) -> Any:
        watchers = _thread.watchers
        if not watchers:
            return forward(*args, **kwargs)
        _thread.watchers = ()
        try:
            return _run(watchers, name, forward, args, kwargs)
        finally:
            _thread.watchers = watchers

    return run


#: Operations whose name is not PyTorch's, nor their public function's; or whose overload is not "default".
_NAMES = {
    "_batch_norm": "native_batch_norm",
    "_copied": "copy_",
    "_copy_reshape": "reshape",
    "_fill": "fill_",
    "_group_norm": "native_group_norm",
    "_index_copy": "index.Tensor",
    "_layer_norm": "native_layer_norm",
    "_masked_fill": "masked_fill.Scalar",
    "_matrix_vector": "mv",
    "_max_all": "max",
    "_max_dim": "max.dim",
    "_min_all": "min",
    "_min_dim": "min.dim",
    "_scaled": "native_dropout",
    "_select_view": "select.int",
    "_std": "std.correction",
    "_var": "var.correction",
    "_vector_norm": "linalg_vector_norm",
    "_where": "where.self",
    "attention": "_scaled_dot_product_flash_attention_for_cpu",
    "convolution_input_gradient": "convolution_backward",
    "convolution_weight_gradient": "convolution_backward",
    "log_softmax": "_log_softmax",
    "max_pool2d": "max_pool2d_with_indices",
    "softmax": "_softmax",
    "to_dtype": "_to_copy",
    "transpose": "transpose.int",
    "transposed_convolution": "convolution",
    "true_divide": "div.Tensor",
}
#: Those that PyTorch offers tensors alone: it makes one of a number.
_OF_TENSORS = frozenset("add div mul sub".split())
_BINARY = frozenset("eq ne lt le gt ge remainder fmod".split())


def name_in_pytorch(name: str, args: tuple[Any, ...]) -> tuple[str, str]:
    """What PyTorch calls the kernel of an operation that is given these arrays, and its overload."""
    if name == "_product":
        return "mm" if len(args[0].shape) <= 2 or len(args[1].shape) <= 2 else "bmm", "default"
    if name == "_add_product":
        return "addmm" if len(args[1].shape) == 2 else "baddbmm", "default"
    if name == "linear":
        return "mm" if args[2] is None else "addmm", "default"
    if name in ("gru_layer", "lstm_layer", "rnn_layer"):  # made of its steps' products there
        return "addmm" if any(getattr(each, "ndim", 0) == 1 for each in args) else "mm", "default"
    if name == "sub":
        left, right = (len(getattr(each, "shape", ())) for each in args[:2])
        if not left and right:  # a number in front has become an array
            return "rsub", "Scalar"
    found, _, overload = _NAMES.get(name, name.lstrip("_")).partition(".")
    if name in _OF_TENSORS:
        overload = "Tensor"
    elif name in _BINARY:
        overload = "Tensor" if hasattr(args[1], "shape") else "Scalar"
    elif name == "lerp":
        overload = "Tensor" if hasattr(args[2], "shape") else "Scalar"
    elif name == "pow":
        kinds = ["Tensor" if hasattr(each, "shape") else "Scalar" for each in args[:2]]
        overload = "Scalar" if kinds[0] == "Scalar" else "_".join(kinds)
    elif name in ("sum", "mean") and args[1] is not None:
        overload = "dim_IntList" if name == "sum" else "dim"
    return found, overload or "default"


def _run(watchers: tuple[Watcher, ...], name: str, forward: Any, args: Any, kwargs: Any) -> Any:
    if not watchers:
        return forward(*args, **kwargs)
    *others, innermost = watchers

    def rest(*given: Any, **named: Any) -> Any:
        return _run(tuple(others), name, forward, given, named)

    return innermost(name, rest, args, kwargs)
