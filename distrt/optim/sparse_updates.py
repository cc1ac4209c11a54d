"""How optimizers change a parameter by a sparse gradient: at the places that it gives, and nowhere else.

Only those that PyTorch lets do that; the others refuse. ``passes.apply`` comes here where a gradient is sparse.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import ShapeError
from distrt.core.modes import no_grad
from distrt.core.sparse.array import is_sparse
from distrt.core.sparse.coo import Coo
from distrt.core.tensor import Tensor
from distrt.core.tensors.history import require_writeable
from distrt.core.tensors.versions import note_change
from distrt.optim.rules import Group, State, advance, number

__all__ = ["SPARSE_UPDATES", "change_rows", "refuse_sparse", "update_by_sparse"]


def refuse_sparse(name: str, gradient: Tensor | None) -> None:
    """Raises RuntimeError for a sparse gradient."""
    if gradient is not None and is_sparse(gradient._array):
        advice = ", please consider SparseAdam instead" if name == "Adam" else ""
        raise RuntimeError(f"{name} does not support sparse gradients{advice}")


@no_grad()
def update_by_sparse(name: str, param: Tensor, gradient: Tensor, state: State, group: Group) -> None:
    """Updates one parameter by its sparse gradient.

    Raises:
        RuntimeError: for an optimizer, or an option, that takes none.
    """
    update = SPARSE_UPDATES.get(name)
    if update is None or not isinstance(gradient._array, Coo):
        refuse_sparse(name, gradient)
    assert update is not None
    if group.get("differentiable"):
        raise RuntimeError(f"{name}: differentiable=True does not go with sparse gradients")
    require_writeable(param)
    update(param, gradient, state, group)


def change_rows(tensor: Tensor, places: Coo, change: Array) -> None:
    """Adds to a dense or sparse tensor at the places of a coalesced array."""
    held = tensor._array
    held += places.with_values(change.astype(held.dtype, copy=False))
    note_change(tensor._counter)


def _sgd(param: Tensor, gradient: Tensor, state: State, group: Group) -> None:
    """As for dense gradients; the momentum is a sparse tensor, which knows all places that have ever been given."""
    if group.get("fused"):
        raise RuntimeError("`_fused_sgd` does not support sparse gradients")
    if group["weight_decay"] != 0:
        raise ShapeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    g = -gradient if group["maximize"] else gradient
    momentum = group["momentum"]
    if momentum != 0:
        buffer = state.get("momentum_buffer")
        if buffer is None:
            buffer = state["momentum_buffer"] = g.coalesce().clone()
        else:
            buffer.mul_(momentum).add_(g.coalesce(), alpha=1 - group["dampening"])
        g = g.add(buffer, alpha=momentum) if group["nesterov"] else buffer
    array = g._array
    change_rows(param, array, array.values * array.values.dtype.type(-number(group["lr"])))


def _adagrad(param: Tensor, gradient: Tensor, state: State, group: Group) -> None:
    """Squares are summed up, and steps taken, where the gradient is given."""
    if group.get("fused"):
        raise RuntimeError("`fused` does not support sparse grad or complex param")
    step = advance(state)
    if group["weight_decay"] != 0:
        raise RuntimeError("weight_decay option is not compatible with sparse gradients")
    array = gradient._array.coalesced()
    values = -array.values if group["maximize"] else array.values
    sums, rate = state["sum"], number(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
    change_rows(sums, array, values * values)
    root = np.sqrt(array.read(sums._array))
    kind = values.dtype.type
    change_rows(param, array, values / (root + kind(group["eps"])) * kind(-rate))


#: By the optimizer's name.
SPARSE_UPDATES: dict[str, Callable[[Tensor, Tensor, State, Group], None]] = {"Adagrad": _adagrad, "SGD": _sgd}
