"""``loss_parallel``: a context for losses of logits that are cut by class."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["loss_parallel"]


@contextlib.contextmanager
def loss_parallel() -> Iterator[None]:
    """In it, ``cross_entropy`` takes logits that are cut by class, without any rank having all of them.

    distrt's ``cross_entropy`` does so wherever its input is such a ``DTensor``, so the context changes nothing.
    """
    yield


loss_parallel.__module__ = "distrt.distributed.tensor.parallel"
