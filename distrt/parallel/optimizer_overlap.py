"""Optimizers that step while gradients are still being averaged: as soon as a bucket is, its parameters are updated."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from distrt import optim
from distrt.comm.futures import Future
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.parallel.bucket import GradBucket
from distrt.parallel.hooks.all_reducing import allreduce_hook, reduced
from distrt.parallel.sharding.option import refuse_steps_in_backward

if TYPE_CHECKING:
    from distrt.parallel.ddp import DistributedDataParallel

__all__ = [
    "FunctionalOptimizer",
    "OptimizerHookState",
    "apply_optimizer_in_backward",
    "as_functional_optim",
    "forget_hooks",
    "functional_optim_map",
    "get_in_backward_optimizers",
    "hook_then_optimizer",
    "overlapped",
    "register_functional_optim",
    "step_in_backward_hook",
    "step_when_averaged",
]

Hook = Callable[[Any, GradBucket], Future[Tensor]]


# -- an optimizer that is handed one parameter and its gradient at a time


class FunctionalOptimizer:
    """An optimizer without a list of parameters, under PyTorch's protocol for these.

    Args:
        optimizer_class: what steps.
        args, kwargs: its arguments.
    """

    def __init__(self, optimizer_class: type[Any], *args: Any, **kwargs: Any) -> None:
        self._class, self._args, self._kwargs = optimizer_class, args, kwargs
        self._optimizers: dict[Tensor, Any] = {}

    def step_param(self, param: Tensor, grad: Tensor | None) -> None:
        """Updates one parameter."""
        if grad is None:
            return
        optimizer = self._optimizers.get(param)
        if optimizer is None:
            optimizer = self._optimizers[param] = self._class([param], *self._args, **self._kwargs)
        held = param._grad
        param._grad = grad
        try:
            optimizer.step()
        finally:
            param._grad = held


def _functional(optimizer_class: type[Any], **defaults: Any) -> Callable[..., FunctionalOptimizer]:
    def make(*args: Any, **kwargs: Any) -> FunctionalOptimizer:
        return FunctionalOptimizer(optimizer_class, *args, **kwargs if args else defaults | kwargs)

    return make


#: What PyTorch has a functional counterpart of; SGD's has another learning rate than SGD where none is given.
functional_optim_map: dict[Any, Callable[..., Any]] = {
    optim.Adagrad: _functional(optim.Adagrad),
    optim.Adam: _functional(optim.Adam),
    optim.AdamW: _functional(optim.AdamW),
    optim.SGD: _functional(optim.SGD, lr=1e-2),
    optim.Adadelta: _functional(optim.Adadelta),
    optim.RMSprop: _functional(optim.RMSprop),
    optim.Rprop: _functional(optim.Rprop),
    optim.Adamax: _functional(optim.Adamax),
}


def register_functional_optim(key: Any, optim: Any) -> None:
    """Have ``as_functional_optim(key)`` make an ``optim``, whose first argument will be an empty list of parameters."""
    functional_optim_map.setdefault(
        key, lambda *args, **kwargs: optim([], *args, **kwargs, _allow_empty_param_list=True)
    )


def as_functional_optim(optim_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """The functional counterpart of an optimizer class, with these arguments.

    Raises:
        ValueError: there is none.
    """
    try:
        make = functional_optim_map[optim_cls]
    except KeyError:
        raise ValueError(f"Optimizer {optim_cls} does not have a functional counterpart!") from None
    return make(*args, **kwargs)


# -- communication hooks that step


class OptimizerHookState:
    """What `hook_then_optimizer` steps with.

    Args:
        functional_optim: has a method ``step_param(param, grad)``.
        params: which parameters; all where None.

    Raises:
        ValueError: it has no such method.
    """

    def __init__(self, functional_optim: Any, params: Iterable[Tensor] | None = None) -> None:
        self.functional_optimizer = functional_optim
        if not hasattr(functional_optim, "step_param"):
            raise ValueError(f"Class {type(functional_optim)} must implement method step_param.")
        if params is not None:
            self.params_to_optimize = set(params)


def hook_then_optimizer(hook: Hook, optimizer_state: OptimizerHookState) -> Hook:
    """A hook that does what ``hook`` does, and then updates the bucket's parameters."""
    chosen: set[Tensor] | None = getattr(optimizer_state, "params_to_optimize", None)

    def hook_then_optimizer_wrapper(hook_state: Any, bucket: GradBucket) -> Future[Tensor]:
        def step(future: Future[Tensor]) -> Tensor:
            future.value()
            for parameter, gradient in zip(bucket.parameters(), bucket.gradients(), strict=True):
                if chosen is None or parameter in chosen:
                    optimizer_state.functional_optimizer.step_param(parameter, gradient)
            return bucket.buffer()

        return hook(hook_state, bucket).then(step)

    return hook_then_optimizer_wrapper


