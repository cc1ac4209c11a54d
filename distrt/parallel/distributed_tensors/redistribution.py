"""``moved``: a tensor of which ranks have parts, copies or summands, lying in another way; gradients move back.

What a rank's part needs to hear from the others depends on both ways of lying alone:

=============  ===========================================  ==========================
from           to                                           by
=============  ===========================================  ==========================
Shard(d)       Replicate                                    all-gather
Replicate      Shard(d)                                     nothing: a rank keeps its part
Partial        Replicate                                    all-reduce
Partial        Shard(d)                                     reduce-scatter
Shard(a)       Shard(b)                                     all-to-all
Replicate      Partial                                      nothing: the first rank's summand is all of it
=============  ===========================================  ==========================

Source: Shoeybi et al., *Megatron-LM*, 2019 (the conjugate functions f and g); Korthikanti et al., *Reducing Activation
Recomputation in Large Transformer Models*, 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array, array_module
from distrt.core.autograd.function import Function
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.distributed_tensors.layout import Layout
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Replicate, Shard, parts
from distrt.parallel.distributed_tensors.summands import reduced

__all__ = ["gradients_of", "moved"]

Placements = tuple[Placement, ...]


def moved(
    local: Tensor,
    layout: Layout,
    placements: Sequence[Placement],
    gradients: Sequence[Placement] | None = None,
) -> Tensor:
    """This rank's part under other placements; all ranks call, also in the backward pass.

    Args:
        local: what this rank has of a tensor that lies as ``layout`` says.
        layout: how it lies.
        placements: how it is to lie, one for each dim of the mesh.
        gradients: how the gradients of the result will lie; as `gradients_of` says where not given.
    """
    wanted = tuple(placements)
    expected = gradients_of(wanted) if gradients is None else tuple(gradients)
    if wanted == layout.placements and expected == gradients_of(wanted):
        return local
    made: Tensor = _Moved.apply(local, layout, wanted, expected)
    return made


def gradients_of(placements: Placements) -> Placements:
    """How the gradients lie of a tensor that lies so: each summand's gradient is that of the sum."""
    return tuple(Replicate() if isinstance(each, Partial) else each for each in placements)


class _Moved(Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, layout: Layout, wanted: Placements, gradients: Placements) -> Tensor:
        ctx.source = layout.placements
        ctx.gradients = Layout(layout.device_mesh, gradients, layout.shape)
        if wanted == layout.placements:
            return local.view_as(local)
        return wrap(_moved_array(local._array, layout, wanted))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return moved(gradient, ctx.gradients, gradients_of(ctx.source)), None, None, None


def _moved_array(array: Array, layout: Layout, wanted: Placements) -> Array:
    mesh, held = layout.device_mesh, list(layout.placements)
    target = Layout(mesh, wanted, layout.shape)
    straight, undone = _straight(layout.placements, wanted), _undone(layout, target)
    for number in reversed(layout.order):  # what was cut last is put together first
        old, new = held[number], wanted[number]
        if number not in undone or isinstance(old, Replicate):
            continue
        group, shape = mesh.get_group(number), _extent(layout, held, number)
        if number in straight:
            array = _cut_anew(array, old, cast("Shard", new).dim, shape, group)
            held[number] = new
            continue
        if isinstance(old, Shard):
            array = _gathered(array, old.dim, shape, group)
        else:
            assert isinstance(old, Partial)
            array = reduced(array, old.reduce_op, group)
        held[number] = Replicate()
    for number in target.order:
        old, new = held[number], wanted[number]
        if old == new:
            continue
        if isinstance(new, Shard):
            array = _part(array, new.dim, _extent(target, held, number), mesh.get_group(number))
        else:
            array = _as_summand(array, cast("Partial", new), mesh.get_group(number))
        held[number] = new
    return array


def _undone(layout: Layout, target: Layout) -> set[int]:
    """The dims of the mesh along which a tensor comes together: it lies otherwise, or an earlier cut of it does."""
    pairs = list(zip(layout.placements, target.placements, strict=True))
    found = {number for number, (old, new) in enumerate(pairs) if old != new}
    for order in (layout.order, target.order):
        moving: set[int] = set()  # dims of the tensor
        for number in order:
            dims = {each.dim for each in pairs[number] if isinstance(each, Shard)}
            if number in found or dims & moving:
                found.add(number)
                moving |= dims
    return found


def _straight(old: Placements, new: Placements) -> set[int]:
    """The dims of the mesh along which it goes straight from one way to the other: nothing else cuts these dims."""
    found = set()
    for number, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after or isinstance(before, Replicate) or not isinstance(after, Shard):
            continue
        dims = {each.dim for each in (before, after) if isinstance(each, Shard)}
        others = (*old[:number], *old[number + 1 :], *new[:number], *new[number + 1 :])
        if not any(isinstance(each, Shard) and each.dim in dims for each in others):
            found.add(number)
    return found


def _extent(layout: Layout, held: Sequence[Placement], number: int) -> tuple[int, ...]:
    """The shape of what the group along a dim of the mesh has together, before that cuts it."""
    earlier = layout.order[: layout.order.index(number)]
    others = (each if place in earlier else Replicate() for place, each in enumerate(held))
    return Layout(layout.device_mesh, tuple(others), layout.shape).local_shape


def _as_summand(array: Array, placement: Partial, group: ProcessGroup) -> Array:
    """What every rank has, as summands: the first rank's is all of it."""
    if placement.reduce_op == "sum" and group.rank():
        return array_module(array).zeros_like(array)
    return array


def _cut_anew(array: Array, old: Placement, dim: int, shape: tuple[int, ...], group: ProcessGroup) -> Array:
    pieces = parts(shape[dim], group.size())
    if isinstance(old, Shard):
        return _exchanged(array, old.dim, dim, shape, group)
    assert isinstance(old, Partial)
    if old.reduce_op != "sum" or shape[dim] % group.size():
        return _part(reduced(array, old.reduce_op, group), dim, shape, group)
    before = (slice(None),) * dim
    rows = array_module(array).stack([array[(*before, piece)] for piece in pieces])
    mine = array_module(array).empty(rows.shape[1:], rows.dtype)
    group.reduce_scatter(mine, rows).wait()
    return mine


def _exchanged(array: Array, old: int, new: int, shape: tuple[int, ...], group: ProcessGroup) -> Array:
    xp, before = array_module(array), (slice(None),) * new
    inputs = [xp.ascontiguousarray(array[(*before, piece)]) for piece in parts(shape[new], group.size())]
    outputs = []
    for piece in parts(shape[old], group.size()):
        size = list(inputs[group.rank()].shape)
        size[old] = piece.stop - piece.start
        outputs.append(xp.empty(size, array.dtype))
    group.all_to_all(outputs, inputs).wait()
    return xp.concatenate(outputs, axis=old)


def _gathered(array: Array, dim: int, shape: tuple[int, ...], group: ProcessGroup) -> Array:
    xp, pieces = array_module(array), []
    for piece in parts(shape[dim], group.size()):
        size = list(array.shape)
        size[dim] = piece.stop - piece.start
        pieces.append(xp.empty(size, array.dtype))
    group.all_gather(pieces, xp.ascontiguousarray(array)).wait()
    return xp.concatenate(pieces, axis=dim)


def _part(array: Array, dim: int, shape: tuple[int, ...], group: ProcessGroup) -> Array:
    mine = parts(shape[dim], group.size())[group.rank()]
    return array_module(array).array(array[(*(slice(None),) * dim, mine)], order="C")
