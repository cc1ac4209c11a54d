"""What can be told of a communication hook before it is called."""

from __future__ import annotations

import inspect
from typing import Any

from distrt.comm.futures import Future
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket

__all__ = ["check_comm_hook"]

# As they are, and as a module with postponed annotations has them.
_BUCKETS = frozenset({"dist.GradBucket", "GradBucket", "torch.distributed.GradBucket"})
_FUTURES = frozenset({"torch.futures.Future[torch.Tensor]", "Future[torch.Tensor]", "Future[Tensor]"})


def check_comm_hook(hook: Any) -> None:
    """Refuses what cannot be a hook.

    Raises:
        TypeError: ``hook`` is not callable.
        ValueError: it says that it takes something else than a bucket, or gives something else than a future.
    """
    if not callable(hook):
        raise TypeError("Communication hook must be callable.")
    signature = inspect.signature(hook)
    bucket = signature.parameters.get("bucket")
    if bucket is not None and not _is_one_of(bucket.annotation, GradBucket, _BUCKETS):
        raise ValueError("Communication hook: bucket annotation should be dist.GradBucket.")
    if not _is_one_of(signature.return_annotation, Future[Tensor], _FUTURES):
        raise ValueError(
            "Communication hook: return annotation should be torch.futures.Future[torch.Tensor]."
        )


def _is_one_of(annotation: Any, expected: Any, spellings: frozenset[str]) -> bool:
    return annotation is inspect.Parameter.empty or annotation == expected or annotation in spellings
