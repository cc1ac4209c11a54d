"""Facade: ``torch.autograd.forward_ad``: values with tangents, and the tangent of what is computed with them.

    with forward_ad.dual_level():
        y = f(forward_ad.make_dual(x, tangent))
        jvp = forward_ad.unpack_dual(y).tangent

Tangents do not travel along with values: `unpack_dual` differentiates the recorded operations twice, as ``func.jvp``
does. So operations have to be recorded: not under ``no_grad``, and a custom ``Function`` by its backward, not its jvp.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, NamedTuple

from distrt.core.autograd.node import AccumulateGrad
from distrt.core.autograd.roots import grad
from distrt.core.creation import zeros_like
from distrt.core.modes import decorated, enable_grad
from distrt.core.tensor import Tensor

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """A value, and its tangent; None where it does not depend on any that has one."""

    primal: Tensor
    tangent: Tensor | None


class _Level(threading.local):
    """The level of a thread: the values that have tangents, and these; None outside of it."""

    duals: list[tuple[Tensor, Tensor]] | None = None


_level = _Level()


def enter_dual_level() -> int:
    """Begins a level; returns its number, 0.

    Raises:
        RuntimeError: within a level.
    """
    if _level.duals is not None:
        raise RuntimeError(
            "Nested forward mode AD is not supported at the moment. Forward AD level 0 is entered already: nest "
            "torch.func.jvp instead"
        )
    _level.duals = []
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Ends the level: no value has a tangent any more.

    Raises:
        RuntimeError: outside of a level.
    """
    if _level.duals is None or level not in (None, 0):
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was created.")
    _level.duals = None


class dual_level:  # noqa: N801 - PyTorch's own spelling
    """A level for a block; levels do not nest."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        exit_dual_level()

    def __call__(self, function: Any) -> Any:
        """The function with a level around it."""
        return decorated(function, type(self))


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """The same value, with a tangent.

    Raises:
        RuntimeError: outside of a level, or for a tangent of another size or dtype.
        ValueError: for numbers that are not floating point.
    """
    if _level.duals is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    for name, each in (("primal", tensor), ("tangent", tangent)):
        if not (each.is_floating_point() or each.is_complex()):
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {each.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
            f"supported. Tensor is of size {list(tensor.shape)} while the given forward gradient is of size "
            f"{list(tangent.shape)}."
        )
    if tensor.dtype != tangent.dtype:
        raise RuntimeError(
            f"Expected tangent of {tensor.dtype}, as the primal is, but it is of {tangent.dtype}"
        )
    if unpack_dual(tensor).tangent is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not "
            "supported."
        )
    with enable_grad():
        dual: Tensor = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
    _level.duals.append((dual, tangent))
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """A value that was computed in this level, and its tangent."""
    duals = _level.duals
    if not duals or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    own = next((tangent for dual, tangent in duals if dual is tensor), None)
    keeps_graph = _has_other_leaves(tensor, duals)
    tangent = _tangent(tensor, duals) if own is None else own
    if keeps_graph:
        return UnpackedDualTensor(tensor, tangent)
    return UnpackedDualTensor(tensor.detach(), None if tangent is None else tangent.detach())


def _tangent(tensor: Tensor, duals: list[tuple[Tensor, Tensor]]) -> Tensor | None:
    """The product with a weight is linear in the weight; its derivative is the tangent."""
    with enable_grad():
        weight = zeros_like(tensor).requires_grad_()
        found = grad(
            [tensor],
            [dual for dual, _ in duals],
            [weight],
            create_graph=True,
            retain_graph=True,
            allow_unused=True,
        )
        pairs = [(each, tangent) for each, (_, tangent) in zip(found, duals, strict=True) if each is not None]
        if not pairs:
            return None
        pulled = [(each, tangent) for each, tangent in pairs if each.requires_grad]
        if not pulled:
            return zeros_like(tensor)
        (made,) = grad(
            [each for each, _ in pulled],
            [weight],
            [tangent for _, tangent in pulled],
            create_graph=True,
            retain_graph=True,
            allow_unused=True,
        )
    return zeros_like(tensor) if made is None else made


def _has_other_leaves(tensor: Tensor, duals: list[tuple[Tensor, Tensor]]) -> bool:
    """Whether gradients go anywhere but to values that were made leaves here."""
    ours = {id(dual) for dual, _ in duals if dual.is_leaf}
    if tensor.is_leaf:
        return id(tensor) not in ours
    seen: set[Any] = set()
    waiting = [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, AccumulateGrad):
            if id(node.variable) not in ours:
                return True
        else:
            waiting.extend(each for each, _ in node.next_functions)
    return False
