"""Selective activation checkpointing: of a checkpointed part, what certain operations give is kept, not computed again.

    context_fn = functools.partial(create_selective_checkpoint_contexts, [torch.ops.aten.mm.default])
    checkpoint(part, x, use_reentrant=False, context_fn=context_fn)

A policy sees the operations' kernels, under PyTorch's internal names. The repetition records the same graph; the
kernels whose results were kept do not run in it.
"""

from __future__ import annotations

import enum
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from distrt.core.errors import AutogradError
from distrt.core.named_ops import OpOverload, OpOverloadPacket, aten
from distrt.core.overriding.kernels import name_in_pytorch, watched
from distrt.core.tensor import wrap

__all__ = ["CheckpointPolicy", "SelectiveCheckpointContext", "create_selective_checkpoint_contexts"]


class CheckpointPolicy(enum.Enum):
    """What to do with an operation's result; nothing overrules a policy here, so MUST and PREFER are the same."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4  #: kept where it is
    PREFER_CPU_OFFLOAD = 5  #: kept where it is


class SelectiveCheckpointContext:
    """What a policy is told of a call.

    Args:
        is_recompute: whether the part is repeated; a policy is asked in the forward pass only.
        op_output: what the operation has given.
    """

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute, self.op_output = is_recompute, op_output


Policy = Callable[..., CheckpointPolicy | bool]


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Policy | Sequence[OpOverload], allow_cache_entry_mutation: bool = False
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The context managers around a part and around its repetition, for ``checkpoint(..., context_fn=...)``.

    Args:
        policy_fn_or_list: ``policy(context, op, *args, **kwargs)`` gives a `CheckpointPolicy`, or True for keeping; or
            a list of the operations whose results are kept.
        allow_cache_entry_mutation: accepted: a copy is kept, which no later change in place can reach.

    Raises:
        ValueError: for an entry of the list that is no overload of an operation.
        TypeError: for what is neither a function nor a list.
        RuntimeError: in a second backward pass.
    """
    kept = _Kept(_policy(policy_fn_or_list))
    return watched(kept.keep), watched(kept.give)


def _policy(given: Any) -> Policy:
    if isinstance(given, list):
        for each in given:
            if not isinstance(each, OpOverload):
                hint = (
                    "Please update the OpOverloadPacket to a specific OpOverload." if _is_packet(each) else ""
                )
                raise ValueError(
                    f"Expected op in `op_list` to be an OpOverload but got: {each} of type {type(each)}. {hint}"
                )
        return lambda context, op, *args, **kwargs: op in given
    if not callable(given):
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    return given  # type: ignore[no-any-return]


def _is_packet(value: Any) -> bool:
    return isinstance(value, OpOverloadPacket)


class _Kept:
    """The results of one part that are kept: by operation, in the order of its calls."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._results: defaultdict[str, deque[Any]] = defaultdict(deque)
        self._keeps_any = False

    def keep(
        self, name: str, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """In the forward pass: runs a kernel, and keeps what the policy wants."""
        made = forward(*args, **kwargs)
        found, overload = name_in_pytorch(name, args)
        packet = getattr(aten, found, None) or OpOverloadPacket("aten", found, forward)
        context = SelectiveCheckpointContext(is_recompute=False, op_output=_shown(made))
        wanted = self._policy(context, getattr(packet, overload), *map(_shown, args), **kwargs)
        is_kept = wanted if isinstance(wanted, bool) else wanted not in _COMPUTED_AGAIN
        self._keeps_any |= is_kept
        self._results[name].append(_copied(made) if is_kept else _NOT_KEPT)
        return made

    def give(
        self, name: str, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """In the repetition: what was kept; a kernel whose result was not runs."""
        results = self._results[name]
        if not results and not self._keeps_any:
            return forward(*args, **kwargs)
        if not results:
            raise AutogradError(
                "Trying to backward an extra time. You are only allowed to backward once on any region computed under "
                "selective activation checkpoint."
            )
        result = results.popleft()
        return forward(*args, **kwargs) if result is _NOT_KEPT else result


_COMPUTED_AGAIN = (CheckpointPolicy.MUST_RECOMPUTE, CheckpointPolicy.PREFER_RECOMPUTE)
_NOT_KEPT = object()


def _shown(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_shown, value))
    return wrap(value) if hasattr(value, "strides") else value


def _copied(made: Any) -> Any:
    if isinstance(made, tuple):
        return tuple(map(_copied, made))
    return made.copy() if hasattr(made, "strides") else made
