"""What a run consists of, as a state to save, and back: models, optimizers, schedules, scalers, random streams, values.

A model's names are those that it has without wrappers, and every tensor is known by its place in the whole: so a state
loads under another wrapper, and on another number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from distrt.checkpoint.manifest import Entry
from distrt.checkpoint.parts import region_in, region_of
from distrt.checkpoint.position import Batches
from distrt.checkpoint.reading import Region, Saved
from distrt.checkpoint.streams import set_streams, streams
from distrt.checkpoint.tree import nested
from distrt.core.arrays import address_of
from distrt.core.errors import CheckpointError
from distrt.core.random.generator import Generator
from distrt.core.sparse.array import is_sparse
from distrt.core.tensor import Tensor, wrap
from distrt.nn.modules.module import Module
from distrt.optim.optimizer import Optimizer
from distrt.parallel.distributed_tensors.tensor import DTensor, distributed
from distrt.parallel.fully_sharded.global_state import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)

__all__ = ["Restoring", "before_steps", "changed_by_steps", "contents"]

STREAMS = "random streams"  # the key of what every rank has for itself


def contents(run: Mapping[str, Any], rank: int, world_size: int) -> dict[str, Any]:
    """The state of a run; all ranks call.

    Args:
        run: models, optimizers, whatever has ``state_dict`` and ``load_state_dict``, generators, and plain values.
        rank: this one: random streams are each rank's own.
        world_size: of how many.
    """
    if STREAMS in run:
        raise ValueError(f"the name {STREAMS!r} is taken: give this part of the run another one")
    state: dict[str, Any] = {}
    own = streams()
    for name, each in run.items():
        if isinstance(each, Module):
            state[name] = get_model_state_dict(each)
        elif isinstance(each, Generator):
            own[f"generator {name}"] = each.get_state()
        elif isinstance(each, Batches):
            state[name] = each.position(world_size)
            own[f"batches {name}"] = each.start()
        elif is_stateful(each):
            state[name] = each.state_dict()
        else:
            state[name] = each
    state[STREAMS] = {str(rank): own}
    return state


def is_stateful(value: Any) -> bool:
    """Whether a part of a run has a state that is taken from it and given back to it."""
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def changed_by_steps(run: Mapping[str, Any]) -> set[int]:
    """The addresses of what the optimizers of a run change, and nothing but their steps; sparse tensors have none."""
    found: set[int] = set()
    for optimizer in run.values():
        if isinstance(optimizer, Optimizer):
            parameters = [each for group in optimizer.param_groups for each in group["params"]]
            states = [each for state in optimizer.state.values() for each in state.values()]
            arrays = [each._array for each in (*parameters, *states) if isinstance(each, Tensor)]
            found |= {address_of(array) for array in arrays if not is_sparse(array)}
    return found


def before_steps(run: Mapping[str, Any], wait: Callable[[], object]) -> list[Any]:
    """Has every step of the optimizers of a run wait first; gives the handles that take this back."""
    return [
        each.register_step_pre_hook(lambda *_: wait() and None)
        for each in run.values()
        if isinstance(each, Optimizer)
    ]


class Restoring:
    """A saved state on its way into a run: looked at first, then checked, then given, so that nothing is half loaded.

    Args:
        saved: the checkpoint.
        run: as it was given to ``contents``.
        rank: this one.
        world_size: of how many.
    """

    def __init__(self, saved: Saved, run: dict[str, Any], rank: int, world_size: int) -> None:
        self._saved, self._run, self._rank, self._world_size = saved, run, rank, world_size
        self._entries: dict[str, dict[str, Entry]] = {}
        for name, entry in saved.manifest.entries.items():
            self._entries.setdefault(str(entry.path[0]), {})[name] = entry
        self._layouts = dict(self._all_layouts())

    def require_fit(self) -> None:
        """Looks whether the checkpoint is one of such a run.

        Raises:
            CheckpointError: naming all that is missing, left over, or of another shape.
        """
        faults = []
        for key, each in self._run.items():
            if not isinstance(each, Generator) and key not in self._entries:
                faults.append(f"{key} is missing")
            elif isinstance(each, Module):
                faults += self._misfits(key, each)
            elif isinstance(each, Batches):
                each.batches_in(self._tree(key), self._world_size)
        if faults:
            raise CheckpointError(
                f"{self._saved.folder} does not fit; nothing was loaded: {'; '.join(faults[:20])}"
                + (f"; and {len(faults) - 20} more" if len(faults) > 20 else "")
            )

    def _misfits(self, key: str, model: Module) -> Iterator[str]:
        mine: dict[str, Any] = {f"{key}.{name}": each for name, each in get_model_state_dict(model).items()}
        theirs = self._entries[key]
        for name in mine.keys() - theirs.keys():
            yield f"{name} is missing"
        for name in theirs.keys() - mine.keys():
            yield f"{name} is not expected"
        for name in mine.keys() & theirs.keys():
            if not isinstance(mine[name], Tensor):
                continue
            if is_sparse(mine[name]._array):
                if not theirs[name].is_object:
                    yield f"{name} is dense there and of the layout {mine[name].layout} here"
            elif tuple(mine[name].shape) != theirs[name].shape:
                yield f"{name} is {list(theirs[name].shape)} there and {list(mine[name].shape)} here"

    def verify(self) -> None:
        """Compares what this rank needs with its checksums.

        Raises:
            CheckpointError: naming what is damaged.
        """
        for key in (*self._run, STREAMS):
            for name in self._needed(key):
                self._saved.verify(name, self._region(name))

    def give(self) -> None:
        """Gives every part of the run its state; all ranks call."""
        for key, each in self._run.items():
            if isinstance(each, Generator | Batches):  # what they have is each rank's own
                continue
            found = self._tree(key)
            if isinstance(each, Module):
                set_model_state_dict(each, found, options=StateDictOptions())
            elif is_stateful(each):
                each.load_state_dict(found)
            else:
                self._run[key] = found
        self._give_streams()

    def _give_streams(self) -> None:
        """This rank's own; a rank that there was not keeps what it has."""
        own = self._tree(STREAMS)[str(self._rank)] if self._needed(STREAMS) else {}
        if own:
            set_streams(own)
        for key, each in self._run.items():
            if isinstance(each, Generator) and f"generator {key}" in own:
                each.set_state(own[f"generator {key}"])
            elif isinstance(each, Batches):
                each.go_to(self._tree(key), self._world_size, own.get(f"batches {key}"))

    def _needed(self, key: str) -> list[str]:
        entries = self._entries.get(key, {})
        if key != STREAMS:
            return list(entries)
        return [name for name, entry in entries.items() if entry.path[1] == str(self._rank)]

    def _tree(self, key: str) -> Any:
        """The state of one part of the run."""
        keeps = not isinstance(self._run.get(key), Module)  # a model copies what it is given
        leaves = {}
        for name in self._needed(key):
            entry = self._saved.entry(name)
            leaves[name] = (entry.path, self._leaf(name, entry, keeps))
        return nested(leaves)[key]

    def _leaf(self, name: str, entry: Entry, keeps: bool) -> Any:
        if not entry.is_tensor:
            return self._saved.value(name)
        found = self._saved.array(name, self._region(name))
        if keeps:
            found = np.array(found)
        layout = self._layouts.get(name)
        return wrap(found) if layout is None else distributed(found, layout)

    def _region(self, name: str) -> Region | None:
        layout = self._layouts.get(name)
        return None if layout is None else region_in(layout)

    def _all_layouts(self) -> Iterator[tuple[str, Any]]:
        """Where the parts of a tensor shall be, by name; for those alone that are cut."""
        for key, each in self._run.items():
            if isinstance(each, Module):
                for name, tensor in get_model_state_dict(each).items():
                    if isinstance(tensor, DTensor) and region_of(tensor) is not None:
                        yield f"{key}.{name}", tensor._layout
            elif isinstance(each, Optimizer):
                yield from self._layouts_of_state(key, each)

    def _layouts_of_state(self, key: str, optimizer: Optimizer) -> Iterator[tuple[str, Any]]:
        """State of a parameter's shape lies as the parameter does."""
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        for name, entry in self._entries.get(key, {}).items():
            match entry.path:
                case (_, "state", (int(number),), _) if number < len(parameters):
                    like = parameters[number]
                    is_cut = isinstance(like, DTensor) and region_of(like) is not None
                    if is_cut and entry.is_tensor and entry.shape == tuple(like.shape):
                        yield name, like._layout
