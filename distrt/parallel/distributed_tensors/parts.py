"""Methods of `DTensor` that fill or change this rank's part by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.overriding import doors
from distrt.core.overriding.doors import behind
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.distributed_tensors.operations.functions import called

if TYPE_CHECKING:
    from distrt.parallel.distributed_tensors.tensor import DTensor

__all__ = ["drawing", "stepping"]


def drawing(name: str) -> Any:
    """A method that fills with random numbers, so that the parts together are what one process would have drawn."""
    plain = getattr(Tensor, name)

    def method(self: DTensor, *args: Any, **kwargs: Any) -> DTensor:
        if self.is_meta or not self._layout.is_cut:
            behind(plain)(self, *args, **kwargs)
            return self
        whole = plain(
            wrap(np.empty(self._layout.shape, self._array.dtype, like=self._array)), *args, **kwargs
        )
        return self.copy_(whole)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = plain.__doc__
    return method


def stepping(name: str) -> Any:
    """A change in place that, by a number, is the same change of the part: loops over parameters make many."""
    plain = getattr(Tensor, name)
    itself = doors.own(behind(plain))

    def method(self: DTensor, *args: Any, **kwargs: Any) -> DTensor:
        if (
            kwargs
            or len(args) > 1
            or (args and args[0].__class__ not in (float, int))
            or self._layout.is_partial
        ):
            return called(plain, (self, *args), kwargs)  # type: ignore[no-any-return]
        return itself(self, *args)  # type: ignore[no-any-return]

    method.__name__ = method.__qualname__ = name
    method.__doc__ = plain.__doc__
    return method
