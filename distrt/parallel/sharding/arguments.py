"""What ``ZeroRedundancyOptimizer`` is given to optimize, and what of that it refuses, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core.tensor import Tensor
from distrt.core.tensors.questions import typename
from distrt.parallel.optimizer_overlap import functional_optim_map

__all__ = ["listed_params", "require_known_class", "require_one_dense_type"]


def listed_params(params: Any) -> list[Any]:
    """The parameters, or the groups with a list of theirs: generators are used up once, here.

    Raises:
        TypeError: for what is neither tensors nor groups of them.
        ValueError: there are none, or a group has none.
    """
    if isinstance(params, Tensor):
        raise TypeError(f"`params` argument should be an iterable of Tensors, but got {typename(params)}")
    try:
        listed = list(params)
    except TypeError as error:
        raise TypeError(
            f"`params` argument should be an iterable of Tensors or dicts, but got {typename(params)}"
        ) from error
    if not listed:
        raise ValueError("ZeroRedundancyOptimizer got an empty parameter list")
    if all(isinstance(each, Tensor) for each in listed):
        return listed
    if not all(isinstance(each, dict) for each in listed):
        raise TypeError("`params` argument should be an iterable of Tensors or dicts")
    for group in listed:
        if "params" not in group:
            raise ValueError(
                "Each parameter group passed-in via `params` must have a 'params' key mapping to the parameters in "
                "the group"
            )
        given = group["params"]
        if not isinstance(given, set):  # which the optimizer refuses, with the reason
            group["params"] = [given] if isinstance(given, Tensor) else list(given)
    return listed


def require_one_dense_type(params: Sequence[Tensor]) -> None:
    """Refuses parameters of several dtypes.

    Raises:
        ValueError: for these.
    """
    first = typename(params[0])
    for param in params[1:]:
        if typename(param) != first:
            raise ValueError(
                "ZeroRedundancyOptimizer only supports using the same dense type for all "
                f"parameters but got both {first} and {typename(param)}"
            )


def require_known_class(optimizer_class: Any, overlaps: bool) -> None:
    """Refuses functional optimizers, and with ``overlap_with_ddp`` what PyTorch has no functional form of.

    Raises:
        ValueError: for these.
    """
    is_functional = optimizer_class in functional_optim_map.values()
    if not overlaps and is_functional:
        raise ValueError(f"Passing in a functional optimizer {optimizer_class} when `overlap_with_ddp=False`")
    if overlaps and optimizer_class not in functional_optim_map:
        raise ValueError(
            "Using `ddp_with_overlap=True` requires using a functional optimizer, but there is no supported functional "
            f"optimizer equivalent for {optimizer_class}"
        )
