"""What libraries take from PyTorch's private ``torch._utils``: tensors as one row and back, errors on their way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distrt.core import ops
from distrt.core.process.carrying import ExceptionWrapper
from distrt.core.tensor import Tensor

__all__ = ["ExceptionWrapper"]


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """The elements of all tensors in a row; of a single contiguous one, a view."""
    rows = [each.contiguous().view(-1) for each in tensors]
    return rows[0] if len(rows) == 1 else ops.cat(rows)


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Views of ``flat`` in the sizes of the tensors."""
    found: list[Tensor] = []
    start = 0
    for each in tensors:
        found.append(flat.narrow(0, start, each.numel()).view(each.shape))
        start += each.numel()
    return tuple(found)


def _take_tensors(tensors: Sequence[Tensor], size_limit: int) -> Iterator[list[Tensor]]:
    """The tensors in chunks of one dtype and at most ``size_limit`` bytes, if no single one is larger."""
    chunks: dict[str, list[Tensor]] = {}
    sizes: dict[str, int] = {}
    for each in tensors:
        kind, size = str(each.type()), each.numel() * each.element_size()
        if sizes.get(kind, 0) and sizes[kind] + size > size_limit:
            yield chunks[kind]
            chunks[kind], sizes[kind] = [], 0
        chunks.setdefault(kind, []).append(each)
        sizes[kind] = sizes.get(kind, 0) + size
    yield from (chunk for chunk in chunks.values() if chunk)


def _reorder_tensors_as(tensors: Sequence[Tensor], ordered_tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The tensors, which are in order within their dtypes, in the order of the dtypes of ``ordered_tensors``."""
    waiting: dict[str, list[Tensor]] = {}
    for each in tensors:
        waiting.setdefault(str(each.type()), []).append(each)
    queues = {kind: iter(found) for kind, found in waiting.items()}
    return tuple(next(queues[str(each.type())]) for each in ordered_tensors)
