"""What all distributions have in common: shapes, checks of parameters and values, expansion."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.modes import no_grad
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.core.tensors.size import Size
from distrt.distributions import constraints
from distrt.distributions.utils import lazy_property

__all__ = ["Distribution"]


class Distribution:
    """A batch of distributions. A draw has the shape ``sample_shape + batch_shape + event_shape``.

    Raises:
        ValueError: for parameters outside of ``arg_constraints``, unless ``validate_args`` is False.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions that are made from now on check their arguments.

        Raises:
            ValueError: for what is no bool.
        """
        if value not in [True, False]:
            raise ValueError(f"set_default_validate_args expects True or False, got {value!r}")
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Any = Size(),  # noqa: B008 - a Size cannot change
        event_shape: Any = Size(),  # noqa: B008
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = batch_shape
        self._event_shape = event_shape
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()

    def _check_parameters(self) -> None:
        try:
            wanted = self.arg_constraints
        except NotImplementedError:
            wanted = {}
            warn(
                f"{type(self)} does not define `arg_constraints`. Please set `arg_constraints = {{}}` or initialize "
                "the distribution with `validate_args=False` to turn off validation."
            )
        for name, constraint in wanted.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue
            value = getattr(self, name)
            if not bool(ops.all(constraint.check(value))):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution with its batch dims expanded, as a view of its parameters."""
        new = self._get_checked_instance(self._family(), _instance)
        shape = Size(batch_shape)
        new.__dict__.update(self.__dict__)
        for name, dims in self._expanding().items():
            value = self.__dict__[name]
            new.__dict__[name] = value.expand(*shape, *value.shape[value.ndim - dims :])
        new._batch_shape = shape
        return new

    def _expanding(self) -> dict[str, int]:
        """What has to be expanded: names of tensors, and how many of their dims are an event's."""
        return {
            name: constraint.event_dim
            for name, constraint in self.arg_constraints.items()
            if name in self.__dict__
        }

    def _family(self) -> type:
        """The class that names the parameters: a class derived from it has the same constructor, or its own expand."""
        return next((each for each in type(self).__mro__ if "arg_constraints" in vars(each)), Distribution)

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is not None:
            return _instance
        if type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method must also "
                "define a custom .expand() method."
            )
        return self.__new__(type(self))

    @property
    def batch_shape(self) -> Any:
        """The shape over which parameters are batched."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one sample, without batching."""
        return self._event_shape

    @property
    def arg_constraints(self) -> Any:
        """Parameters' names and what they have to satisfy."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """What values have to satisfy."""
        raise NotImplementedError

    @property
    def mean(self) -> Any:
        """The mean. Shape: batch_shape + event_shape."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The most probable value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Any:
        """The variance. Shape: batch_shape + event_shape."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return ops.sqrt(self.variance)

    def sample(self, sample_shape: Any = ()) -> Any:
        """A draw, without gradients, from the default generator."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """A draw with gradients with respect to the parameters, where ``has_rsample``."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Any:
        """``n`` draws; deprecated."""
        warn("`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", FutureWarning)
        return self.sample((n,))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density, or of the probability, at ``value``. Shape: without the event's dims."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Any:
        """The probability of a draw of at most ``value``."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """Where :meth:`cdf` is ``value``."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values, along a new first dim; ``expand=False``: with batch dims of size 1."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy, in nats. Shape: batch_shape."""
        raise NotImplementedError

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return ops.exp(self.entropy())

    def _extended_shape(self, sample_shape: Any = ()) -> Any:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _enumerated(self, values: Any, expand: bool) -> Any:
        """Scalar values along a new first dim, beside the batch dims."""
        values = values.reshape(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values

    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        start = value.ndim - len(self._event_shape)
        if value.shape[max(start, 0) :] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {value.shape} vs {self._event_shape}."
            )
        expected = Size((*self._batch_shape, *self._event_shape))
        for came, wanted in zip(reversed(value.shape), reversed(expected), strict=False):
            if came != 1 and wanted != 1 and came != wanted:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {expected}."
                )
        self._check_support(value)

    def _check_support(self, value: Any) -> None:
        try:
            support = self.support
        except NotImplementedError:
            warn(
                f"{self.__class__} does not define `support` to enable sample validation. Please initialize the "
                "distribution with `validate_args=False` to turn off validation."
            )
            return
        if support is None:
            raise ValueError("support is None, cannot validate sample")
        if not bool(ops.all(support.check(value))):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the "
                f"support ({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        names = [name for name in self.arg_constraints if name in self.__dict__]
        shown = [(name, self.__dict__[name]) for name in names]
        listed = ", ".join(f"{name}: {value if value.numel() == 1 else value.shape}" for name, value in shown)
        return f"{type(self).__name__}({listed})"
