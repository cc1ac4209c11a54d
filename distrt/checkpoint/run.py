"""``Checkpoints``: the folder of a run's checkpoints. Each is a folder of its own, complete or not there.

A checkpoint is written under a hidden name, synced, and renamed; then ``latest`` names it. Folders are numbered in the
order of saving, so that a run that goes back is not mistaken for one that went further.
"""

from __future__ import annotations

import operator
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from distrt import __version__
from distrt.checkpoint import disk
from distrt.checkpoint.contents import Restoring, before_steps, changed_by_steps, contents
from distrt.checkpoint.ranks import Ranks
from distrt.checkpoint.reading import Saved
from distrt.checkpoint.writing import Save, Staging
from distrt.comm.process_group import ProcessGroup
from distrt.core.errors import CheckpointError
from distrt.core.process.activity import CHECKPOINT, doing
from distrt.core.process.users_code import warn
from distrt.files.atomic import write_atomically

__all__ = ["Checkpoints", "Found", "found_in"]

_NAME = re.compile(r"(\d{6,})-step-(\d+)")
_LEFT_OVER = re.compile(r"\.\d{6,}-step-\d+\.(tmp|old)|\.latest\.[0-9a-f]+\.tmp")


class Found(NamedTuple):
    """A checkpoint that was completed, by its name: whether it still is, its files tell."""

    number: int
    step: int
    path: str


