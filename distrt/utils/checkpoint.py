"""Activation checkpointing: what a part of a model keeps for backward is computed again instead of being kept.

It is made of hooks on what is kept (``core/autograd/packing.py``): the forward pass notes only how many arrays were
kept and of what shape; the first node of the part that runs backward runs the part again and gets them all. The graph
stays as it is, so parameters, keyword arguments, nesting and gradients of any order need no special care. This is
``use_reentrant=False``; the other form is in `distrt.utils.reentrant_checkpoint`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from distrt.core.autograd import complaint, engine, packing
from distrt.core.errors import AutogradError
from distrt.core.modes import is_grad_enabled
from distrt.core.tensor import Tensor, wrap
from distrt.utils.device_states import get_device_states, set_device_states
from distrt.utils.reentrant_checkpoint import CheckpointFunction, check_backward_validity, detach_variable
from distrt.utils.repeating import Circumstances, repeated_in, settings
from distrt.utils.selective_checkpoint import (
    CheckpointPolicy,
    SelectiveCheckpointContext,
    create_selective_checkpoint_contexts,
)

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "CheckpointPolicy",
    "SelectiveCheckpointContext",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "repeated_in",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(AutogradError):
    """A part that does not compute the same thing the second time."""


def noop_context_fn() -> Contexts:
    """Nothing around the forward pass, and nothing around its repetition."""
    return nullcontext(), nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Runs ``function(*args, **kwargs)`` without keeping what its backward pass needs: that is computed again then.

    Args:
        function: the part; it must compute the same thing when it is called again.
        args: its arguments.
        use_reentrant: True: the part is one node of the graph, and a backward pass of its own runs inside of the outer
            one. Then parameters get gradients only where an argument requires one, ``autograd.grad`` is refused, and so
            are keyword arguments. None is False; PyTorch takes True for it, and warns.
        context_fn: gives two context managers, one around the forward pass and one around its repetition.
        determinism_check: "default" compares shapes and dtypes of what was kept, "none" does not.
        debug: accepted.
        early_stop: end the repetition as soon as all that was kept is there.
        kwargs: keyword arguments of ``function``; and ``preserve_rng_state`` (True): repeat the random numbers.

    Raises:
        CheckpointError: in the backward pass, where the repetition does not keep the same.
        ValueError: for an unknown ``determinism_check``; with ``use_reentrant``, for ``context_fn``, ``debug`` and
            keyword arguments.
    """
    preserve_rng_state = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve_rng_state, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], but got {determinism_check}"
        )
    if not is_grad_enabled():
        return function(*args, **kwargs)
    forward_context, recompute_context = context_fn()
    part = _Part(function, args, kwargs, recompute_context, preserve_rng_state)
    part.compares, part.stops_early = determinism_check == "default", early_stop and settings.stops_early
    packing.push(part.note, part.value)
    try:
        with forward_context:
            return function(*args, **kwargs)
    finally:
        packing.pop()


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Runs a list of functions (or a ``Sequential``) one after another, in ``segments`` checkpointed parts.

    The last part is not checkpointed: its backward pass comes first, so nothing would be gained.

    Args:
        functions: modules or functions, or a module whose children they are.
        segments: how many parts.
        input: what the first one gets.
        use_reentrant: as for `checkpoint`.
        kwargs: ``preserve_rng_state``.
    """
    preserve_rng_state = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    listed = list(functions.children() if hasattr(functions, "children") else functions)
    size = len(listed) // segments
    start = 0
    for end in range(size, size * (segments - 1) + 1, size) if size else ():
        input = checkpoint(
            _in_turn(listed[start:end]),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
        start = end
    return _in_turn(listed[start:])(input)


def _in_turn(functions: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        for function in functions:
            value = function(value)
        return value

    return run


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """For a block: whether a repetition ends as soon as all that was kept is there."""
    outer, settings.stops_early = settings.stops_early, enable
    try:
        yield
    finally:
        settings.stops_early = outer


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Accepted; errors name the tensors that differ either way."""
    yield


