"""Which part of a whole tensor a rank has."""

from __future__ import annotations

from distrt.checkpoint.reading import Region
from distrt.core.errors import CheckpointError
from distrt.core.tensor import Tensor
from distrt.parallel.distributed_tensors.layout import Layout
from distrt.parallel.distributed_tensors.tensor import DTensor

__all__ = ["region_in", "region_of"]


def region_of(tensor: Tensor) -> Region | None:
    """Offsets and sizes of this rank's part of a tensor; None where it has the whole.

    Raises:
        CheckpointError: for one whose ranks have summands.
    """
    return region_in(tensor._layout) if isinstance(tensor, DTensor) else None


def region_in(layout: Layout) -> Region | None:
    """Offsets and sizes of this rank's part of what lies in a layout; None where it has the whole."""
    if layout.is_partial:
        raise CheckpointError("a tensor that is still to be reduced over the ranks cannot be saved or loaded")
    if not layout.is_cut:
        return None
    place = layout.place
    return tuple(each.start for each in place), tuple(each.stop - each.start for each in place)
