"""The graph in users' hands: nodes, edges, hooks on what is kept, and hooks on several gradients at once."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from distrt.core.autograd import engine, packing
from distrt.core.autograd.node import GraphNode as Node
from distrt.core.autograd.node import RemovableHandle
from distrt.core.autograd.roots import GradientEdge
from distrt.core.errors import AutogradError
from distrt.core.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:  # noqa: N801 - PyTorch's own spelling
    """Inside, what operations keep for backward goes through ``pack_hook``; backward gets it from ``unpack_hook``.

    Args:
        pack_hook: called with each tensor that is to be kept; returns what is kept in its place.
        unpack_hook: called in backward with what the other returned; returns a tensor of the same values.
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        packing.push(self.pack_hook, self.unpack_hook)

    def __exit__(self, *exception: object) -> None:
        packing.pop()


class save_on_cpu(saved_tensors_hooks):  # noqa: N801
    """Keeps copies on the CPU of what operations keep; here all tensors are there already, and copies are kept.

    Args:
        pin_memory: accepted for PyTorch's sake.
        device_type: accepted for PyTorch's sake.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor.clone(), lambda kept: kept)


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, entering ``saved_tensors_hooks`` is an error with this message."""
    before = packing.refuse(error_message)
    try:
        yield
    finally:
        packing.refuse(before)


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The place of a tensor in the graph, which ``backward`` and ``grad`` take instead of it.

    Raises:
        RuntimeError: for a tensor that does not require grad.
    """
    if tensor._edge is None:
        raise AutogradError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients"
        )
    node, number = tensor._edge
    return GradientEdge(node, number)


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Tells autograd that the values were changed in a way that it could not see."""
    for each in [tensor] if isinstance(tensor, Tensor) else tensor:
        each._counter[0] += 1


class _MultiHandle(RemovableHandle):
    def __init__(self, handles: list[RemovableHandle]) -> None:
        super().__init__({}, None)
        self._handles = handles

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: Literal["all", "any"] = "all"
) -> RemovableHandle:
    """Calls ``fn`` in a backward pass when the gradients of all ``tensors`` are known, or with "any" at the first.

    Args:
        tensors: the tensors; what is called with "all" gets one gradient (or None) for each.
        fn: the hook; with "any" it gets the one gradient.
        mode: "all" or "any".

    Raises:
        ValueError: for another mode.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    calls = _Together(tensors, fn) if mode == "all" else _First(fn)
    return _MultiHandle(
        [
            each.register_hook(calls.hook(n))
            for n, each in enumerate(tensors)
            if mode == "all" or each.requires_grad
        ]
    )


class _Together:
    """Collects the gradients of one pass until all have come that it will compute."""

    def __init__(self, tensors: Sequence[Tensor], fn: Callable[..., None]) -> None:
        self._fn = fn
        edges = [each._edge for each in tensors]
        # Weak: the hooks on these nodes lead here.
        self._places = [None if edge is None else (weakref.ref(edge[0]), edge[1]) for edge in edges]
        self._found: dict[Any, list[Any]] = {}  # by pass
        self._waits_for: dict[Any, int] = {}

    def hook(self, number: int) -> Callable[[Any], None]:
        def arrived(gradient: Any) -> None:
            current = engine.running_pass()
            if current not in self._found:
                self._found[current] = [None] * len(self._places)
                self._waits_for[current] = sum(self._will_come(current, place) for place in self._places)
                engine.queue_callback(lambda: self._forget(current))
            self._found[current][number] = gradient
            self._waits_for[current] -= 1
            if not self._waits_for[current]:
                self._fn(self._found[current])

        return arrived

    def _will_come(self, current: Any, place: Any) -> bool:
        node = None if place is None else place[0]()
        return node is not None and current.reaches((node, place[1]))

    def _forget(self, current: Any) -> None:
        del self._found[current], self._waits_for[current]


class _First:
    """Passes on the first gradient of each pass."""

    def __init__(self, fn: Callable[..., None]) -> None:
        self._fn = fn
        self._seen: list[Any] = []

    def hook(self, number: int) -> Callable[[Any], None]:
        def arrived(gradient: Any) -> None:
            current = engine.running_pass()
            if current not in self._seen:
                self._seen.append(current)
                engine.queue_callback(lambda: self._seen.remove(current))
                self._fn(gradient)

        return arrived
