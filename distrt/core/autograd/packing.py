"""Hooks on what is kept for backward: ``saved_tensors_hooks``, and checkpointing, which is made of them.

The innermost pair of hooks is shown every node that is recorded and replaces the arrays it keeps. A node without
packed values is not touched, so that the usual case costs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from distrt.core.arrays import is_array
from distrt.core.autograd.node import FREED, SECOND_TIME, Node
from distrt.core.errors import AutogradError
from distrt.core.modes import modes, no_grad

Pack = Callable[[Any], Any]
Unpack = Callable[[Any], Any]


class _Stack(threading.local):
    """The pairs of hooks that this thread has entered, the innermost last, and why none may be entered."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Pack, Unpack]] = []
        self.refusal: str | None = None


_stack = _Stack()


def push(pack: Pack, unpack: Unpack) -> None:
    """From now on, ``pack(tensor)`` is kept in the place of each tensor, and ``unpack`` makes a tensor of it again.

    Raises:
        AutogradError: where hooks are disabled.
    """
    if _stack.refusal is not None:
        raise AutogradError(_stack.refusal)
    _stack.pairs.append((pack, unpack))
    modes.watch_with("packing", _pack_node)


def pop() -> None:
    """Takes the innermost pair away."""
    _stack.pairs.pop()
    if not _stack.pairs:
        modes.watch_with("packing", None)


def snapshot() -> list[tuple[Pack, Unpack]]:
    """The pairs that this thread is in; another one that goes on in its place takes them with ``restore``."""
    return list(_stack.pairs)


def restore(pairs: list[tuple[Pack, Unpack]]) -> None:
    """Be in these pairs of hooks."""
    _stack.pairs = list(pairs)
    modes.watch_with("packing", _pack_node if pairs else None)


def refuse(message: str | None) -> str | None:
    """Lets ``push`` fail with this message, or work again; returns what held before."""
    before, _stack.refusal = _stack.refusal, message
    if message is not None and _stack.pairs:
        _stack.refusal = before
        raise AutogradError(message)
    return before


def is_active() -> bool:
    """True inside a pair of hooks."""
    return bool(_stack.pairs)


class Packed:
    """What a hook made of a kept array."""

    __slots__ = ("_handle", "_unpack")

    def __init__(self, array: Any) -> None:
        from distrt.core.tensor import wrap_unseen

        pack, self._unpack = _stack.pairs[-1]
        shown = wrap_unseen(array)
        with no_grad():
            self._handle = pack(shown)
        if shown._counter[0]:
            raise AutogradError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can "
                "not be modified by in-place operations as this can lead to unexpected side-effects. Please open an "
                "issue if you need to perform in-place operations on the input to a pack hook."
            )

    def array(self) -> Any:
        """The array that the hook makes of it now."""
        from distrt.core.tensor import Tensor

        unpacked = self._unpack(self._handle)
        if not isinstance(unpacked, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(unpacked).__name__}"
            )
        return unpacked._array


class PackedNode(Node):
    """A node whose kept arrays went through a hook. Their versions are not checked: the hook may have copied them."""

    __slots__ = ()

    def take_saved(self, keep_graph: bool) -> tuple[Any, ...]:
        """The kept values, unpacked; they are let go unless the graph is to be kept.

        Raises:
            AutogradError: when they were let go before.
        """
        saved = self.saved
        if saved is FREED:
            raise AutogradError(SECOND_TIME)
        unpacked = tuple(_each(saved, _is_packed, Packed.array))
        if not keep_graph:
            self.saved = FREED
        return unpacked


def _is_packed(value: Any) -> bool:
    return isinstance(value, Packed)


def _each(values: Any, is_meant: Callable[[Any], bool], change: Callable[[Any], Any]) -> list[Any]:
    """The values, those of one kind changed, also inside lists (the inputs of ``cat``)."""
    return [
        change(value) if is_meant(value) else _each(value, is_meant, change) if type(value) is list else value
        for value in values
    ]


def _pack_node(node: Node) -> None:
    if node.is_custom or not node.saved or not _holds_arrays(node.saved):
        return
    node.saved = tuple(_each(node.saved, is_array, Packed))
    node.counters = ()
    node.stamp = 0
    node.__class__ = PackedNode


def _holds_arrays(values: Any) -> bool:
    return any(is_array(value) or (type(value) is list and _holds_arrays(value)) for value in values)
