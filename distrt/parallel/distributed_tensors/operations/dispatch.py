"""What happens when a public function is given a `DTensor`.

The function's rule says how its operands may lie; they are brought there, each rank computes with its parts, and the
results lie as the rule says. Gradients go the way back. A function without a rule computes with whole tensors on
every rank.

Source: https://docs.pytorch.org/docs/stable/distributed.tensor.html
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.core.autograd.function import Function
from distrt.core.errors import NoDataError, UnsupportedError
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.distributed_tensors.layout import Layout, everywhere
from distrt.parallel.distributed_tensors.operations import rules
from distrt.parallel.distributed_tensors.operations.arguments import call_key, replaced, tensors_in
from distrt.parallel.distributed_tensors.operations.rules import Given, Operand, Rule, Way
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Replicate, Shard
from distrt.parallel.distributed_tensors.redistribution import moved

if TYPE_CHECKING:
    from distrt.parallel.distributed_tensors.tensor import DTensor

__all__ = ["compute", "operands_of", "rules_by_function"]

Placements = tuple[Placement, ...]


class Plan(NamedTuple):
    """How a call is made.

    Attributes:
        inputs: of each operand, how it is to lie and how its gradient will.
        output: how the results lie.
        shapes: of the whole results; None where every rank has them.
        averaged: dims of the mesh along which ranks have averages of their parts.
        local: of the rule.
    """

    inputs: tuple[tuple[Placements, Placements], ...]
    output: Placements
    shapes: tuple[tuple[int, ...], ...] | None
    averaged: tuple[int, ...]
    local: Callable[..., Any] | None


_plans: dict[Any, Plan] = {}
_MOST_PLANS = 10_000


def compute(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a function makes of tensors that lie on several ranks; all ranks call.

    Raises:
        RuntimeError: plain tensors are among them, other than numbers.
    """
    operands = operands_of(func, tensors_in(args, kwargs))
    mesh = operands[0].device_mesh
    if any(each._layout.in_order is not each._layout.placements for each in operands):
        operands = [each.redistribute(placements=each._layout.in_order) for each in operands]
        stand_ins = iter(operands)
        args, kwargs = replaced(tuple(args), stand_ins), replaced(kwargs, stand_ins)
    plan = _plan_for(func, operands, mesh, args, kwargs)
    aliases = [each._plain() for each in operands]
    locals_ = [
        moved(alias, each._layout, *ways)
        for alias, each, ways in zip(aliases, operands, plan.inputs, strict=True)
    ]
    given = iter(locals_)
    own_args, own_kwargs = replaced(tuple(args), given), replaced(kwargs, given)
    if plan.local is None:
        result = func(*own_args, **own_kwargs)
    else:
        layout = Layout(mesh, plan.output, (plan.shapes or ((),))[0])
        result = plan.local(func, layout, own_args, own_kwargs)
    origins = {id(alias): each for alias, each in zip(aliases, operands, strict=True)}
    return _wrapped(result, plan, mesh, iter(plan.shapes or ()), origins)


def operands_of(func: Callable[..., Any], tensors: Sequence[Tensor]) -> list[DTensor]:
    """The tensors of a call as tensors on one mesh; numbers are had by every rank."""
    from distrt.parallel.distributed_tensors.operations.implicit import is_implicit
    from distrt.parallel.distributed_tensors.tensor import DTensor, distributed_like

    mesh = next(each.device_mesh for each in tensors if isinstance(each, DTensor))
    found = []
    for each in tensors:
        if not isinstance(each, DTensor):
            if each._array.size != 1 and not is_implicit():
                raise RuntimeError(
                    f"{rules.name_of(func)} got mixed torch.Tensor and DTensor, need to convert all torch.Tensor to "
                    "DTensor before calling distributed operators!"
                )
            each = distributed_like(each, Layout(mesh, everywhere(mesh), tuple(each._array.shape)))
        elif each.device_mesh is not mesh and each.device_mesh != mesh:
            raise RuntimeError(
                f"{rules.name_of(func)}: got DTensors on different meshes, {mesh} and {each.device_mesh}: give "
                "full_tensor() of one to distribute_tensor"
            )
        found.append(each)
    return found


def _plan_for(
    func: Callable[..., Any], operands: Sequence[DTensor], mesh: DeviceMesh, args: Any, kwargs: Any
) -> Plan:
    try:
        key = call_key(func, args, kwargs)
        known = _plans.get(key)
    except TypeError:  # an argument that cannot be hashed
        return _planned(func, operands, mesh, args, kwargs)
    if known is None:
        if len(_plans) > _MOST_PLANS:
            _plans.clear()
        known = _plans[key] = _planned(func, operands, mesh, args, kwargs)
    return known


@cache
def rules_by_function() -> dict[Any, Rule]:
    """The rules by the functions that users call."""
    return rules.function_rules()


