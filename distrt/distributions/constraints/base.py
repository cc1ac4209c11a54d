"""What a region is, and the kinds that are made of others or depend on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core import ops


class Constraint:
    """A region. ``event_dim``: how many dims of a value are looked at together; ``is_discrete``: whole numbers only."""

    is_discrete: Any = False
    event_dim: Any = 0
    #: The attributes that the text shows.
    _shown: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """Whether each event lies in the region. Shape: that of ``value`` without the event's dims."""
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in self._shown)
        return f"{type(self).__name__.lstrip('_')}({shown})"


class _Dependent(Constraint):
    """A region that depends on other parameters; both facts are unknown unless they are given."""

    def __init__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> None:
        self._is_discrete = is_discrete
        self._event_dim = event_dim
        super().__init__()

    @property
    def is_discrete(self) -> bool:
        """Whether values are whole numbers."""
        if self._is_discrete is NotImplemented:
            raise NotImplementedError(".is_discrete cannot be determined statically")
        return self._is_discrete  # type: ignore[no-any-return]

    @property
    def event_dim(self) -> int:
        """How many dims an event has."""
        if self._event_dim is NotImplemented:
            raise NotImplementedError(".event_dim cannot be determined statically")
        return self._event_dim  # type: ignore[no-any-return]

    def __call__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> _Dependent:
        return _Dependent(
            is_discrete=self._is_discrete if is_discrete is NotImplemented else is_discrete,
            event_dim=self._event_dim if event_dim is NotImplemented else event_dim,
        )

    def check(self, value: Any) -> Any:
        """Cannot be done without the other parameters."""
        raise ValueError("Cannot determine validity of dependent constraint")


def is_dependent(constraint: Any) -> bool:
    """Whether the region is known only together with other parameters."""
    return isinstance(constraint, _Dependent)


class _DependentProperty(property, _Dependent):
    """A property whose class attribute is a dependent region: ``@dependent_property(is_discrete=…, event_dim=…)``."""

    def __init__(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        is_discrete: Any = NotImplemented,
        event_dim: Any = NotImplemented,
    ) -> None:
        super().__init__(fn)
        self._is_discrete = is_discrete
        self._event_dim = event_dim

    def __call__(self, fn: Callable[..., Any]) -> _DependentProperty:  # type: ignore[override]
        return _DependentProperty(fn, is_discrete=self._is_discrete, event_dim=self._event_dim)


class _IndependentConstraint(Constraint):
    """Another region for each element of the last dims together."""

    def __init__(self, base_constraint: Any, reinterpreted_batch_ndims: int) -> None:
        if reinterpreted_batch_ndims < 0:
            raise ValueError("reinterpreted_batch_ndims must be non-negative")
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> Any:
        """Whether values are whole numbers."""
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> Any:
        """How many dims an event has."""
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        """Whether all of the last dims lie in the region."""
        found = self.base_constraint.check(value)
        if found.ndim < self.reinterpreted_batch_ndims:
            expected = self.base_constraint.event_dim + self.reinterpreted_batch_ndims
            raise ValueError(f"Expected value.dim() >= {expected} but got {value.ndim}")
        kept = found.shape[: found.ndim - self.reinterpreted_batch_ndims]
        return ops.all(found.reshape(*kept, -1), -1)

    def __repr__(self) -> str:
        return f"{type(self).__name__[1:]}({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(Constraint):
    """The region of a mixture's parts, for values that lack the parts' dim."""

    def __init__(self, base_constraint: Any) -> None:
        if not isinstance(base_constraint, Constraint):
            raise AssertionError(f"base_constraint is {type(base_constraint)}, expected Constraint")
        self.base_constraint = base_constraint

    @property
    def is_discrete(self) -> Any:
        """Whether values are whole numbers."""
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> Any:
        """How many dims an event has."""
        return self.base_constraint.event_dim

    def check(self, value: Any) -> Any:
        """Whether a value lies in the region of every part."""
        dims = self.event_dim
        found = self.base_constraint.check(value.unsqueeze(value.ndim - dims if dims else -1))
        if found.ndim < dims:
            raise ValueError(f"Expected value.dim() >= {dims} but got {value.ndim}")
        rest = value.shape[: value.ndim - dims]
        return ops.all(found.reshape(*rest, -1), -1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_constraint!r})"
