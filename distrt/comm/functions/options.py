"""PyTorch's ``AllreduceOptions`` and its kin: what the methods of a process group take instead of keyword arguments.

Each is made without arguments, and then has its attributes set. A ``timeout`` below 0 means the group's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from distrt.comm.reduction import AnyOp, PremulSum, ReduceOp
from distrt.core.device import device as Device

__all__ = [
    "AllToAllOptions",
    "AllgatherOptions",
    "AllreduceCoalescedOptions",
    "AllreduceOptions",
    "BarrierOptions",
    "BroadcastOptions",
    "GatherOptions",
    "Options",
    "ReduceOptions",
    "ReduceScatterOptions",
    "ScatterOptions",
]

_KINDS: dict[str, tuple[type, ...]] = {
    "asyncOp": (bool,),
    "device": (Device, type(None)),
    "device_ids": (list, tuple),
    "reduceOp": (ReduceOp, PremulSum),
    "rootRank": (int,),
    "rootTensor": (int,),
    "timeout": (timedelta,),
}


class Options:
    """What all of them have: ``timeout``, and ``asyncOp``, which changes nothing: methods always return a ``Work``."""

    __slots__ = ("asyncOp", "timeout")
    asyncOp: bool  # noqa: N815 - PyTorch's own spelling, here and below
    timeout: timedelta
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        for name, value in {"asyncOp": True, "timeout": timedelta(seconds=-1), **self._defaults}.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        kinds = _KINDS.get(name)
        if kinds is not None and not isinstance(value, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(
                f"{type(self).__name__}.{name}: expected {expected}, got {type(value).__name__} {value!r:.60}"
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        fields = {**self._defaults, "asyncOp": None, "timeout": None}
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"


class AllreduceOptions(Options):
    """Of ``allreduce``: ``reduceOp``."""

    __slots__ = ("reduceOp",)
    reduceOp: AnyOp  # noqa: N815
    _defaults: ClassVar[dict[str, Any]] = {"reduceOp": ReduceOp.SUM}


class AllreduceCoalescedOptions(AllreduceOptions):
    """Of ``allreduce_coalesced``: ``reduceOp``."""

    __slots__ = ()


class ReduceScatterOptions(Options):
    """Of ``reduce_scatter`` and ``_reduce_scatter_base``: ``reduceOp``."""

    __slots__ = ("reduceOp",)
    reduceOp: AnyOp  # noqa: N815
    _defaults: ClassVar[dict[str, Any]] = {"reduceOp": ReduceOp.SUM}


class ReduceOptions(Options):
    """Of ``reduce``: ``reduceOp``, and ``rootRank``, a rank of the group."""

    __slots__ = ("reduceOp", "rootRank", "rootTensor")
    reduceOp: AnyOp  # noqa: N815
    rootRank: int  # noqa: N815
    rootTensor: int  # noqa: N815
    _defaults: ClassVar[dict[str, Any]] = {"reduceOp": ReduceOp.SUM, "rootRank": 0, "rootTensor": 0}


class BroadcastOptions(Options):
    """Of ``broadcast``: ``rootRank``, a rank of the group."""

    __slots__ = ("rootRank", "rootTensor")
    rootRank: int  # noqa: N815
    rootTensor: int  # noqa: N815
    _defaults: ClassVar[dict[str, Any]] = {"rootRank": 0, "rootTensor": 0}


class GatherOptions(Options):
    """Of ``gather``: ``rootRank``, a rank of the group."""

    __slots__ = ("rootRank",)
    rootRank: int  # noqa: N815
    _defaults: ClassVar[dict[str, Any]] = {"rootRank": 0}


class ScatterOptions(GatherOptions):
    """Of ``scatter``: ``rootRank``, a rank of the group."""

    __slots__ = ()


class AllgatherOptions(Options):
    """Of ``allgather`` and ``_allgather_base``."""

    __slots__ = ()


class AllToAllOptions(Options):
    """Of ``alltoall`` and ``alltoall_base``."""

    __slots__ = ()


class BarrierOptions(Options):
    """Of ``barrier``: ``device`` and ``device_ids``, which say nothing without GPUs."""

    __slots__ = ("device", "device_ids")
    device: Device | None
    device_ids: list[int]
    _defaults: ClassVar[dict[str, Any]] = {"device": None, "device_ids": []}

    def __init__(self) -> None:
        super().__init__()
        self.device_ids = []  # of its own
