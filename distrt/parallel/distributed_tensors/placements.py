"""How a tensor lies on the ranks of a mesh: ``Shard``, ``Replicate``, ``Partial``; and how a dim is cut."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Partial", "Placement", "Replicate", "Shard", "parts"]


class Placement:
    """How a tensor lies along one dim of a mesh."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Whether the ranks have parts of it (cut along ``dim``)."""
        return isinstance(self, Shard) and dim in (None, self.dim)

    def is_replicate(self) -> bool:
        """Whether every rank has all of it."""
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """Whether it is still to be reduced over the ranks (with ``reduce_op``)."""
        return isinstance(self, Partial) and reduce_op in (None, self.reduce_op)


@dataclass(frozen=True)
class Shard(Placement):
    """Each rank has a part, cut along ``dim`` as ``chunk`` cuts."""

    dim: int

    def __repr__(self) -> str:
        return f"Shard(dim={self.dim})"

    def __str__(self) -> str:
        return f"S({self.dim})"


@dataclass(frozen=True)
class _StridedShard(Shard):
    """Each rank has a part of what a later dim of the mesh leaves of the same dim: the later one cuts first.

    So lies what ``fully_shard`` makes of a weight that is cut by tensor parallelism already.

    Attributes:
        split_factor: the number of parts before.
    """

    split_factor: int = 1

    def __repr__(self) -> str:
        return f"_StridedShard(dim={self.dim}, sf={self.split_factor})"

    def __str__(self) -> str:
        return f"_S({self.dim}, {self.split_factor})"


@dataclass(frozen=True)
class Replicate(Placement):
    """Every rank has all of it."""

    def __repr__(self) -> str:
        return "Replicate()"

    def __str__(self) -> str:
        return "R"


@dataclass(frozen=True)
class Partial(Placement):
    """Every rank has a summand."""

    reduce_op: str = "sum"

    def __repr__(self) -> str:
        return f"Partial({self.reduce_op})"

    def __str__(self) -> str:
        return f"P({self.reduce_op})"


def parts(length: int, count: int) -> list[slice]:
    """``length`` elements in ``count`` parts, as ``chunk`` has them: equal ones, the last ones shorter or empty."""
    step = -(-length // count)
    return [slice(min(n * step, length), min((n + 1) * step, length)) for n in range(count)]


for _class in (Partial, Placement, Replicate, Shard, _StridedShard):
    _class.__module__ = "distrt.distributed.tensor.placement_types"
