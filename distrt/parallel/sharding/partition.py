"""Which rank updates which parameter.

Source: PyTorch's ``ZeroRedundancyOptimizer``, whose partition this is, so that a rank holds the same part in both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

from distrt.core.tensor import Tensor

__all__ = ["Partition", "index_of_least"]

Groups = list[dict[str, Any]]


class Partition:
    """The parameters of some groups, spread over the ranks.

    Args:
        groups: an optimizer's parameter groups.
        size: how many ranks there are.
        given: per rank its parameters, all of one group; where None, each parameter, from the largest to the smallest
            of its group, goes to the rank that has the fewest elements so far.

    Attributes:
        by_rank: per rank the groups as its own optimizer takes them: options and its parameters, of which a group may
            have none.
        rank_of: parameter -> the rank that updates it.
        parameters: all of them, in the groups' order: their places are their numbers in a state dict.
    """

    def __init__(self, groups: Groups, size: int, given: Sequence[Sequence[Tensor]] | None = None) -> None:
        self.by_rank: list[Groups] = [[] for _ in range(size)]
        counts = [0] * size
        for group in groups:
            parts = _spread(group["params"], counts) if given is None else given
            for own, params in zip(self.by_rank, parts, strict=True):
                own.append({**group, "params": list(params)})
        self.rank_of = {
            param: rank for rank, own in enumerate(self.by_rank) for group in own for param in group["params"]
        }
        self.parameters: list[Tensor] = list(chain.from_iterable(group["params"] for group in groups))
        self.number_of = {param: number for number, param in enumerate(self.parameters)}

    def shards(self) -> list[list[Tensor]]:
        """Per rank the parameters that it updates."""
        return [list(chain.from_iterable(group["params"] for group in own)) for own in self.by_rank]


def _spread(params: Sequence[Tensor], counts: list[int]) -> list[list[Tensor]]:
    """A group's parameters per rank; ``counts`` are the ranks' elements, and grow."""
    parts: list[list[Tensor]] = [[] for _ in counts]
    for param in sorted(params, key=lambda each: each.numel(), reverse=True):
        rank = index_of_least(counts)
        parts[rank].append(param)
        counts[rank] += param.numel()
    return parts


def index_of_least(values: Sequence[int], without: Collection[int] | None = None) -> int:
    """The first index of the smallest value, of those that are not in ``without``.

    Raises:
        AssertionError: no index is left.
    """
    allowed = [index for index in range(len(values)) if not without or index not in without]
    if not allowed:
        raise AssertionError("All indices are disallowed")
    return min(allowed, key=values.__getitem__)