def _planned(
    func: Callable[..., Any], operands: Sequence[DTensor], mesh: DeviceMesh, args: Any, kwargs: Any
) -> Plan:
    rule = rules_by_function().get(func)
    if rule is None:
        return _on_whole_tensors(operands, mesh)
    shapes = _shapes(func, operands, args, kwargs)
    if shapes is None:
        return _on_whole_tensors(operands, mesh)
    ways = [_way_along(number, rule, shapes, operands, mesh, args, kwargs) for number in range(mesh.ndim)]
    inputs = tuple(
        (tuple(way.inputs[place] for way in ways), tuple(_gradient(way, place) for way in ways))
        for place in range(len(operands))
    )
    output = tuple(way.output for way in ways)
    averaged = tuple(number for number, way in enumerate(ways) if way.is_average)
    return Plan(inputs, output, shapes, averaged, rule.local)


def _on_whole_tensors(operands: Sequence[DTensor], mesh: DeviceMesh) -> Plan:
    whole = everywhere(mesh)
    return Plan(tuple((whole, whole) for _ in operands), whole, None, (), None)


def _shapes(func: Callable[..., Any], operands: Sequence[DTensor], args: Any, kwargs: Any) -> Any:
    """The shapes of the whole results, and the function's errors; None where shapes follow from the data."""
    from distrt.core.meta.array import made

    ghosts = iter([wrap(made(each._layout.shape, each._plain()._array.dtype)) for each in operands])
    try:
        found = func(*replaced(tuple(args), ghosts), **replaced(kwargs, ghosts))
    except (NoDataError, UnsupportedError):
        return None
    return tuple(tuple(each.shape) for each in tensors_in(found)) or None


def _way_along(
    number: int,
    rule: Rule,
    shapes: Any,
    operands: Sequence[DTensor],
    mesh: DeviceMesh,
    args: Any,
    kwargs: Any,
) -> Way:
    seen = tuple(_as_operand(each, number, mesh) for each in operands)
    given, stand_ins = Given(rule.name, seen, shapes), iter(seen)
    ways = rule.ways(given, *replaced(tuple(args), stand_ins), **_renamed(replaced(kwargs, stand_ins)))
    return rules.chosen(given, ways)


_NAMES = {"self": "input", "axis": "dim", "keepdims": "keepdim", "x": "input"}


def _renamed(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {_NAMES.get(name, name): each for name, each in kwargs.items()}


def _as_operand(tensor: DTensor, number: int, mesh: DeviceMesh) -> Operand:
    cuts: dict[int, int] = {}
    for place, dim in tensor._layout.cuts:
        cuts[dim] = cuts.get(dim, 1) * mesh.size(place)
    from distrt.core.modes import modes

    return Operand(
        tensor._layout.shape,
        tensor._layout.placements[number],
        cuts,
        mesh.size(number),
        tensor._edge is not None and bool(modes.grad),
    )


def _gradient(way: Way, place: int) -> Placement:
    """How the gradient of an operand comes: what every rank has of one of which ranks use it apart is a summand."""
    placement = way.inputs[place]
    if isinstance(placement, Partial):
        return Replicate()
    if isinstance(placement, Shard) or isinstance(way.output, Replicate):
        return placement
    is_factor = isinstance(way.output, Partial) and way.output.reduce_op == "avg" and not way.is_average
    return Partial("avg" if is_factor else "sum")


def _wrapped(result: Any, plan: Plan, mesh: DeviceMesh, shapes: Any, origins: dict[int, DTensor]) -> Any:
    if isinstance(result, Tensor):
        shape = tuple(result._array.shape) if plan.shapes is None else next(shapes)
        return _as_distributed(result, Layout(mesh, plan.output, shape), plan, origins)
    if isinstance(result, list | tuple):
        found = [_wrapped(each, plan, mesh, shapes, origins) for each in result]
        return type(result)(found)
    return result


def _as_distributed(local: Tensor, layout: Layout, plan: Plan, origins: dict[int, DTensor]) -> DTensor:
    from distrt.parallel.distributed_tensors.tensor import distributed_like

    origin = origins.get(id(local))
    if origin is not None and origin._layout == layout:
        return origin
    if plan.averaged and local._edge is not None:
        local = _Averaged.apply(local, math.prod(layout.device_mesh.size(number) for number in plan.averaged))
    made = distributed_like(local, layout)
    base: Any = local._base
    if base is not None:
        made._base = origins.get(id(base), base)
        made._made_without_grad, made._one_of_several = local._made_without_grad, local._one_of_several
        made._counter.append(weakref.ref(made))  # a recorded change of the base must reach it
    return made


class _Averaged(Function):
    """A rank's average of its part: of the average of all, it is one of several summands."""

    @staticmethod
    def forward(ctx: Any, local: Tensor, count: int) -> Tensor:
        ctx.count = count
        return local.view_as(local)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient / ctx.count, None
