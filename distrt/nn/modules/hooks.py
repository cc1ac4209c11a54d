"""``Hooked``: hooks around forward and backward, and the call of a module that has some."""

from __future__ import annotations

import functools
import weakref
from typing import Any

from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.modules import global_hooks
from distrt.nn.modules.backward_hook import BackwardHook
from distrt.nn.modules.global_hooks import BackwardKind, Hook, Hooks, RemovableHandle, add
from distrt.nn.modules.registration import Registration


class WrappedHook:
    """A hook that is called with its module first, to which it refers weakly."""

    def __init__(self, hook: Hook, module: Any = None) -> None:
        self.hook = hook
        functools.update_wrapper(self, hook)
        self.with_module = module is not None
        self.module: Any = None if module is None else weakref.ref(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the hook.

        Raises:
            RuntimeError: where the module is gone.
        """
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        module = self.module() if self.with_module else None
        return {"hook": self.hook, "with_module": self.with_module, "module": module}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.hook, self.with_module = state["hook"], state["with_module"]
        if self.with_module and state["module"] is None:
            raise RuntimeError("You are trying to revive the hook of a dead Module!")
        self.module = weakref.ref(state["module"]) if self.with_module else None


class Hooked(Registration):
    """Registers hooks, and runs forward between them."""

    _backward_pre_hooks: Hooks
    _backward_hooks: Hooks
    _is_full_backward_hook: bool | None
    _forward_hooks: Hooks
    _forward_hooks_with_kwargs: dict[int, bool]
    _forward_hooks_always_called: dict[int, bool]
    _forward_pre_hooks: Hooks
    _forward_pre_hooks_with_kwargs: dict[int, bool]

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, args)`` before forward; what it returns replaces the positional arguments.

        Args:
            hook: the function.
            prepend: call it before the module's other hooks.
            with_kwargs: call ``hook(module, args, kwargs)``, which returns None or both, changed.
        """
        note = self._forward_pre_hooks_with_kwargs if with_kwargs else None
        return add(self._forward_pre_hooks, hook, note, prepend=prepend)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, args, output)`` after forward; what it returns replaces the output.

        Args:
            hook: the function.
            prepend: call it before the module's other hooks.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: call it also where forward raises.
        """
        notes = (
            self._forward_hooks_with_kwargs if with_kwargs else None,
            self._forward_hooks_always_called if always_call else None,
        )
        return add(self._forward_hooks, hook, *notes, prepend=prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(module, grad_output)`` before the module's backward pass; a tuple returned replaces it.

        While there is such a hook, forward gets, and callers get, views of the tensors, which must not be changed in
        place.
        """
        return add(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are known.

        A tuple that it returns replaces ``grad_input``. Where no input requires grad, it is called when the gradients
        of the outputs are known. Values that are no tensors have None in their place; keyword arguments do not count.
        While there is such a hook, forward gets, and callers get, views of the tensors, which must not be changed in
        place.

        Raises:
            RuntimeError: where the module has a hook of the deprecated kind.
        """
        _choose_backward_kind(self, is_full=True)
        return add(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """The deprecated kind of :meth:`register_full_backward_hook`: it sees the last operation of forward alone.

        Raises:
            RuntimeError: where the module has a full backward hook.
        """
        _choose_backward_kind(self, is_full=False)
        return add(self._backward_hooks, hook)

    def _get_backward_hooks(self) -> tuple[list[Hook], list[Hook]]:
        """The full backward hooks, and those of the deprecated kind."""
        found: tuple[list[Hook], list[Hook]] = ([], [])
        for is_full, hooks in (
            (BackwardKind.is_full, global_hooks._global_backward_hooks),
            (self._is_full_backward_hook, self._backward_hooks),
        ):
            if is_full is not None:
                found[0 if is_full else 1].extend(hooks.values())
        return found

    def _get_backward_pre_hooks(self) -> list[Hook]:
        return [*global_hooks._global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]


def _choose_backward_kind(module: Any, is_full: bool) -> None:
    if module._is_full_backward_hook is (not is_full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only "
            "one of them."
        )
    module._is_full_backward_hook = is_full


def has_hooks(module: Any) -> bool:
    """True where something must be called besides ``forward``."""
    return has_hooks_besides(module, before=0, after=0)


def has_hooks_besides(module: Any, before: int, after: int) -> bool:
    """True where something must be called besides ``forward`` and so many hooks before and after it."""
    return bool(
        len(module._forward_pre_hooks) != before
        or len(module._forward_hooks) != after
        or module._backward_hooks
        or module._backward_pre_hooks
        or global_hooks._global_backward_pre_hooks
        or global_hooks._global_backward_hooks
        or global_hooks._global_forward_hooks
        or global_hooks._global_forward_pre_hooks
    )


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs ``forward`` between all hooks that there are."""
    call = _Call(module, args, kwargs)
    try:
        return call.run()
    except Exception:
        call.run_hooks_that_are_always_called()
        raise


class _Call:
    """One call of a module with hooks."""

    def __init__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module, self.args, self.kwargs = module, args, kwargs
        self.result: Any = None
        self.called: set[int] = set()

    def run(self) -> Any:
        full, last_operation = self.module._get_backward_hooks()
        before_backward = self.module._get_backward_pre_hooks()
        self._before_forward()
        backward = BackwardHook(self.module, full, before_backward) if full or before_backward else None
        if backward is not None:
            self.args = backward.setup_input_hook(self.args)
        self.result = self.module.forward(*self.args, **self.kwargs)
        self._after_forward()
        if backward is not None:
            if not isinstance(self.result, Tensor | tuple):
                warn(
                    "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but "
                    f"received {type(self.result)}"
                )
            self.result = backward.setup_output_hook(self.result)
        if last_operation:
            self._hook_last_operation(last_operation)
        return self.result

    def _before_forward(self) -> None:
        module = self.module
        hooks = {**global_hooks._global_forward_pre_hooks, **module._forward_pre_hooks}
        for number, hook in hooks.items():
            if number not in module._forward_pre_hooks_with_kwargs:
                replaced = hook(module, self.args)
                if replaced is not None:
                    self.args = replaced if isinstance(replaced, tuple) else (replaced,)
                continue
            replaced = hook(module, self.args, self.kwargs)
            if replaced is None:
                continue
            if not (isinstance(replaced, tuple) and len(replaced) == 2):
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
                    f"{replaced}."
                )
            self.args, self.kwargs = replaced

    def _after_forward(self) -> None:
        hooks = {**global_hooks._global_forward_hooks, **self.module._forward_hooks}
        for number, hook in hooks.items():
            self.called.add(number)
            self._call_forward_hook(number, hook)

    def _call_forward_hook(self, number: int, hook: Hook) -> None:
        with_kwargs = (self.module._forward_hooks_with_kwargs, global_hooks._global_forward_hooks_with_kwargs)
        if any(number in each for each in with_kwargs):
            replaced = hook(self.module, self.args, self.kwargs, self.result)
        else:
            replaced = hook(self.module, self.args, self.result)
        if replaced is not None:
            self.result = replaced

    def _hook_last_operation(self, hooks: list[Hook]) -> None:
        found = self.result
        while not isinstance(found, Tensor):
            if isinstance(found, dict):
                found = next(each for each in found.values() if isinstance(each, Tensor))
            else:
                found = found[0]
        if found.grad_fn is None:
            return
        for hook in hooks:
            found.grad_fn.register_hook(WrappedHook(hook, self.module))
        _warn_of_what_is_missed(self.args, self.result, found.grad_fn)

    def run_hooks_that_are_always_called(self) -> None:
        """After forward, or a hook, has raised: those that were not called yet."""
        for kind, hooks, always in (
            (
                "global module",
                global_hooks._global_forward_hooks,
                global_hooks._global_forward_hooks_always_called,
            ),
            ("module", self.module._forward_hooks, self.module._forward_hooks_always_called),
        ):
            for number, hook in tuple(hooks.items()):
                if number not in always or number in self.called:
                    continue
                try:
                    self._call_forward_hook(number, hook)
                except Exception as fault:
                    warn(
                        f"{kind} forward hook with ``always_call=True`` raised an exception that was silenced as "
                        f"another error was raised in forward: {fault}"
                    )


