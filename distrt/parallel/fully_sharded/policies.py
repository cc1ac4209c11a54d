"""What users choose about sharded modules: dtypes, and where shards are kept.

Source: https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

from __future__ import annotations

from dataclasses import dataclass

from distrt.core.dtypes.dtype import dtype

__all__ = ["CPUOffloadPolicy", "DataParallelMeshDims", "MixedPrecisionPolicy", "OffloadPolicy"]


@dataclass(frozen=True)
class MixedPrecisionPolicy:
    """Dtypes of a module's parameters while it computes, of its reductions and of what it returns.

    Attributes:
        param_dtype: of the whole parameters and hence of the computation; their own where None. The optimizer always
            sees the own one.
        reduce_dtype: of the gradients while they are reduced; that of the computation where None.
        output_dtype: what floating-point outputs become.
        cast_forward_inputs: floating-point inputs become ``param_dtype``.
    """

    param_dtype: dtype | None = None
    reduce_dtype: dtype | None = None
    output_dtype: dtype | None = None
    cast_forward_inputs: bool = True


@dataclass
class OffloadPolicy:
    """Shards stay where the model is."""


@dataclass
class CPUOffloadPolicy(OffloadPolicy):
    """Shards are kept in the memory of the CPU, where those of a model on the CPU are in any case.

    Attributes:
        pin_memory: for copies to a GPU; without effect.
    """

    pin_memory: bool = True


@dataclass
class DataParallelMeshDims:
    """Which dims of a mesh are data parallel, where it has others as well.

    Raises:
        ValueError: neither is given.
    """

    shard: str | tuple[str, ...] | None = None
    replicate: str | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.shard is None and self.replicate is None:
            raise ValueError("At least one of shard or replicate must be set in DataParallelMeshDims")

    @property
    def shard_names(self) -> tuple[str, ...]:
        """The dims to shard along."""
        return _as_tuple(self.shard)

    @property
    def replicate_names(self) -> tuple[str, ...]:
        """The dims along which shards are replicated."""
        return _as_tuple(self.replicate)


def _as_tuple(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


for _class in (CPUOffloadPolicy, DataParallelMeshDims, MixedPrecisionPolicy, OffloadPolicy):
    _class.__module__ = "distrt.distributed.fsdp"