def found_in(folder: str) -> list[Found]:
    """The checkpoints of a run, the newest first."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    matches = [match for name in names if (match := _NAME.fullmatch(name))]
    found = [Found(int(each[1]), int(each[2]), os.path.join(folder, each[0])) for each in matches]
    return sorted(found, reverse=True)


def _require_names(run: Any) -> None:
    if not isinstance(run, Mapping) or not all(isinstance(name, str) for name in run):
        raise TypeError(
            'a run is a dictionary of its parts by name, such as {"model": model, "optimizer": optimizer}, '
            f"got {type(run).__name__}"
        )


class Checkpoints:
    """The checkpoints of a run; every rank makes one, of the same folder.

        checkpoints = distrt.checkpoint.Checkpoints("runs/7", keep=3)
        run = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler, "config": config}
        step = checkpoints.resume(run) or 0
        while step < steps:
            ...
            step += 1
            if step % 1000 == 0:
                checkpoints.save(step, run, asynchronous=True)
        checkpoints.wait()

    Args:
        folder: where they are; it is made when it is needed.
        keep: how many stay there, the newest ones; None for all.
        group: the ranks; those of the default group where None, and this process alone where there is none.
        timeout_s: how long a rank waits for what the others write, after it has written its own part.

    Raises:
        ValueError: for a ``keep`` below 1.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep: int | None = 3,
        group: ProcessGroup | None = None,
        timeout_s: float = 1800.0,
    ) -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"keep must be at least 1, or None for all, got {keep}")
        self.folder = os.path.abspath(folder)
        self._keep, self._ranks, self._timeout_s = keep, Ranks(group), timeout_s
        self._staging = Staging()
        self._thread: threading.Thread | None = None
        self._hooks: list[Any] = []
        self._error: Exception | None = None

    def save(self, step: int, run: Mapping[str, Any], asynchronous: bool = False) -> None:
        """Saves a run; a collective.

        Args:
            step: where the run stands.
            run: models, optimizers, whatever has ``state_dict`` and ``load_state_dict``, generators, plain values. The
                random streams of each rank are saved as well.
            asynchronous: copy the state and write it while the run goes on. The next step of an optimizer in ``run``
                waits for the copy of what it changes; all else is copied at once. Who changes parameters by other
                means calls ``wait`` before. An error is raised by the next ``save`` or ``wait``.

        Raises:
            CheckpointError: on all ranks; the checkpoints from before are as they were.
            TypeError: ``step`` is no integer, or ``run`` no dictionary.
        """
        _require_names(run)
        if operator.index(step) < 0:
            raise ValueError(f"a step is not negative, got {step}")
        with doing(CHECKPOINT):
            self._save(step, run, asynchronous)

    def _save(self, step: int, run: Mapping[str, Any], asynchronous: bool) -> None:
        self.wait()
        name, error = "", None
        if self._ranks.rank == 0:
            try:
                name = self._begin(step)
            except OSError as fault:
                error = CheckpointError(f"cannot write to {self.folder}: {fault.strerror}")
        self._ranks.agree(error)
        name = self._ranks.from_first(name)
        temporary = os.path.join(self.folder, f".{name}.tmp")
        about = {
            "step": step,
            "world_size": self._ranks.size,
            "distrt": __version__,
            "time": round(time.time(), 3),
        }
        try:
            save = Save(
                contents(run, self._ranks.rank, self._ranks.size),
                temporary,
                self._ranks,
                about,
                self._staging if asynchronous else None,
                changed_by_steps(run) if asynchronous else (),
            )
            if not asynchronous:
                save.finish(lambda: self._publish(save, name))
        except BaseException:
            if self._ranks.rank == 0:
                disk.remove_folder(temporary)
            raise
        if asynchronous:
            # No daemon: a process that ends waits for it.
            copied = threading.Event()
            self._hooks = before_steps(run, lambda: copied.wait(self._timeout_s))
            self._thread = threading.Thread(
                target=self._write, args=(save, name, copied), name="distrt-checkpoint"
            )
            self._thread.start()

    def wait(self) -> None:
        """Waits for an asynchronous save; a collective.

        Raises:
            CheckpointError: on all ranks, where it has failed on one.
        """
        if self._thread is None:
            return
        with doing(CHECKPOINT):
            self._thread.join()
            self._thread = None
            for each in self._hooks:
                each.remove()
            error, self._error = self._error, None
            self._ranks.agree(error)

    def resume(self, run: dict[str, Any], step: int | None = None) -> int | None:
        """Gives a run the state of the newest complete checkpoint; a collective.

        One that is damaged is passed over, with a warning that says what is wrong with it. Nothing is loaded of it.

        Args:
            run: as it is given to ``save``; plain values in it are replaced by those of the checkpoint.
            step: that of the checkpoint; the newest one's where None.

        Returns:
            Its step; None where there is no checkpoint.

        Raises:
            CheckpointError: on all ranks: no checkpoint is whole, or the newest whole one is not of such a run.
            TypeError: ``run`` is no dictionary.
        """
        _require_names(run)
        self.wait()
        listed = [list(each) for each in found_in(self.folder)] if self._ranks.rank == 0 else None
        candidates = [Found(*each) for each in self._ranks.from_first(listed)]
        if step is not None:
            candidates = [each for each in candidates if each.step == step]
            if not candidates:
                raise CheckpointError(f"{self.folder} has no checkpoint of step {step}")
        reasons = []
        for each in candidates:
            with doing(CHECKPOINT):
                failures = self._load(each.path, run)
            if not failures:
                return each.step
            said = "; ".join(f"rank {rank}: {failure}" for rank, failure in failures.items())
            reasons.append(said)
            if self._ranks.rank == 0:
                warn(f"the checkpoint of step {each.step} is passed over: {said}")
        if reasons:
            raise CheckpointError(f"no checkpoint in {self.folder} is whole: {' / '.join(reasons)}")
        return None

    # -- saving

    def _begin(self, step: int) -> str:
        """Rank 0 alone: sweeps what killed saves have left, and makes the folder to write to; gives its name."""
        os.makedirs(self.folder, exist_ok=True)
        for left in filter(_LEFT_OVER.fullmatch, os.listdir(self.folder)):
            path = os.path.join(self.folder, left)
            disk.remove_folder(path) if os.path.isdir(path) else disk.remove(path)
        newest = found_in(self.folder)[:1]
        name = f"{(newest[0].number if newest else 0) + 1:06d}-step-{step}"
        disk.make_folder(os.path.join(self.folder, f".{name}.tmp"))
        return name

    def _publish(self, save: Save, name: str) -> None:
        """Rank 0 alone: makes a checkpoint complete, and gives it its name."""
        save.complete(self._timeout_s)
        disk.rename(save.folder, os.path.join(self.folder, name))
        pointer = os.path.join(self.folder, "latest")
        write_atomically(pointer, lambda file: file.write(f"{name}\n".encode()), sync=True)
        for each in found_in(self.folder)[self._keep :] if self._keep else ():
            old = os.path.join(self.folder, f".{os.path.basename(each.path)}.old")
            disk.rename(each.path, old)
            disk.remove_folder(old)

    def _write(self, save: Save, name: str, copied: threading.Event) -> None:
        """What the thread of an asynchronous save does."""
        try:
            save.finish_apart(lambda: self._publish(save, name), self._timeout_s, copied.set)
        except Exception as error:  # raised by whoever waits
            self._error = error
            if self._ranks.rank == 0:
                disk.remove_folder(save.folder)

    # -- loading

    def _load(self, path: str, run: dict[str, Any]) -> dict[int, str]:
        """Loads a checkpoint; what is damaged in it, by rank, and nothing loaded then; a collective."""
        error: Exception | None = None
        restoring: Restoring | None = None

        def opened() -> None:
            nonlocal restoring
            restoring = Restoring(Saved(path), run, self._ranks.rank, self._ranks.size)

        failures = self._failures(opened)
        if failures:
            return failures
        assert restoring is not None, "it was opened"
        try:
            restoring.require_fit()
        except CheckpointError as caught:
            error = caught
        self._ranks.agree(error)
        failures = self._failures(restoring.verify)
        if not failures:
            restoring.give()
        return failures

    def _failures(self, work: Callable[[], None]) -> dict[int, str]:
        error: Exception | None = None
        try:
            work()
        except (CheckpointError, OSError) as caught:
            error = caught
        return self._ranks.failures(error)
