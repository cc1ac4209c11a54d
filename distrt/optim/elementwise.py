"""``ElementwiseOptimizer``: the step of every optimizer whose update is a rule on single elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from distrt.core.arrays import is_on_gpu
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu.capturing import refuse
from distrt.core.gpu.places import at
from distrt.core.modes import enable_grad, used
from distrt.core.tensor import Tensor, wrap
from distrt.optim.optimizer import Optimizer, _use_grad_for_differentiable
from distrt.optim.passes import apply
from distrt.optim.rules import Rule
from distrt.optim.updating import updaters_of

#: PyTorch's devices whose steps can be captured into a graph, and those with fused kernels, as its messages list them.
CAPTURABLE_DEVICES = ["cuda", "xpu", "hpu", "privateuseone", "xla"]
FUSED_DEVICES = ["mps", "cuda", "xpu", "hpu", "cpu", "mtia", "privateuseone"]


class ElementwiseOptimizer(Optimizer):
    """An optimizer that is a rule and a state per parameter."""

    rule: ClassVar[Rule]
    _leaves_to_updaters: ClassVar[bool] = True
    #: Options that a state may lack that an older PyTorch saved.
    later_options: ClassVar[dict[str, Any]] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }
    #: State that is a number, and a Tensor of no dims since PyTorch 1.12.
    number_names: ClassVar[tuple[str, ...]] = ("step",)
    #: What capturable=True needs on a device of ``capturable_devices``; PyTorch's message says so.
    captured: ClassVar[str] = "params and state_steps"
    capturable_devices: ClassVar[list[str]] = CAPTURABLE_DEVICES

    def start(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Fills the state of a parameter that has none yet, in PyTorch's order."""
        raise NotImplementedError

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; ``closure`` computes the loss anew and is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        updaters = updaters_of(self.param_groups)
        for updater in updaters:
            updater.update(self)
        for group in self.param_groups:
            params = group["params"]
            if updaters:
                params = [param for param in params if param._updater is None]
            params = [param for param in params if param.grad is not None]
            if used.gpu:
                for own in _by_device(params):
                    with at(own[0]._array):
                        self._update(own, group)
            elif params:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Updates parameters of one device, which have gradients."""
        states = [self._prepare(param, group) for param in params]
        if self._may_run(params, group):
            apply(self.rule, params, states, group)

    def _prepare(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter that is about to be updated."""
        state: dict[str, Any] = self.state[param]
        if not state:
            refuse(
                f"the first step of {type(self).__name__}",
                "its state would be made anew at each replay; take one before",
            )
            require_fusible(param, group)
            self.start(param, group, state)
        return state

    def _may_run(self, params: list[Tensor], group: dict[str, Any]) -> bool:
        """`may_run`, with what a GradScaler has left here."""
        scale, overflow = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        gradients = [] if scale is None else [param.grad for param in params if param.grad is not None]
        return may_run(type(self), params, gradients, group, scale, overflow)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self.later_options.items():
                group.setdefault(name, value)
            for param in group["params"]:
                own = self.state.get(param, {})
                for name in self.number_names:
                    if name in own and not isinstance(own[name], Tensor):
                        own[name] = a_number(float(own[name]), group)


def may_run(
    kind: type[ElementwiseOptimizer],
    params: Sequence[Tensor],
    gradients: Sequence[Tensor],
    group: dict[str, Any],
    scale: Tensor | None,
    overflow: Tensor | None,
) -> bool:
    """Checks what PyTorch checks before it updates; False where a GradScaler has found an overflow.

    Args:
        kind: whose step it is.
        params: of one group.
        gradients: theirs, which are divided by ``scale``.
        group: the options.
        scale: what the gradients are to be divided by.
        overflow: whether they have an overflow.

    Raises:
        AssertionError: for capturable=True, which needs an accelerator, and foreach with differentiable.
    """
    if group.get("capturable") and not all(is_on_gpu(param._array) for param in params):
        raise AssertionError(
            f"If capturable=True, {kind.captured} must be on supported devices: {kind.capturable_devices}."
        )
    if group.get("foreach") and group.get("differentiable"):
        raise AssertionError("_foreach ops don't support autograd")
    if overflow is not None and bool(overflow):
        return False
    if scale is not None:
        for gradient in gradients:
            gradient.div_(scale)
    return True


def _by_device(params: list[Tensor]) -> list[list[Tensor]]:
    """The parameters of each device, in their order."""
    found: dict[Any, list[Tensor]] = {}
    for param in params:
        found.setdefault(param.device, []).append(param)
    return list(found.values())


def a_number(value: float, group: dict[str, Any] | None = None) -> Tensor:
    """A Tensor of no dims for a state's number: float32, or float64 where that is the default dtype."""
    is_fused = group is not None and group.get("fused")
    is_double = dt.default.floating is dt.float64 and not is_fused
    return wrap(np.array(value, np.float64 if is_double else np.float32))


def zeros_like(param: Tensor) -> Tensor:
    """Zeros that lie in memory as the parameter does."""
    return param._alike(np.zeros_like(param._array))


def like_gradient(param: Tensor, value: Any) -> Tensor:
    """``value`` everywhere, laid out as autograd lays out a gradient: as the parameter where that leaves no gaps."""
    array = param._array
    order = sorted(range(array.ndim), key=lambda dim: -array.strides[dim])
    if array.transpose(order).flags.c_contiguous:
        return param._alike(np.full_like(array, value))
    return param._alike(np.full(array.shape, value, array.dtype))


def require_fusible(param: Tensor, group: dict[str, Any]) -> None:
    """Raises RuntimeError for a parameter that PyTorch's fused kernels do not take."""
    if group.get("fused") and not param.is_floating_point():
        raise RuntimeError(
            "`fused=True` requires all the params to be floating point Tensors of supported devices: "
            f"{FUSED_DEVICES} but {param.dtype} and {param.device.type}"
        )


def require(holds: Any, message: str) -> None:
    """Raises ValueError with the message where an option is out of its range."""
    if not holds:
        raise ValueError(message)


def require_one_element(lr: Any) -> None:
    """Raises ValueError for a learning rate that is a Tensor of several elements."""
    require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")


def require_fused_alone(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Raises RuntimeError where fused=True meets an option that it excludes."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
