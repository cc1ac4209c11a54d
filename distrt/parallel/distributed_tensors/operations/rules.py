"""What a rule says of an operation: the ways in which its operands may lie, and how the result lies then.

A rule looks at one dim of the mesh; `chosen` takes the way that costs least. Every rank with whole tensors is a
way that every operation has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from distrt.core.tensor import Tensor
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Replicate, Shard

__all__ = [
    "LINEAR",
    "Given",
    "Operand",
    "Rule",
    "Way",
    "chosen",
    "function_rules",
    "name_of",
    "positive",
    "rule",
    "whole",
]

#: What may be put off until after a linear operation.
LINEAR = ("sum", "avg")


class Operand:
    """A tensor that an operation is given, as a rule sees it.

    Attributes:
        shape: of the whole one.
        placement: how it lies along this dim of the mesh.
        cuts: into how many parts each dim is cut, along all dims of the mesh.
        ranks: along this dim of the mesh.
    """

    __slots__ = ("cuts", "is_differentiated", "placement", "ranks", "shape")

    def __init__(
        self,
        shape: tuple[int, ...],
        placement: Placement,
        cuts: dict[int, int],
        ranks: int,
        is_differentiated: bool,
    ) -> None:
        self.shape, self.placement, self.cuts, self.ranks = shape, placement, cuts, ranks
        self.is_differentiated = is_differentiated

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return len(self.shape)

    @property
    def cut_dim(self) -> int | None:
        """The dim that is cut along this dim of the mesh."""
        return self.placement.dim if isinstance(self.placement, Shard) else None

    def is_even(self, dim: int) -> bool:
        """Whether all parts along a dim are of one size."""
        return self.shape[dim] % self.cuts.get(dim, self.ranks) == 0


class Way(NamedTuple):
    """How operands may lie, and how the results lie then.

    Attributes:
        inputs: a placement for each operand.
        output: that of every result.
        is_average: results are averages of this rank's part of what is averaged.
    """

    inputs: tuple[Placement, ...]
    output: Placement
    is_average: bool = False


class Given(NamedTuple):
    """A call, as a rule sees it.

    Attributes:
        name: the function's.
        operands: the tensors, in the order in which they stand.
        shapes: of the results.
    """

    name: str
    operands: tuple[Operand, ...]
    shapes: tuple[tuple[int, ...], ...]


class Rule(NamedTuple):
    """One operation's.

    Attributes:
        name: the function's.
        ways: ``ways(given, *args, **kwargs)``: the call's arguments, with operands for tensors.
        local: ``local(function, layouts, args, kwargs)``: computes with this rank's parts; where None, the function
            itself does.
    """

    name: str
    ways: Callable[..., list[Way]]
    local: Callable[..., Any] | None = None


_RULES: dict[str, Rule] = {}


def rule(names: str, local: Callable[..., Any] | None = None) -> Callable[[Any], Any]:
    """Notes a rule of the functions with these names; ``linalg.NAME`` is that of a module."""

    def note(ways: Any) -> Any:
        for name in names.split():
            _RULES[name] = Rule(name, ways, local)
        return ways

    return note


def function_rules() -> dict[Any, Rule]:
    """The rules by the functions that users call."""
    import distrt
    from distrt.nn import functional

    found: dict[Any, Rule] = {}
    for name, each in _RULES.items():
        module, _, last = name.rpartition(".")
        homes = [getattr(distrt, module)] if module else [distrt, Tensor, functional, distrt.special]
        for home in homes:
            function = getattr(home, last, None)
            if callable(function):
                found[function] = each
            elif isinstance(function, property):  # Tensor.T is offered by its getter
                found[function.__get__] = each
    return found


def name_of(function: Callable[..., Any]) -> str:
    """What error messages call a function."""
    return f"aten.{getattr(function, '__name__', function)!s}".replace("__", "")


def whole(given: Given) -> Way:
    """Every rank has all."""
    return Way((Replicate(),) * len(given.operands), Replicate())


def positive(dim: int, ndim: int) -> int:
    """A dim that may be counted from the end, counted from the beginning."""
    return dim % ndim if ndim else 0


def chosen(given: Given, ways: Sequence[Way]) -> Way:
    """The way that has least to be sent."""
    return min(ways, key=lambda way: sum(map(_cost, given.operands, way.inputs)))


def _cost(operand: Operand, new: Placement) -> float:
    old, size = operand.placement, math.prod(operand.shape)
    if old == new or (isinstance(old, Replicate) and isinstance(new, Shard)):
        return 0.0
    if isinstance(new, Partial):
        return 0.01 if isinstance(old, Replicate) and new.reduce_op in LINEAR else math.inf
    if isinstance(old, Partial):
        return 2.0 * size if isinstance(new, Replicate) else 1.0 * size
    return 1.0 * size if isinstance(new, Replicate) else 0.9 * size
