"""``local_map``: a function of plain tensors, which each rank calls with its parts, as a function of `DTensor` s."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.core.tensor import Tensor
from distrt.parallel.distributed_tensors.placements import Placement
from distrt.parallel.distributed_tensors.tensor import DTensor
from distrt.utils._pytree import tree_flatten, tree_unflatten

__all__ = ["local_map"]

Lying = Sequence[Placement] | None


def local_map(
    func: Callable[..., Any] | None = None,
    out_placements: Any = None,
    in_placements: Sequence[Lying] | None = None,
    in_grad_placements: Sequence[Lying] | None = None,
    device_mesh: DeviceMesh | None = None,
    *,
    redistribute_inputs: bool = False,
) -> Callable[..., Any]:
    """The function as one of `DTensor` s: each rank calls it with its parts, and what it returns are parts.

    Args:
        func: the function; where None, the result is a decorator.
        out_placements: how what it returns lies: a list, or a tuple of one for each result, None for no tensor.
        in_placements: how each positional argument is to lie, None for what is no tensor; as they come where not given.
        in_grad_placements: how their gradients will lie; as they do where not given.
        device_mesh: the ranks; those of the first `DTensor` where not given.
        redistribute_inputs: bring arguments that lie in another way there.

    Raises:
        ValueError: an argument lies in another way.
        AssertionError: there is another number of placements than of arguments, or of results.
    """
    if func is None:
        return functools.partial(
            local_map,
            out_placements=out_placements,
            in_placements=in_placements,
            in_grad_placements=in_grad_placements,
            device_mesh=device_mesh,
            redistribute_inputs=redistribute_inputs,
        )

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        flat, structure = tree_flatten(args)
        _require_as_many("in_placements", in_placements, len(flat), "of input args")
        _require_as_many("in_grad_placements", in_grad_placements, len(flat), "of input args")
        wanted = in_placements or [None] * len(flat)
        gradients = in_grad_placements or [None] * len(flat)
        parts = [
            _part(arg, lying, gradient, in_placements is not None, redistribute_inputs)
            for arg, lying, gradient in zip(flat, wanted, gradients, strict=True)
        ]
        result = func(*tree_unflatten(parts, structure), **kwargs)
        mesh = device_mesh or next((each.device_mesh for each in flat if isinstance(each, DTensor)), None)
        if mesh is None or not any(isinstance(each, DTensor) for each in flat):
            return result
        return _whole(result, mesh, out_placements)

    return mapped


def _require_as_many(name: str, placements: Sequence[Any] | None, count: int, of_what: str) -> None:
    if placements is not None and len(placements) != count:
        raise AssertionError(f"{name} length {len(placements)} does not match the number {of_what} {count}!")


def _part(arg: Any, lying: Lying, gradient: Lying, is_asked: bool, redistributes: bool) -> Any:
    if not isinstance(arg, DTensor):
        if lying is not None and not isinstance(arg, Tensor):
            raise AssertionError(f"Non-Tensor input {arg} expects None placements but received {lying}!")
        return arg
    if is_asked:
        if lying is None:
            raise AssertionError(f"DTensor input {arg} expects placements but received {lying}!")
        if arg.placements != tuple(lying):
            if not redistributes:
                raise ValueError(
                    f"arg {arg} in local_map has a mismatched placements: arg placements is {arg.placements} but the "
                    f"input placements is {tuple(lying)}! If redistribute_inputs is wanted, set "
                    "redistribute_inputs=True to local_map."
                )
            arg = arg.redistribute(placements=lying)
    return arg.to_local(grad_placements=gradient)


def _whole(result: Any, mesh: DeviceMesh, out_placements: Any) -> Any:
    flat, structure = tree_flatten(result)
    placed = out_placements if isinstance(out_placements, tuple) else (out_placements,)
    if len(flat) != len(placed):
        raise AssertionError(
            f"local_map requires one PlacementType be provided for each output value, received {len(placed)} "
            f"out_placements but {len(flat)} is expected!"
        )
    found = []
    for each, lying in zip(flat, placed, strict=True):
        if isinstance(each, DTensor):
            raise AssertionError(f"torch.Tensor output expected but received {type(each)}: {each}")
        if isinstance(each, Tensor):
            found.append(DTensor.from_local(each, mesh, lying))
        elif lying is not None:
            raise AssertionError(f"Non-tensor output {each} expects None placements but received {lying}!")
        else:
            found.append(each)
    return tree_unflatten(found, structure)


local_map.__module__ = "distrt.distributed.tensor.experimental"
