"""Regions side by side along a dim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.distributions.constraints.base import Constraint


class _Cat(Constraint):
    """Regions side by side along ``dim``, each ``lengths`` wide."""

    def __init__(self, cseq: Sequence[Any], dim: int = 0, lengths: Sequence[int] | None = None) -> None:
        self.cseq = list(cseq)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.cseq):
            raise AssertionError(f"lengths has {len(self.lengths)} elements, cseq {len(self.cseq)}")
        self.dim = dim

    @property
    def is_discrete(self) -> bool:
        """Whether any part has whole numbers."""
        return any(each.is_discrete for each in self.cseq)

    @property
    def event_dim(self) -> int:
        """How many dims an event has."""
        return int(max(each.event_dim for each in self.cseq))

    def check(self, value: Any) -> Any:
        """Each part's region along ``dim``."""
        parts = ops.split(value, self.lengths, self.dim)
        return ops.cat([each.check(part) for each, part in zip(self.cseq, parts, strict=True)], self.dim)


class _Stack(Constraint):
    """Regions side by side along ``dim``, each for one index."""

    def __init__(self, cseq: Sequence[Any], dim: int = 0) -> None:
        self.cseq = list(cseq)
        self.dim = dim

    @property
    def is_discrete(self) -> bool:
        """Whether any part has whole numbers."""
        return any(each.is_discrete for each in self.cseq)

    @property
    def event_dim(self) -> int:
        """How many dims an event has."""
        dims = int(max(each.event_dim for each in self.cseq))
        return dims + 1 if self.dim + dims < 0 else dims

    def check(self, value: Any) -> Any:
        """Each index's region along ``dim``."""
        parts = ops.unbind(value, self.dim)
        return ops.stack([each.check(part) for each, part in zip(self.cseq, parts, strict=True)], self.dim)
