"""All ranks' traces as one, on rank 0, while they run; `distrt-launch trace` does it with files."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from distrt.comm.functions.objects import all_gather_object
from distrt.comm.world import default_group, is_initialized
from distrt.files.atomic import replace_whole
from distrt.pictures.step import draw_step, title_of
from distrt.pictures.traces import TraceError, lanes_of, merge

__all__ = ["merged_trace", "write_step_picture"]


def merged_trace(trace: Mapping[str, Any], use: Callable[[dict[str, Any]], object]) -> None:
    """Has rank 0 make one trace of all ranks' and ``use`` it; a collective, where there is a group.

    Raises:
        TraceError, OSError: on rank 0, as ``use`` raises it; on the others a TraceError that says the same.
    """
    if not is_initialized() or default_group().size() == 1:
        use(merge([trace]))
        return
    group = default_group()
    packed = zlib.compress(json.dumps(trace, allow_nan=False).encode(), 1)
    found: list[Any] = [None] * group.size()
    all_gather_object(found, packed, group)
    error: Exception | None = None
    if group.rank() == 0:
        try:
            use(merge([json.loads(zlib.decompress(each)) for each in found]))
        except Exception as caught:  # told to the others, then raised
            error = caught
    said: list[Any] = [None] * group.size()
    all_gather_object(said, None if error is None else str(error), group)
    if error is not None:
        raise error
    if said[0] is not None:
        raise TraceError(f"rank 0: {said[0]}")


def write_step_picture(path: str | os.PathLike[str], trace: Mapping[str, Any], step: int | None) -> None:
    """Draws a step of a merged trace into a file that appears as a whole."""
    drawn = draw_step(lanes_of(trace, step), title_of(step))
    replace_whole(os.fspath(path), lambda file: file.write(drawn.encode()))
