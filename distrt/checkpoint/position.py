"""``Batches``: a loader that knows how far a run has come in it, so that a resumed run goes on with the next batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from distrt.checkpoint.streams import set_streams, streams
from distrt.core.errors import CheckpointError
from distrt.data import DataLoader, DistributedSampler
from distrt.data.iterating import innermost_sampler

__all__ = ["Batches"]


class Batches:
    """The batches of a loader, epoch after epoch; a part of a run that `Checkpoints` saves.

        batches = distrt.checkpoint.Batches(loader)
        run = {"model": model, "optimizer": optimizer, "batches": batches}
        checkpoints.resume(run)
        while batches.epoch < epochs:
            for x, y in batches:
                ...

    A sampler with ``set_epoch`` is told the epoch. After a resume, the first pass begins where the saved one stood, in
    the same order. A ``DistributedSampler`` is told where to begin, on any number of ranks. The order of other samplers
    is drawn anew from the streams as they were at the beginning of the pass, and the batches before are loaded once
    more, and dropped.

    Args:
        loader: a ``DataLoader``.

    Attributes:
        epoch: how many passes have come to their end.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.epoch = 0
        self._given = 0  # batches of the present pass
        self._start: dict[str, Any] | None = None  # the streams at its beginning
        self._resumes = False

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        sampler = self._sampler()
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(self.epoch)
        resumes, self._resumes = self._resumes, False
        if resumes:
            batches = self._resumed()
        else:
            self._given, self._start = 0, self._streams()
            batches = iter(self.loader)
        for batch in batches:
            self._given += 1
            yield batch
        self.epoch += 1
        self._given, self._start = 0, None

    def position(self, world_size: int) -> dict[str, int]:
        """Epochs and samples, those of all ranks; the same on all."""
        if not self._given:
            return {"epoch": self.epoch, "samples": 0}
        if self._is_exact():
            return self._sampler().position()  # type: ignore[no-any-return]
        size = getattr(self.loader, "batch_size", None) or 1
        return {"epoch": self.epoch, "samples": self._given * size * world_size}

    def start(self) -> dict[str, Any] | None:
        """The streams of this rank at the beginning of the present pass; None between passes."""
        return self._start

    def batches_in(self, position: dict[str, int], world_size: int) -> int:
        """How many batches of each rank a position is; a part of one counts as one if the sampler can begin there.

        Raises:
            CheckpointError: where the ranks stand within a batch, and the sampler cannot begin there.
        """
        at_once = (getattr(self.loader, "batch_size", None) or 1) * world_size
        if position["samples"] % at_once and not self._is_exact():
            raise CheckpointError(
                f"the run stands after {position['samples']} samples of an epoch, which batches of {at_once} samples "
                f"on {world_size} ranks do not reach: resume with others, or at the end of an epoch"
            )
        return -(-position["samples"] // at_once)

    def go_to(self, position: dict[str, int], world_size: int, start: dict[str, Any] | None) -> None:
        """Has the next pass begin at a position."""
        self._given = self.batches_in(position, world_size)
        self.epoch, self._start, self._resumes = position["epoch"], start, self._given > 0
        if self._is_exact():
            self._sampler().go_to(**position)

    def _resumed(self) -> Iterator[Any]:
        """The rest of the pass that was saved."""
        now = streams()
        if self._start is not None:
            set_streams(self._start["process"])
            for generator, state in zip(self._generators(), self._start["generators"], strict=False):
                generator.set_state(state)
        batches: Iterator[Any] = iter(self.loader)
        for _ in range(0 if self._is_exact() else self._given):
            next(batches, None)
        set_streams(now)
        return batches

    def _sampler(self) -> Any:
        """Where the loader's indices come from in the end: the sampler of a batch sampler of the user's, too."""
        return innermost_sampler(self.loader) if isinstance(self.loader, DataLoader) else None

    def _is_exact(self) -> bool:
        """Whether the sampler knows where the ranks stand, and can begin anywhere."""
        return isinstance(self._sampler(), DistributedSampler)

    def _streams(self) -> dict[str, Any]:
        return {"process": streams(), "generators": [each.get_state() for each in self._generators()]}

    def _generators(self) -> list[Any]:
        """The generators that an order may come from."""
        owners = (self.loader, self._sampler())
        found = [getattr(each, "generator", None) for each in owners]
        return [each for place, each in enumerate(found) if each is not None and each not in found[:place]]
