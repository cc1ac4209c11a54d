"""``DTensor``: a rank's part of a tensor that lies on several ranks.

It knows the whole one's shape and how to get it. Functions that users call compute with the whole one, in parts
(``operations/``); the library's own code, such as an optimizer's step, sees the part.

Source: https://docs.pytorch.org/docs/stable/distributed.tensor.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.core.arrays import Array
from distrt.core.autograd.node import RemovableHandle
from distrt.core.errors import AutogradError, UnsupportedError
from distrt.core.modes import modes
from distrt.core.overriding import doors
from distrt.core.overriding.dispatch import disabled
from distrt.core.overriding.doors import behind
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.random_fill import METHODS as RANDOM_FILL
from distrt.core.tensors.size import Size, one_of
from distrt.parallel.distributed_tensors.agreement import agreement_of
from distrt.parallel.distributed_tensors.layout import Layout, everywhere, layout_for
from distrt.parallel.distributed_tensors.losses import cross_entropy_over_ranks
from distrt.parallel.distributed_tensors.norms import norm_over_ranks
from distrt.parallel.distributed_tensors.operations.functions import called
from distrt.parallel.distributed_tensors.parts import drawing, stepping
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Shard
from distrt.parallel.distributed_tensors.redistribution import gradients_of, moved

__all__ = ["DTensor", "distributed", "distributed_like"]


class DTensor(Tensor):
    """This rank's part of a tensor; ``shape`` is that of the whole one."""

    __torch_function__ = disabled  # until the first one is made: then functions look for it

    _layout: Layout
    _gradient: DTensor | None = None

    @property
    def _grad(self) -> DTensor | None:
        """Its gradient, which lies as it does: passes give this rank's part."""
        return self._gradient

    @_grad.setter
    def _grad(self, gradient: Tensor | None) -> None:
        if gradient is not None and not isinstance(gradient, DTensor):
            gradient = self._as_gradient(gradient)
        self._gradient = gradient

    # -- the whole one

    @property
    def shape(self) -> Size:
        """The size of each dim of the whole tensor."""
        return Size(self._layout.shape)

    def size(self, dim: int | None = None) -> Any:
        """The sizes of the whole tensor, or the size of one dim."""
        return self.shape if dim is None else one_of("size", self._layout.shape, dim)

    def numel(self) -> int:
        """The number of elements of the whole tensor."""
        return math.prod(self._layout.shape)

    nelement = numel

    @property
    def placements(self) -> tuple[Placement, ...]:
        """How it lies along each dim of the mesh."""
        return self._layout.placements

    @property
    def device_mesh(self) -> DeviceMesh:
        """The ranks."""
        return self._layout.device_mesh

    def to_local(self, *, grad_placements: Sequence[Placement] | None = None) -> Tensor:
        """This rank's part, as a plain tensor over the same memory; gradients flow through it.

        Args:
            grad_placements: how the gradients of what is returned will lie; as this tensor does where not given.
        """
        local = self._plain()
        if self._edge is None or not modes.grad:
            local._edge = None
            return local
        if self.is_leaf:  # what is returned is none
            local = local.view_as(local)
        return moved(local, self._layout, self.placements, grad_placements)

    def full_tensor(self, *, grad_placements: Sequence[Placement] | None = None) -> Tensor:
        """The whole tensor, on every rank; all ranks call, also in the backward pass.

        Args:
            grad_placements: how the gradients of what is returned will lie: all of them on every rank where not given.
        """
        return moved(self.to_local(), self._layout, everywhere(self.device_mesh), grad_placements)

    @classmethod
    def from_local(
        cls,
        local_tensor: Tensor,
        device_mesh: DeviceMesh,
        placements: Sequence[Placement] | None = None,
        *,
        run_check: bool = False,
        shape: Any = None,
        stride: Any = None,
    ) -> DTensor:
        """The tensor whose part on this rank is given; the parts must be those of ``chunk``, or the shape be given.

        Gradients flow through it: that of a summand is the sum's.
        """
        placed = tuple(placements or everywhere(device_mesh))
        ndim = local_tensor._array.ndim
        placed = tuple(
            replace(each, dim=each.dim % ndim) if isinstance(each, Shard) else each for each in placed
        )
        sizes = list(local_tensor._array.shape if shape is None else shape)
        if shape is None:
            for dim, placement in enumerate(placed):
                if isinstance(placement, Shard):
                    sizes[placement.dim] *= device_mesh.get_group(dim).size()
        return distributed_like(local_tensor, Layout(device_mesh, placed, tuple(sizes)))

    def redistribute(
        self,
        device_mesh: DeviceMesh | None = None,
        placements: Sequence[Placement] | None = None,
        *,
        async_op: bool = False,
        forward_dtype: Any = None,
        backward_dtype: Any = None,
    ) -> DTensor:
        """The same whole tensor, lying in another way; all ranks call, also in the backward pass.

        Args:
            device_mesh: the present one, or None.
            placements: one for each dim of the mesh.
            async_op: accepted: it is there on return.
            forward_dtype: to convert to before.
            backward_dtype: accepted: gradients move in the dtype in which they come.

        Raises:
            RuntimeError: no placements are given, or such that ranks would have summands.
            UnsupportedError: another mesh.
        """
        mesh = self.device_mesh
        if placements is None:
            raise RuntimeError("placements is needed for redistribute!")
        if device_mesh is not None and device_mesh != mesh:
            raise UnsupportedError("redistribute: to another mesh: give full_tensor() to distribute_tensor")
        for old, new in zip(self.placements, placements, strict=False):
            if isinstance(new, Partial) and old != new:
                raise RuntimeError(
                    f"Can not redistribute from {old} to {new}, redistributing to Partial is for internal use only!"
                )
        layout = layout_for("redistribute", mesh, placements, self._layout.shape)
        local = self.to_local() if forward_dtype is None else self.to_local().to(forward_dtype)
        return distributed_like(moved(local, self._layout, layout.placements), layout)

    # -- what keeps its class

    def _plain(self) -> Tensor:
        """This rank's part in the same place of the graph: what operations compute with."""
        local = wrap(self._array)
        local._counter, local._edge = self._counter, self._edge
        return local

    def _like(self, local: Tensor) -> DTensor:
        return distributed_like(local, self._layout)

    def _alike(self, array: Array) -> DTensor:
        """A tensor that lies as this one does, over an array of the size of its part."""
        made: DTensor = distributed(array, self._layout)
        return made

    def detach(self) -> DTensor:
        """The same memory, outside the graph."""
        return self._like(self._plain().detach())

    def clone(self, *, memory_format: Any = None, out: Any = None) -> DTensor:
        """A copy."""
        return self._like(self._plain().clone())

    def cpu(self, *args: Any, **kwargs: Any) -> DTensor:
        """The same with its part on the CPU; itself where it is."""
        if isinstance(self._plain()._array, np.ndarray):
            return self
        return self._like(self._plain().cpu(*args, **kwargs))

    def cuda(self, *args: Any, **kwargs: Any) -> DTensor:
        """The same with its part on a GPU."""
        return self._like(self._plain().cuda(*args, **kwargs))

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """In another dtype, or on another device."""
        args = tuple(each._plain() if isinstance(each, DTensor) else each for each in args)
        local = self._plain()
        changed = local.to(*args, **kwargs)
        if changed is local:
            return self
        if self._layout.is_partial and not changed.is_floating_point():
            return self.redistribute(placements=everywhere(self.device_mesh)).to(*args, **kwargs)
        return self._like(changed)

    def _whole(self) -> Tensor:
        return self.full_tensor()

    @property
    def _agreement(self) -> Any:
        """How ranks with other parts agree on an overflow in a gradient: see ``distrt.amp.agreement``."""
        return agreement_of(self._layout.groups) if self._layout.is_cut else None

    def _as_root(self, gradient: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return _root_of(self, gradient)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Calls ``hook(gradient)`` with a gradient that lies as this tensor does; what it returns replaces it."""
        layout = self._layout_of_gradient()

        def with_layout(gradient: Tensor) -> Tensor | None:
            found = hook(distributed_like(gradient, layout))
            return (
                found.redistribute(placements=layout.placements)._plain()
                if isinstance(found, DTensor)
                else found
            )

        return super().register_hook(with_layout)

    def _layout_of_gradient(self) -> Layout:
        layout = self._layout
        return Layout(layout.device_mesh, gradients_of(layout.placements), layout.shape)

    def _as_gradient(self, gradient: Tensor) -> DTensor:
        """What a pass has found for this tensor, which lies as it does."""
        return distributed_like(gradient, self._layout_of_gradient())

    def as_subclass(self, cls: type[Tensor]) -> Any:
        """The same memory as an object of another class; the layout stays."""
        made = super().as_subclass(cls)
        if issubclass(cls, DTensor):
            made._layout = self._layout
        return made

    @property
    def data(self) -> DTensor:
        """The same memory, outside the graph and outside the check on in-place changes."""
        return self._like(wrap(self._array))

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        self._array = value._array

    def copy_(self, src: Any, non_blocking: bool = False) -> DTensor:
        """Take over the values of another one, or this rank's part of a whole tensor."""
        if isinstance(src, DTensor) and src._layout != self._layout:
            if src._layout.shape != self._layout.shape:
                src = called(Tensor.broadcast_to, (src, self._layout.shape), {})
            src = src.redistribute(placements=self.placements)
        elif (
            isinstance(src, Tensor)
            and not isinstance(src, DTensor)
            and tuple(src.shape) == self._layout.shape
        ):
            src = wrap(self._layout.mine(src._array))
        behind(Tensor.copy_)(self, src._plain() if isinstance(src, DTensor) else src, non_blocking)
        return self

    @staticmethod
    def _norm_over_ranks(tensors: Sequence[Tensor], order: float) -> DTensor:
        """The norm of all elements of all tensors, of which ranks have parts; all ranks call."""
        total: DTensor = norm_over_ranks(tensors, order)
        return total

    def _cross_entropy_over_ranks(
        self, target: Tensor, weight: Tensor | None, *settings: Any
    ) -> DTensor | None:
        """The cross entropy of these logits, where they are cut by class; else None."""
        if not self._layout.is_cut or self._layout.dim != min(1, len(self._layout.shape) - 1):
            return None
        target = target.to_local() if isinstance(target, DTensor) else target
        weight = weight.to_local() if isinstance(weight, DTensor) else weight
        found = cross_entropy_over_ranks(self.to_local(), self._layout, target, weight, *settings)
        return distributed_like(
            found, Layout(self.device_mesh, everywhere(self.device_mesh), tuple(found.shape))
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> DTensor:
        """A copy of the part, in the same place."""
        if id(self) not in memo:
            made = distributed(self._array.copy(), self._layout)
            if getattr(self, "_is_param", False):
                made._is_param = True
            memo[id(self)] = made.requires_grad_(self.requires_grad)
        return memo[id(self)]  # type: ignore[no-any-return]

    def _described(self) -> tuple[Any, ...]:
        """What `from_description` makes it of again, in plain values: for files."""
        mesh = self.device_mesh
        placed = [(type(each).__name__, *vars(each).values()) for each in self.placements]
        # A copy: the part may lie in memory that all ranks' parts are in.
        local = wrap(self._array.copy()).requires_grad_(self.requires_grad)
        is_parameter = bool(getattr(self, "_is_param", False))
        names = None if mesh.mesh_dim_names is None else list(mesh.mesh_dim_names)
        return local, mesh.mesh.tolist(), names, placed, list(self._layout.shape), is_parameter

    def __repr__(self, *, tensor_contents: str | None = None) -> str:  # type: ignore[override]
        return (
            f"DTensor(local_tensor={self.to_local().detach()!r}, device_mesh={self.device_mesh!r}, "
            f"placements={self.placements!r})"
        )


@classmethod  # type: ignore[misc]
def _taking_over(
    cls: type[DTensor], func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
) -> Any:
    """Computes what a public function gives that has such a tensor among its arguments."""
    return called(func, args, kwargs or {})


DTensor.__module__ = "distrt.distributed.tensor"
DTensor.__torch_function__ = _taking_over
for _name in RANDOM_FILL:
    setattr(DTensor, _name, drawing(_name))
for _name in ("add_", "div_", "mul_", "sub_", "zero_"):
    setattr(DTensor, _name, stepping(_name))


def distributed(local: Array, layout: Layout) -> Any:
    """The tensor with this part."""
    doors.open_all()
    made: DTensor = object.__new__(DTensor)
    made._counter, made._layout = [0], layout
    made._array = local
    return made


def distributed_like(local: Tensor, layout: Layout) -> DTensor:
    """The tensor whose part on this rank is given, with its place in the graph and its version."""
    made: DTensor = distributed(local._array, layout)
    made._counter = local._counter
    if local._edge is not None:
        made._edge = local._edge
    return made


def _root_of(root: DTensor, gradient: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """This rank's part of where a pass starts, and of its gradient."""
    local = root._plain()
    if gradient is None:
        if root.numel() != 1:
            raise AutogradError(
                f"grad can be implicitly created only for scalar outputs; this one has shape {list(root.shape)}: "
                "reduce it first, e.g. with .sum(), or pass backward(gradient=...)"
            )
        return (local, None) if local._array.size else (local, local.detach().clone())
    layout = root._layout_of_gradient()
    if isinstance(gradient, DTensor):
        return local, moved(gradient._plain(), gradient._layout, layout.placements)
    if gradient._array.size != 1:
        raise RuntimeError(
            "backward got mixed torch.Tensor and DTensor, need to convert all torch.Tensor to DTensor before calling "
            "distributed operators!"
        )
    return local, gradient.reshape(local.shape) if local._array.size else local.detach().clone()