def overlapped(optim_cls: type[Any], params: Iterable[Tensor] | None, args: Any, kwargs: Any) -> Hook:
    """The hook of ``_register_fused_optim``."""
    functional = as_functional_optim(optim_cls, *args, **kwargs)
    return hook_then_optimizer(allreduce_hook, OptimizerHookState(functional, params))


def step_in_backward_hook(state: Any, bucket: GradBucket) -> Future[Tensor]:
    """Averages the bucket, and has the optimizers of `apply_optimizer_in_backward` step.

    Args:
        state: a weak reference to the wrapper.
        bucket: the gradients.
    """
    group = state().process_group

    def step(future: Future[list[Tensor]]) -> Tensor:
        averaged = future.value()[0].div_(group.size())
        for parameter, gradient in zip(bucket.parameters(), bucket.gradients(), strict=True):
            for optimizer in getattr(parameter, "_in_backward_optimizers", ()):
                parameter._grad = gradient
                optimizer.step()
        return averaged

    return reduced(group, bucket.buffer()).then(step)


def step_when_averaged(model: DistributedDataParallel, parameters: Sequence[Any]) -> None:
    """Have the optimizers of `apply_optimizer_in_backward` step when a bucket is averaged; gradients are None then.

    Args:
        model: the wrapper.
        parameters: its parameters; where none has such an optimizer, nothing is done.
    """
    if not forget_hooks(parameters):
        return
    refuse_steps_in_backward(model)
    model.register_comm_hook(weakref.ref(model), step_in_backward_hook)
    stepped = [each for each in parameters if hasattr(each, "_in_backward_optimizers")]

    def forget_gradients() -> None:
        for parameter in stepped:
            parameter.grad = None

    model.reducer.after_pass.append(forget_gradients)


# -- without data parallelism


def apply_optimizer_in_backward(
    optimizer_class: type[Any],
    params: Iterable[Any],
    optimizer_kwargs: dict[str, Any],
    register_hook: bool = True,
) -> None:
    """Have an optimizer of each parameter step as soon as a backward pass has its gradient, which is then None.

    ``DistributedDataParallel`` has them step when a bucket is averaged.

    Args:
        optimizer_class: gets one parameter.
        params: the parameters.
        optimizer_kwargs: further arguments.
        register_hook: False leaves it to the caller when they step.
    """
    for parameter in params:
        optimizer = optimizer_class([parameter], **optimizer_kwargs)
        for name, value in (
            ("_in_backward_optimizers", optimizer),
            ("_optimizer_classes", optimizer_class),
            ("_optimizer_kwargs", optimizer_kwargs),
        ):
            if not hasattr(parameter, name):
                setattr(parameter, name, [])
            getattr(parameter, name).append(value)
        if register_hook:
            optimizer._in_backward_handle = parameter.register_post_accumulate_grad_hook(_step_now)


def _step_now(parameter: Any) -> None:
    for optimizer in parameter._in_backward_optimizers:
        optimizer.step()
    parameter.grad = None


def forget_hooks(parameters: Iterable[Any]) -> bool:
    """Leave it to the caller when the optimizers in backward step; whether there are any."""
    optimizers = [
        each for parameter in parameters for each in getattr(parameter, "_in_backward_optimizers", ())
    ]
    for optimizer in optimizers:
        if (handle := getattr(optimizer, "_in_backward_handle", None)) is not None:
            handle.remove()
    return bool(optimizers)


def get_in_backward_optimizers(module: Module) -> list[Any]:
    """The optimizers that step in backward, of all of a module's parameters: to save their state, not to be called."""
    return [
        each
        for parameter in module.parameters()
        for each in getattr(parameter, "_in_backward_optimizers", ())
    ]
