"""Tensors that all ranks can reach: what a collective does on them needs no copies."""

from __future__ import annotations

import operator
from typing import Any

from distrt.comm.functions.membership import resolve
from distrt.comm.process_group import ProcessGroup
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DistributedError
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors import methods as _methods  # noqa: F401 - tensors that come from here have their methods

__all__ = ["allocate_shared", "free_shared"]


def allocate_shared(*size: Any, dtype: dt.dtype | None = None, group: ProcessGroup | None = None) -> Tensor:
    """A tensor of zeros, one on every rank, whose memory the group's other ranks can read. All ranks call.

    It is good for what is reduced or gathered again and again: gradients, parameters, running statistics. Each rank
    has its own values, as of any tensor; but a collective on this tensor (or on views of it that cover the same
    elements on all ranks) reads the other ranks' memory where it lies, instead of passing copies through a staging
    area. On several machines, or for one rank, it is an ordinary tensor.

    Operations on one such tensor run one after another. `free_shared` gives the memory back; the group's end does,
    too.

    Args:
        size: as of ``distrt.zeros``: ``allocate_shared(2, 3)`` or ``allocate_shared((2, 3))``; alike on all ranks.
        dtype: the default dtype where None.
        group: the ranks; all of them where None.

    Raises:
        DistributedError: where this rank is not in the group.
    """
    sizes = size[0] if len(size) == 1 and not hasattr(size[0], "__index__") else size
    shape = tuple(operator.index(each) for each in sizes)
    if min(shape, default=0) < 0:
        raise DistributedError(f"allocate_shared: expected sizes of at least 0, got {list(shape)}")
    wanted = (dt.default.floating if dtype is None else dtype).numpy
    return wrap(_member(group, "allocate_shared").allocate(shape, wanted))


def free_shared(tensor: Tensor, group: ProcessGroup | None = None) -> None:
    """Gives the memory of an `allocate_shared` tensor back. All ranks call; nobody may use it, or a view, any more.

    Args:
        tensor: what `allocate_shared` returned, not a view of it.
        group: the group that it was made with.
    """
    _member(group, "free_shared").free(tensor._array)


def _member(group: ProcessGroup | None, what: str) -> ProcessGroup:
    chosen = resolve(group, what)
    if chosen is None:
        raise DistributedError(f"{what}: this rank is not in the group")
    return chosen
