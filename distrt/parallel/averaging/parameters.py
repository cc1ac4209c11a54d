"""Averaging parameters over the ranks, in one all-reduce."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distrt.comm.functions.collectives import all_reduce
from distrt.comm.functions.membership import is_non_member
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core import ops
from distrt.core.tensor import Tensor
from distrt.nn.parameter import Parameter

__all__ = ["average_parameters", "average_parameters_or_parameter_groups", "get_params_to_average"]


def average_parameters(params: Iterable[Tensor], process_group: ProcessGroup | None) -> None:
    """Gives parameters new data: the average over the ranks; a rank outside the group does nothing."""
    if is_non_member(process_group):
        return
    group = process_group if process_group is not None else default_group()
    listed = list(params)
    flat = ops.cat([each.data.reshape(-1) for each in listed])
    flat /= group.size()
    all_reduce(flat, group=group)
    start = 0
    for each in listed:
        each.data = flat[start : start + each.numel()].view_as(each).type_as(each)
        start += each.numel()


def get_params_to_average(params: Iterable[Tensor] | Iterable[dict[str, Any]]) -> list[Tensor]:
    """The parameters, or those of an optimizer's groups, that have a gradient."""
    found: list[Tensor] = []
    for each in params:
        if isinstance(each, Parameter):
            candidates: Iterable[Tensor] = [each]
        elif isinstance(each, dict):
            candidates = each["params"]
        else:
            raise NotImplementedError(f"Parameter input of type {type(each)} is not supported")
        found += [candidate for candidate in candidates if candidate.grad is not None]
    return found


def average_parameters_or_parameter_groups(
    params: Iterable[Tensor] | Iterable[dict[str, Any]], process_group: ProcessGroup | None
) -> None:
    """Averages a model's parameters, or those of an optimizer's groups, that have a gradient."""
    average_parameters(get_params_to_average(params), process_group)
