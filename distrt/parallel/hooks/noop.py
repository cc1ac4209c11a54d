"""A hook that communicates nothing: shows how fast training would be if communication cost nothing."""

from __future__ import annotations

from typing import Any

from distrt.comm.futures import Future
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket

__all__ = ["noop_hook"]


def noop_hook(_: Any, bucket: GradBucket) -> Future[Tensor]:
    """Leaves each rank its own gradients. For measurements only: the models drift apart."""
    future: Future[Tensor] = Future()
    future.set_result(bucket.buffer())
    return future
