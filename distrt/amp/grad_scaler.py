"""``GradScaler``: scales the loss so that float16 gradients do not vanish, and skips the steps in which they overflow.

States, errors and what is saved are PyTorch's. Beyond PyTorch, ranks agree on what has overflowed (``unscaling.py``),
and ``overflow`` tells where.
Source: https://docs.pytorch.org/docs/2.13/amp.html#gradient-scaling
"""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, NoReturn

import numpy as np

from distrt.amp.overflow import Overflow, located
from distrt.amp.unscaling import unscale
from distrt.core.gpu import library
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor, wrap

__all__ = ["GradScaler", "OptState", "Overflow"]

_FIX = "This may indicate your script did not use scaler.scale(loss or outputs) earlier in the iteration."


class OptState(Enum):
    """What has been done with an optimizer since the last ``update``."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh_state() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Multiplies losses by a scale, divides the gradients by it, and adapts it to what overflows.

        scaler.scale(loss).backward()
        scaler.step(optimizer)      # skips the step where a gradient is infinite or NaN
        scaler.update()             # a smaller scale after that; a larger one after growth_interval good steps

    Args:
        device: "cuda" (which warns and disables itself without a GPU) or "cpu".
        init_scale: the first scale.
        growth_factor: by what it grows.
        backoff_factor: by what it shrinks.
        growth_interval: after how many good steps in a row it grows.
        enabled: False makes ``step`` the optimizer's own and everything else do nothing.

    Raises:
        AssertionError: for a growth factor that is not above 1, or a backoff factor that is not below.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        self._overflow: Overflow | None = None
        self._suspected: Callable[[], Overflow | None] | None = None
        if device == "cuda" and enabled and not library.device_count():
            warn("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.")
            self._enabled = False
        if self._enabled:
            if growth_factor <= 1.0:
                raise AssertionError("The growth factor must be > 1.0.")
            if backoff_factor >= 1.0:
                raise AssertionError("The backoff factor must be < 1.0.")
            self._init_scale = init_scale
            self._scale: Tensor | None = None  # both are made at the first call of scale()
            self._growth_factor = growth_factor
            self._backoff_factor = backoff_factor
            self._growth_interval = growth_interval
            self._init_growth_tracker = 0
            self._growth_tracker: Tensor | None = None
            self._per_optimizer_states: dict[int, dict[str, Any]] = defaultdict(_fresh_state)

    # -- one iteration

    def scale(self, outputs: Any) -> Any:
        """A tensor, or each tensor of nested lists, tuples and other iterables, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale_tensor()
        if isinstance(outputs, Iterable):
            scaled = map(self._scaled, outputs)
            return type(outputs)(scaled) if isinstance(outputs, list | tuple) else scaled
        _refuse_outputs()

    def _scaled(self, value: Any) -> Any:
        if not isinstance(value, Tensor | Iterable):
            _refuse_outputs()
        return self.scale(value)

    def unscale_(self, optimizer: Any) -> None:
        """Divides an optimizer's gradients by the scale, and notes whether all of them were finite.

        ``step`` does it itself; call it before where gradients are clipped or looked at.

        Raises:
            RuntimeError: on a second call before ``update``, or after ``step``.
            ValueError: for float16 gradients: parameters are meant to stay in float32.
        """
        if not self._enabled:
            return
        scale, _ = self._require_scale("unscale_")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        factor = float(np.float32(1.0 / float(scale.item())))  # the reciprocal in float64, rounded once
        state["found_inf_per_device"] = self._unscale_grads_(optimizer, factor, allow_fp16=False)
        state["stage"] = OptState.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs ``optimizer.step(*args, **kwargs)`` on unscaled gradients, unless one of them is not finite.

        Raises:
            RuntimeError: for a ``closure``, and on a second call before ``update``.
            AssertionError: where no parameter of the optimizer has a gradient.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._require_scale("step")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            return self._step_that_scales(optimizer, state, args, kwargs)
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        if not state["found_inf_per_device"]:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        returned = self._maybe_opt_step(optimizer, state, *args, **kwargs)
        state["stage"] = OptState.STEPPED
        return returned

    def _maybe_opt_step(
        self, optimizer: Any, optimizer_state: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """The step, unless something has overflowed; subclasses override it to do more."""
        if any(found.item() for found in optimizer_state["found_inf_per_device"].values()):
            self._look_closer()
            return None
        return optimizer.step(*args, **kwargs)

    def _step_that_scales(self, optimizer: Any, state: dict[str, Any], args: Any, kwargs: Any) -> Any:
        """The step of an optimizer that unscales and skips itself: it gets ``grad_scale`` and ``found_inf``."""
        takes_scaler = "grad_scaler" in inspect.signature(optimizer.step).parameters
        if takes_scaler:
            warn(
                "GradScaler is going to stop passing itself as a keyword argument to the passed "
                "optimizer. In the near future GradScaler registers `grad_scale: Tensor` and "
                "`found_inf: Tensor` to the passed optimizer and let the optimizer use them directly.",
                FutureWarning,
            )
            kwargs["grad_scaler"] = self
        else:
            if state["stage"] is OptState.READY:
                self._check_inf_per_device(optimizer)
            given = getattr(optimizer, "grad_scale", None)
            if state["stage"] is not OptState.UNSCALED:
                given = self._scale * (1 if given is None else given)  # type: ignore[operator]
            optimizer.grad_scale = given
            optimizer.found_inf = sum(state["found_inf_per_device"].values())
        returned = optimizer.step(*args, **kwargs)
        state["stage"] = OptState.STEPPED
        if not takes_scaler:
            del optimizer.grad_scale, optimizer.found_inf
        return returned

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapts the scale to what has been found since the last call, or sets it to ``new_scale``.

        Raises:
            AssertionError: before any gradient was looked at, or for a ``new_scale`` of several elements.
        """
        if not self._enabled:
            return
        scale, tracker = self._require_scale("update")
        if new_scale is None:
            self._adapt(scale, tracker)
        elif isinstance(new_scale, float):
            scale.fill_(new_scale)
        else:
            is_fit = (
                new_scale.device.type == self._device
                and new_scale.numel() == 1
                and not new_scale.requires_grad
            )
            if not is_fit:
                raise AssertionError(
                    "new_scale should be a float or a 1-element torch.cuda.FloatTensor or torch.FloatTensor with "
                    "requires_grad=False."
                )
            scale.copy_(new_scale)
        self._per_optimizer_states = defaultdict(_fresh_state)

    def _adapt(self, scale: Tensor, tracker: Tensor) -> None:
        found = [
            each
            for state in self._per_optimizer_states.values()
            for each in state["found_inf_per_device"].values()
        ]
        if not found:
            raise AssertionError("No inf checks were recorded prior to update.")
        if any(each.item() for each in found):
            self._look_closer()
            scale.fill_(scale.item() * self._backoff_factor)
            tracker.fill_(0)
            return
        good_steps = int(tracker.item()) + 1
        if good_steps == self._growth_interval:
            grown = float(np.float32(scale.item() * self._growth_factor))
            if math.isfinite(grown):
                scale.fill_(grown)
            good_steps = 0
        tracker.fill_(good_steps)

    # -- gradients

    def _unscale_grads_(self, optimizer: Any, factor: float, allow_fp16: bool) -> dict[Any, Tensor]:
        """Multiplies the gradients; for each device that has any, a tensor that is 1 where one was not finite."""
        found, place = unscale(optimizer, factor, allow_fp16)
        if place is None:
            return found
        scale = self.get_scale()
        if callable(place):
            self._suspected = lambda: (
                None if (known := place()) is None else located(optimizer, *known, scale)
            )
        else:
            self._overflow = located(optimizer, *place, scale)
        return found

    def _look_closer(self) -> None:
        """Asks the GPU which gradient was not finite, where only that knows."""
        if self._suspected is not None:
            self._overflow = self._suspected() or self._overflow
            self._suspected = None

    @property
    def overflow(self) -> Overflow | None:
        """Where the first gradient that was not finite was, when last there was one; None while there has been none."""
        self._look_closer()
        return self._overflow

    def _check_inf_per_device(self, optimizer: Any) -> dict[Any, Tensor]:
        """Looks at gradients of any dtype without changing them."""
        self._require_scale("_check_inf_per_device")
        found = self._unscale_grads_(optimizer, 1.0, allow_fp16=True)
        self._per_optimizer_states[id(optimizer)]["found_inf_per_device"] = found
        return found

    def _found_inf_per_device(self, optimizer: Any) -> dict[Any, Tensor]:
        found: dict[Any, Tensor] = self._per_optimizer_states[id(optimizer)]["found_inf_per_device"]
        return found

    # -- what it is set to

    def _scale_tensor(self) -> Tensor:
        if self._scale is None:
            self._lazy_init_scale_growth_tracker()
        assert self._scale is not None
        return self._scale

    def _lazy_init_scale_growth_tracker(self, dev: Any = None) -> None:
        if self._growth_tracker is not None:
            raise AssertionError("_growth_tracker initialized before _scale")
        self._scale = wrap(np.array(self._init_scale, np.float32))
        self._growth_tracker = wrap(np.array(self._init_growth_tracker, np.int32))

    def _require_scale(self, function: str) -> tuple[Tensor, Tensor]:
        for name in ("_scale", "_growth_tracker"):
            if getattr(self, name) is None:
                raise AssertionError(f"Attempted {function} but {name} is None.  {_FIX}")
        assert self._scale is not None and self._growth_tracker is not None
        return self._scale, self._growth_tracker

    def get_scale(self) -> float:
        """The scale; 1.0 where scaling is disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        """By what the scale grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets by what the scale grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """By what the scale shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets by what the scale shrinks."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many good steps in a row the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets after how many good steps in a row the scale grows."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        return self._init_growth_tracker if self._growth_tracker is None else int(self._growth_tracker.item())

    def is_enabled(self) -> bool:
        """False where nothing is scaled."""
        return self._enabled

    # -- saving

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors, interval, and the number of good steps in a row; empty where scaling is disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what ``state_dict`` gave.

        Raises:
            RuntimeError: for an empty one.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved "
                "from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        if self._scale is not None:
            self._scale.fill_(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._growth_tracker is not None:
            self._growth_tracker.fill_(state_dict["_growth_tracker"])

    def __getstate__(self) -> dict[str, Any]:
        self._look_closer()
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                raise AssertionError(
                    "A GradScaler instance may only be pickled at the beginning "
                    "of an iteration, or at the end after scaler.update()."
                )
            state.update(
                _init_scale=self.get_scale(),
                _init_growth_tracker=self._get_growth_tracker(),
                _scale=None,
                _growth_tracker=None,
            )
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _refuse_outputs() -> NoReturn:
    raise ValueError("outputs must be a Tensor or an iterable of Tensors")