def _warn_of_what_is_missed(args: Any, result: Any, node: Any) -> None:
    """Says which gradients a hook of the deprecated kind will not see."""
    results = (result,) if isinstance(result, Tensor) else result
    inputs = (args,) if isinstance(args, Tensor) else args
    for values, does, what in (
        (results, "return", "grad_output"),
        (inputs, "take as input", "grad_input"),
    ):
        if not (isinstance(values, tuple) and all(isinstance(each, Tensor) for each in values)):
            _warn(
                f"Using non-full backward hooks on a Module that does not {does} a single Tensor or a tuple of "
                "Tensors is deprecated and will be removed in future versions. This hook will be missing some of the "
                f"{what}. Please use register_full_backward_hook to get the documented behavior."
            )
            return
    makers = {each.grad_fn for each in results} - {None}
    if not makers or (len(makers) == 1 and node not in makers):
        _warn(
            "Using a non-full backward hook when outputs are nested in python data structure is deprecated and will "
            "be removed in future versions. This hook will be missing some grad_output."
        )
    elif len(makers) > 1:
        _warn(
            "Using a non-full backward hook when outputs are generated by different autograd Nodes is deprecated and "
            "will be removed in future versions. This hook will be missing some grad_output. Please use "
            "register_full_backward_hook to get the documented behavior."
        )
    elif {each.grad_fn for each in inputs} - {None} != {edge[0] for edge in node.next_functions}:
        _warn(
            "Using a non-full backward hook when the forward contains multiple autograd Nodes is deprecated and will "
            "be removed in future versions. This hook will be missing some grad_input. Please use "
            "register_full_backward_hook to get the documented behavior."
        )


def _warn(text: str) -> None:
    warn(text, FutureWarning)