class _Part:
    """One call of a checkpointed function: how to repeat it, and what its nodes need of the repetition."""

    compares = True
    stops_early = True

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: AbstractContextManager[Any],
        preserve_rng_state: bool,
    ) -> None:
        self._function, self._context = function, context
        self._args = [_Kept(each) if isinstance(each, Tensor) else each for each in args]
        self._kwargs = {
            name: _Kept(each) if isinstance(each, Tensor) else each for name, each in kwargs.items()
        }
        self._circumstances = Circumstances(preserve_rng_state)
        self._kept: list[str] = []  # shape and dtype of each array that the forward pass wanted to keep
        self._recomputed: dict[int, Any] = {}
        self._position = 0

    def note(self, tensor: Tensor) -> int:
        """In the forward pass, for each tensor that is to be kept: keeps its number only."""
        self._kept.append(_described(tensor))
        return len(self._kept) - 1

    def value(self, number: int) -> Tensor:
        """In the backward pass: what was to be kept, from the repetition."""
        if number not in self._recomputed:
            self._repeat()
        return wrap(self._recomputed.pop(number))

    def _repeat(self) -> None:
        self._recomputed.clear()
        self._position = 0
        with self._circumstances.again():
            self._run_again()
        if self._position != len(self._kept):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {len(self._kept)}\nNumber of tensors saved "
                f"during recomputation: {self._position}."
            )
        engine.when_over(self._recomputed.clear)

    def _run_again(self) -> None:
        args = [each.tensor() if isinstance(each, _Kept) else each for each in self._args]
        kwargs = {n: each.tensor() if isinstance(each, _Kept) else each for n, each in self._kwargs.items()}
        packing.push(self._collect, _itself)
        try:
            with self._context:
                self._function(*args, **kwargs)
        except _Enough:
            pass
        finally:
            packing.pop()

    def _collect(self, tensor: Tensor) -> Tensor:
        number = self._position
        if number >= len(self._kept):
            raise CheckpointError(
                "torch.utils.checkpoint: trying to save more tensors during recomputation than during the original "
                "forward pass."
            )
        found = _described(tensor)
        if self.compares and found != self._kept[number]:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
                f"during the forward pass.\ntensor at position {number}:\nsaved metadata: {self._kept[number]}\n"
                f"recomputed metadata: {found}."
            )
        self._recomputed[number] = tensor._array
        self._position += 1
        if self.stops_early and self._position == len(self._kept):
            raise _Enough
        return tensor


class _Enough(Exception):  # noqa: N818 - not an error: it ends a repetition that has given all that was wanted
    """All that the forward pass kept has been computed again."""


class _Kept:
    """A tensor argument. Inside another checkpoint it is that one's to compute again."""

    def __init__(self, tensor: Tensor) -> None:
        self._edge, self._counter = tensor._edge, tensor._counter
        self._version = None if tensor.is_inference() else tensor._version
        self._is_leaf = tensor.is_leaf
        self._kept: Any = tensor
        if not self._is_leaf:  # apart from the tensor, whose place in the graph may come to lead back here
            self._kept = packing.Packed(tensor._array) if packing.is_active() else wrap(tensor._array)

    def tensor(self) -> Tensor:
        if isinstance(self._kept, packing.Packed):
            return wrap(self._kept.array(), self._edge)
        if self._version is not None and self._counter[0] != self._version:
            described = complaint.describe(self._kept._array, self._edge)
            raise complaint.error(described, self._counter[0], self._version)
        return self._kept if self._is_leaf else wrap(self._kept._array, self._edge)


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _described(tensor: Tensor) -> str:
    return f"{{'shape': {tensor.shape}, 'dtype': {tensor.dtype}, 'device': {tensor.device!r}}}"
