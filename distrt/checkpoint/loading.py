"""A checkpoint on its way into tensors that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrt.checkpoint.opening import opened
from distrt.checkpoint.parts import region_of
from distrt.checkpoint.reading import Region
from distrt.checkpoint.tree import Path, flattened, put
from distrt.core.errors import CheckpointError
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.size import Size
from distrt.parallel.distributed_tensors.tensor import DTensor

__all__ = ["Loading"]


class Loading:
    """Looked at first, then compared with its checksums, then filled in.

    Args:
        states: names what is loaded; tensors are filled, other leaves replaced.
        folder: of the checkpoint.
        is_partial: what the checkpoint does not have stays as it is.
    """

    def __init__(self, states: dict[str, Any], folder: str, is_partial: bool) -> None:
        self._states, self._folder, self._is_partial = states, folder, is_partial
        self._leaves: dict[str, tuple[Path, Any]] = {}

    def plan(self) -> None:
        """Looks what is there.

        Raises:
            AssertionError: there is no checkpoint.
            RuntimeError: something is missing there.
            ValueError: a tensor is of another size, or in the place of something else.
        """
        try:
            self._saved = opened(self._folder)
        except CheckpointError as fault:
            raise AssertionError(f"metadata is None; global metadata read failed: {fault}") from fault
        entries = self._saved.manifest.entries
        for name, (path, leaf) in flattened(self._states).items():
            if isinstance(leaf, Mapping) and not leaf:
                continue
            if name not in entries:
                if self._is_partial:
                    continue
                raise RuntimeError(f"Missing key in checkpoint state_dict: {name}.")
            entry = entries[name]
            if entry.is_tensor and not isinstance(leaf, Tensor):
                raise ValueError(
                    f"Invalid checkpoint metadata for {name}, expected BytesStorageMetadata but found a tensor: give a "
                    f"tensor of sizes {list(entry.shape)} to load into, not {type(leaf).__name__}"
                )
            if entry.is_tensor and entry.shape != tuple(leaf.shape):
                raise ValueError(
                    f"Size mismatch between saved {Size(entry.shape)} and current: {leaf.size()} for {name}"
                )
            self._leaves[name] = (path, leaf)

    def verify(self) -> None:
        """Compares what is needed with its checksums.

        Raises:
            CheckpointError: naming what is damaged.
        """
        for name, (_, leaf) in self._leaves.items():
            self._saved.verify(name, _region(leaf))

    @no_grad()
    def fill(self) -> None:
        """Fills tensors, and puts values in their place."""
        for name, (path, leaf) in self._leaves.items():
            if not self._saved.entry(name).is_tensor:
                put(self._states, path, self._saved.value(name))
                continue
            target = leaf.to_local() if isinstance(leaf, DTensor) else leaf
            target.copy_(wrap(self._saved.array(name, _region(leaf))))


def _region(leaf: Any) -> Region | None:
    return region_of(leaf) if isinstance(leaf, Tensor) else None
