"""What the ranks must agree on before they train together: the parameters' names, shapes, dtypes and values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import is_writeable
from distrt.core.errors import CollectiveMismatch, UnsupportedError
from distrt.core.sparse.array import is_sparse
from distrt.core.tensors.history import require_writeable
from distrt.nn.modules.module import Module


def require_same_parameters(module: Module, group: ProcessGroup, ignored: Collection[str] = ()) -> None:
    """Compares parameters and buffers (names, shapes, dtypes, which are trained) over all ranks.

    Raises:
        CollectiveMismatch: on every rank, naming the ranks that differ from rank 0 and their first difference.
    """
    mine = [
        [name, list(tensor.shape), str(tensor.dtype), tensor.requires_grad]
        for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers())
        if name not in ignored
    ]
    everyone = _all_gather_json(mine, group)
    problems = [
        f"rank {rank}: {_first_difference(everyone[0], theirs)}"
        for rank, theirs in enumerate(everyone)
        if theirs != everyone[0]
    ]
    if problems:
        raise CollectiveMismatch(
            f"the model is not the same on all ranks; compared with rank 0, {'; '.join(problems)}. "
            "Build the same model on every rank (only its values may differ: rank 0's are used)"
        )


def _all_gather_json(value: object, group: ProcessGroup) -> list[list[list[object]]]:
    encoded = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = np.zeros((group.size(), 1), np.int64)
    group.all_gather(lengths, np.array([encoded.size], np.int64)).wait()
    padded = np.zeros(int(lengths.max()), np.uint8)
    padded[: encoded.size] = encoded
    gathered = np.zeros((group.size(), padded.size), np.uint8)
    group.all_gather(gathered, padded).wait()
    return [
        json.loads(row[: int(length)].tobytes()) for row, (length,) in zip(gathered, lengths, strict=True)
    ]


def _first_difference(expected: list[list[object]], found: list[list[object]]) -> str:
    for position, (ours, theirs) in enumerate(itertools.zip_longest(expected, found)):
        if ours != theirs:
            return f"entry {position} is {_describe(theirs)}, but {_describe(ours)} on rank 0"
    return "no difference"


def _describe(entry: list[object] | None) -> str:
    if entry is None:
        return "missing"
    name, shape, dtype, trained = entry
    return f"{name} {shape} {dtype}" + ("" if trained else " (not trained)")


def broadcast_from_rank_0(module: Module, group: ProcessGroup, ignored: Collection[str] = ()) -> None:
    """Gives every rank rank 0's parameters and buffers.

    Raises:
        UnsupportedError: for a sparse one.
    """
    for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers()):
        if name in ignored:
            continue
        if is_sparse(tensor._array):
            raise UnsupportedError(
                f"{name} is a tensor of the layout {tensor.layout}, which is not sent from rank to rank: use "
                "broadcast_buffers=False, or make it an attribute that is no buffer"
            )
        if tensor._array.size and not is_writeable(tensor._array):
            require_writeable(tensor)  # ranks may have shared its memory before
        group.broadcast(tensor._array, src=0).wait()
        tensor._counter[0] += 1
