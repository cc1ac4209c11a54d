"""L-BFGS: steps by an approximate inverse Hessian, built from the last changes of gradient and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core import ops
from distrt.core.modes import enable_grad, no_grad
from distrt.core.overriding.doors import overridable
from distrt.core.tensor import Tensor
from distrt.optim.elementwise import require, require_one_element
from distrt.optim.line_search import strong_wolfe
from distrt.optim.optimizer import Optimizer, ParamsT

__all__ = ["LBFGS"]

_cat = overridable(ops.cat)

#: What a step keeps for the next, beside its two counts, in the order of PyTorch's state.
_KEPT = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


class LBFGS(Optimizer):
    """Limited-memory BFGS on all parameters as one vector; ``step`` needs a closure, which it calls several times.

    Args:
        params: tensors, in one group.
        lr: the length of a step, or with a line search its first guess.
        max_iter: steps of the method per call of ``step``.
        max_eval: calls of the closure per call of ``step``. Default: 1.25 ``max_iter``.
        tolerance_grad: stop where no element of the gradient is larger.
        tolerance_change: stop where neither parameters nor loss change more.
        history_size: changes to remember.
        line_search_fn: "strong_wolfe", or None for steps of ``lr``.

    Source: Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5, in the form of
    https://pytorch.org/docs/stable/generated/torch.optim.LBFGS.html
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        require(len(self.param_groups) == 1, "LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Any] = self.param_groups[0]["params"]
        self._numel_cache: int | None = None

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:
        """Runs up to ``max_iter`` steps; returns the loss before the first."""
        group = self.param_groups[0]
        # the state is the first parameter's, so that loading gives it that parameter's dtype
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = enable_grad()(closure)()
        state["func_evals"] += 1
        gradient = self._gather_flat_grad()
        if gradient.abs().max() <= group["tolerance_grad"]:
            return first_loss
        kept = {name: state.get(name) for name in _KEPT}
        self._iterate(enable_grad()(closure), float(first_loss), gradient, state, kept)
        state.update(kept)
        return first_loss

    def _iterate(
        self,
        closure: Callable[[], Any],
        loss: Any,
        gradient: Any,
        state: dict[str, Any],
        kept: dict[str, Any],
    ) -> None:
        group = self.param_groups[0]
        lr = group["lr"].squeeze() if isinstance(group["lr"], Tensor) else group["lr"]
        smallest = group["tolerance_change"]
        evaluations = 1
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            self._remember(gradient, state, kept)
            kept["prev_loss"] = loss
            is_first = state["n_iter"] == 1
            step = min(1.0, 1.0 / gradient.abs().sum()) * lr if is_first else lr
            kept["t"] = step
            slope = gradient.dot(kept["d"])
            if slope > -smallest:
                return
            is_last = iteration == group["max_iter"]
            budget = group["max_eval"] - evaluations
            loss, gradient, kept["t"], calls = self._move(
                closure, loss, gradient, kept, slope, budget, is_last
            )
            evaluations += calls
            state["func_evals"] += calls
            if (
                is_last
                or evaluations >= group["max_eval"]
                or gradient.abs().max() <= group["tolerance_grad"]
                or kept["d"].mul(kept["t"]).abs().max() <= smallest
                or abs(loss - kept["prev_loss"]) < smallest
            ):
                return

    def _remember(self, gradient: Any, state: dict[str, Any], kept: dict[str, Any]) -> None:
        """Adds the last change to the memory, and finds the direction of the next step."""
        if state["n_iter"] == 1:
            kept.update(d=gradient.neg(), old_dirs=[], old_stps=[], ro=[], H_diag=1)
        else:
            change, step = gradient.sub(kept["prev_flat_grad"]), kept["d"].mul(kept["t"])
            curvature = change.dot(step)
            if curvature > 1e-10:
                if len(kept["old_dirs"]) == self.param_groups[0]["history_size"]:
                    for name in ("old_dirs", "old_stps", "ro"):
                        kept[name].pop(0)
                kept["old_dirs"].append(change)
                kept["old_stps"].append(step)
                kept["ro"].append(1.0 / curvature)
                kept["H_diag"] = curvature / change.dot(change)
            weights = state.setdefault("al", [None] * self.param_groups[0]["history_size"])
            kept["d"] = _two_loops(gradient, kept, weights)
        if kept["prev_flat_grad"] is None:
            kept["prev_flat_grad"] = gradient.clone()
        else:
            kept["prev_flat_grad"].copy_(gradient)

    def _move(
        self,
        closure: Callable[[], Any],
        loss: Any,
        gradient: Any,
        kept: dict[str, Any],
        slope: Any,
        budget: int,
        is_last: bool,
    ) -> tuple[Any, Any, Any, int]:
        """Goes along the direction; returns loss and gradient there, the step and how often the closure was called.

        Without a line search the closure is not called after the last step: on batches, its loss would be of no use.
        """
        step, direction = kept["t"], kept["d"]
        search = self.param_groups[0]["line_search_fn"]
        if search is None:
            self._add_grad(step, direction)
            if is_last:
                return loss, gradient, step, 0
            return float(closure()), self._gather_flat_grad(), step, 1
        if search != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        start = self._clone_param()

        def at(length: Any) -> tuple[float, Any]:
            return self._directional_evaluate(closure, start, length, direction)

        loss, gradient, step, calls = strong_wolfe(at, step, direction, loss, gradient, slope, max_ls=budget)
        self._add_grad(step, direction)
        return loss, gradient, step, calls

    # -- all parameters as one vector

    def _numel(self) -> int:
        if self._numel_cache is None:
            self._numel_cache = sum(p.numel() * (2 if p.is_complex() else 1) for p in self._params)
        return self._numel_cache

    def _gather_flat_grad(self) -> Any:
        pieces = []
        for param in self._params:
            piece = (
                param.new_zeros(param.numel()) if param.grad is None else param.grad.to_dense().reshape(-1)
            )
            pieces.append(ops.view_as_real(piece).reshape(-1) if piece.is_complex() else piece)
        return _cat(pieces, 0)

    def _add_grad(self, step_size: Any, update: Any) -> None:
        """Goes ``step_size`` times ``update``."""
        offset = 0
        step_size = float(step_size)
        for param in self._params:
            target = ops.view_as_real(param) if param.is_complex() else param
            piece = update[offset : offset + target.numel()]
            target.add_(piece.view_as(target), alpha=step_size)
            offset += target.numel()

    def _clone_param(self) -> list[Any]:
        return [param.clone() for param in self._params]

    def _set_param(self, values: list[Any]) -> None:
        for param, value in zip(self._params, values, strict=True):
            param.copy_(value)

    def _directional_evaluate(
        self, closure: Callable[[], Any], start: list[Any], step_size: Any, direction: Any
    ) -> tuple[float, Any]:
        """Loss and gradient some way along the direction; the parameters are put back."""
        self._add_grad(step_size, direction)
        loss = float(closure())
        gradient = self._gather_flat_grad()
        self._set_param(start)
        return loss, gradient


def _two_loops(gradient: Any, kept: dict[str, Any], weights: list[Any]) -> Any:
    """The inverse Hessian times the negative gradient, newest change first and back again (algorithm 7.4)."""
    changes, steps, inverses = kept["old_dirs"], kept["old_stps"], kept["ro"]
    direction = gradient.neg()
    for i in reversed(range(len(changes))):
        weights[i] = steps[i].dot(direction) * inverses[i]
        direction.add_(changes[i], alpha=-float(weights[i]))
    direction = direction * kept["H_diag"]
    for i in range(len(changes)):
        back = changes[i].dot(direction) * inverses[i]
        direction.add_(steps[i], alpha=float(weights[i] - back))
    return direction
