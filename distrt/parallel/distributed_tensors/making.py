"""``zeros``, ``ones``, ``empty``, ``full``, ``rand`` and ``randn`` of ``distributed.tensor``: tensors made in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from distrt.comm.mesh.device_mesh import DeviceMesh, current_mesh
from distrt.core import creation
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import UnsupportedError
from distrt.core.tensor import Tensor
from distrt.core.tensors.formats import strided
from distrt.parallel.distributed_tensors.layout import layout_for
from distrt.parallel.distributed_tensors.placements import Placement
from distrt.parallel.distributed_tensors.tensor import DTensor, distributed

__all__ = ["empty", "full", "ones", "rand", "randn", "zeros"]


def zeros(*size: Any, **options: Any) -> DTensor:
    """Zeros of this size; ``dtype``, ``requires_grad``, ``device_mesh`` and ``placements`` as in `full`."""
    return _made("zeros", creation.zeros, size, **options)


def ones(*size: Any, **options: Any) -> DTensor:
    """Ones of this size; ``dtype``, ``requires_grad``, ``device_mesh`` and ``placements`` as in `full`."""
    return _made("ones", creation.ones, size, **options)


def empty(*size: Any, **options: Any) -> DTensor:
    """Memory that nobody has filled; ``dtype``, ``requires_grad``, ``device_mesh`` and ``placements`` as in `full`."""
    return _made("empty", creation.empty, size, **options)


def full(size: Sequence[int], fill_value: Any, **options: Any) -> DTensor:
    """A tensor of one value, of which every rank makes its part.

    Args:
        size: of the whole one.
        fill_value: the value.
        options: ``dtype``; ``layout``, which is strided; ``requires_grad``; ``device_mesh``, the ranks, or the mesh of
            the ``with`` statement around; ``placements``, one for each dim of the mesh, replicated where not given.

    Raises:
        ValueError: another number of placements than the mesh has dims.
    """
    return _made("full", lambda size, **kind: creation.full(size, fill_value, **kind), (size,), **options)


def rand(*size: Any, **options: Any) -> DTensor:
    """Uniform numbers: those that one process draws, whatever the placements; options as in `full`."""
    return _made("rand", creation.rand, size, is_drawn=True, **options)


def randn(*size: Any, **options: Any) -> DTensor:
    """Normal numbers: those that one process draws, whatever the placements; options as in `full`."""
    return _made("randn", creation.randn, size, is_drawn=True, **options)


def _made(
    name: str,
    make: Callable[..., Tensor],
    size: tuple[Any, ...],
    *,
    dtype: dt.dtype | None = None,
    layout: Any = None,
    requires_grad: bool = False,
    device_mesh: DeviceMesh | None = None,
    placements: Sequence[Placement] | None = None,
    is_drawn: bool = False,
) -> DTensor:
    if layout not in (None, strided):
        raise UnsupportedError(f"distributed.tensor.{name}: tensors are strided, got layout={layout}")
    whole = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    mesh = current_mesh() if device_mesh is None else device_mesh
    lies = layout_for(name, mesh, placements, whole)
    if lies.is_partial:
        raise UnsupportedError(f"distributed.tensor.{name}: ranks would have summands, got {lies.placements}")
    if is_drawn:  # all ranks draw all of it, so that their generators stay alike
        local = lies.mine(make(whole, dtype=dtype)._array).copy()
    else:
        local = make(lies.local_shape, dtype=dtype)._array
    made: DTensor = distributed(local, lies)
    made.requires_grad_(requires_grad)
    return made


for _function in (empty, full, ones, rand, randn, zeros):
    _function.__module__ = "distrt.distributed.tensor"
