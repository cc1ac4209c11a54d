"""Writes a state to a folder: each rank its part, and rank 0 the manifest, which makes it complete.

The ranks agree on who writes what when a save begins (`Save`), which is the only time that they talk; the rest may
happen in another thread. Each rank leaves a note with its checksums in the folder, rank 0 waits for all of them.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import pickle
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from distrt.checkpoint import disk
from distrt.checkpoint.manifest import NAME, Entry, Manifest, Piece, read_manifest
from distrt.checkpoint.parts import region_of
from distrt.checkpoint.ranks import Ranks
from distrt.checkpoint.tree import Path, encoded, flattened
from distrt.core.arrays import Array, address_of, is_on_gpu
from distrt.core.device import CPU
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import CheckpointError
from distrt.core.gpu.places import moved
from distrt.core.sparse.array import is_sparse
from distrt.core.tensor import Tensor
from distrt.files.atomic import write_atomically
from distrt.files.checksum import crc32
from distrt.files.safetensors import has_name, laid_out
from distrt.files.saving import save as save_file
from distrt.files.zip_reader import room_for

__all__ = ["Save", "Staging"]

_PIECE = 1 << 20
_POLL_S = 0.01
_LAST_WAIT_S = 60.0  # for the others' notes once the main thread has ended: they may have died


@dataclass
class Item:
    """What this rank has of one leaf.

    Attributes:
        path: its path.
        array: its elements, or the bytes of a saved object; None for a plain value.
        dtype: that of a tensor.
        shape: that of the whole tensor.
        offsets: where the part begins in it.
        value: a plain value, as JSON has it.
        counter: counts the changes of a tensor.
        version: its count when the save began.
    """

    path: Path
    array: Array | None = None
    dtype: dt.dtype | None = None
    shape: tuple[int, ...] = ()
    offsets: tuple[int, ...] = ()
    value: Any = None
    counter: Any = None
    version: int = 0


class Staging:
    """Memory for copies of what is saved while the originals change; kept from one save to the next."""

    def __init__(self) -> None:
        self._kept: dict[str, Array] = {}

    def copy(self, name: str, array: Array) -> Array:
        """A copy, in the memory of the last one of this name where it fits."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != array.shape or kept.dtype != array.dtype:
            kept = room_for(array.nbytes).view(array.dtype).reshape(array.shape)
            self._kept[name] = kept
        np.copyto(kept, array)
        return kept


def _agree(ranks: Ranks, step: str, error: Exception | None) -> None:
    ranks.agree(error)


class Save:
    """A state on its way into a folder; a collective.

    Args:
        state: dicts and lists of tensors and values. A plain tensor or value is taken to be the same on all ranks that
            have it, and one of them writes it; of a ``DTensor`` each rank writes its part.
        folder: exists already, and is the same for all ranks.
        ranks: who saves.
        about: what the manifest shall say of the save.
        staging: copies are written, so that the state may change: what ``later`` does not name from now on, all of it
            once ``finish_apart`` has called ``copied``.
        later: addresses of memory that the caller keeps as it is until then.
        agree: tells the other ranks of an error, and in which step; raises on all of them.

    Raises:
        CheckpointError: on all ranks, where the state of one cannot be saved.
    """

    def __init__(
        self,
        state: Mapping[str, Any],
        folder: str,
        ranks: Ranks,
        about: dict[str, Any] | None = None,
        staging: Staging | None = None,
        later: Collection[int] = (),
        agree: Callable[[Ranks, str, Exception | None], None] = _agree,
    ) -> None:
        self.folder, self.ranks, self.about = folder, ranks, about or {}
        self._agree = agree
        items: dict[str, Item] = {}
        error: Exception | None = None
        try:
            items = {name: _item(name, path, leaf) for name, (path, leaf) in flattened(state).items()}
        except Exception as caught:  # told to the others, then raised
            error = caught
        agree(ranks, "plan", error)
        listed = [
            [name, list(each.offsets), 0 if each.array is None else each.array.nbytes]
            for name, each in items.items()
        ]
        everyone = ranks.gathered([secrets.token_hex(4), listed])
        self.attempt = self.about["attempt"] = everyone[0][0]
        owners = _owners([each for _, each in everyone])
        self._mine = {name: each for name, each in items.items() if owners[name, each.offsets] == ranks.rank}
        _bring_down(self._mine.values())
        self._staging = staging
        self._uncopied: dict[str, Item] = {}
        self._changed = ""
        if staging is not None:
            for name, each in self._mine.items():
                if each.dtype is not None and each.array is not None:
                    if each.array.size and address_of(each.array) in later:
                        self._uncopied[name] = each
                    else:
                        each.array = staging.copy(name, each.array)

    def finish(self, complete: Callable[[], None]) -> None:
        """Writes and completes a save while all ranks wait, and tells all of an error; a collective.

        Args:
            complete: what rank 0 does when all have written.

        Raises:
            CheckpointError: on all ranks, or what ``agree`` raises; nothing is left of the save then.
        """
        for step, work in (("write", self.write), ("finish", complete)):
            error: Exception | None = None
            if step == "write" or self.ranks.rank == 0:
                try:
                    work()
                except Exception as caught:  # told to the others, then raised
                    error = self._said(caught)
            try:
                self._agree(self.ranks, step, error)
            except BaseException:
                if self.ranks.rank == 0:
                    self.abandon()
                raise

    def finish_apart(
        self, complete: Callable[[], None], timeout_s: float, copied: Callable[[], object]
    ) -> None:
        """The same in a thread, without a word to the other ranks but for the notes.

        Args:
            complete: what rank 0 does; it waits for the others' notes.
            timeout_s: how long the others wait for rank 0 to complete the save or to give it up.
            copied: is called when the state may change.

        Raises:
            CheckpointError: this rank could not write, or rank 0 could not complete; only rank 0 notices the latter.
        """
        error: Exception | None = None
        try:
            try:
                self._copy()
            finally:
                copied()
            self.write()
        except Exception as caught:  # rank 0 looks what the others have done first
            error = self._said(caught)
        try:
            if self.ranks.rank == 0:
                complete()
            else:
                self._await_the_end(timeout_s)
        except Exception as caught:
            if self.ranks.rank == 0:
                self.abandon()
            error = error or self._said(caught)
        if error is not None:
            raise error

    def _said(self, error: Exception) -> Exception:
        if not isinstance(error, OSError):
            return error
        said = CheckpointError(f"cannot write to {self.folder}: {error.strerror}")
        said.__cause__ = error
        return said

    def _copy(self) -> None:
        """Copies what is to be copied later, in any thread; ``write`` tells of a tensor that was changed."""
        for name, each in self._uncopied.items():
            assert self._staging is not None and each.array is not None, "only such items wait for a copy"
            each.array = self._staging.copy(name, each.array)
            if each.counter[0] != each.version:
                self._changed = name

    def write(self) -> None:
        """Writes this rank's part, and its note.

        Raises:
            CheckpointError: where that is not possible, or a tensor was changed before it was copied.
        """
        note = Manifest({}, {})
        try:
            if self._changed:
                raise CheckpointError(
                    f"{self._changed} was changed while an asynchronous save copied it: only an optimizer's step may "
                    "do that, all else comes after Checkpoints.wait()"
                )
            note = self._part()
        except BaseException as error:
            with contextlib.suppress(OSError, CheckpointError):
                note.about["error"] = str(error)
                self._leave(note)
            raise
        self._leave(note)

    def _await_the_end(self, timeout_s: float) -> None:
        """Other ranks than 0: waits until their note has been taken away, or the whole folder."""
        began = time.monotonic()
        while os.path.exists(self._note(self.ranks.rank)):
            if time.monotonic() - began > timeout_s:
                raise CheckpointError(f"rank 0 did not complete {self.folder} within {timeout_s:.0f} s")
            time.sleep(_POLL_S)

    def _leave(self, note: Manifest) -> None:
        write_atomically(self._note(self.ranks.rank), lambda file: file.write(note.to_bytes()))

    def _note(self, rank: int) -> str:
        return os.path.join(self.folder, f"{self.attempt}-{rank:04d}.note")

    def _file(self, rank: int) -> str:
        return f"{self.attempt}-{rank:04d}.safetensors"

    def _part(self) -> Manifest:
        rows: dict[str, tuple[str, Item, Array]] = {}  # by the place in memory, or by name
        keys: dict[str, str] = {}
        for name, each in self._mine.items():
            if each.array is not None:
                place = _place(name, each.array)
                rows.setdefault(place, (_key(name, each), each, np.ascontiguousarray(each.array)))
                keys[name] = rows[place][0]
        arrays = {key: array for key, _, array in rows.values()}
        head, order = laid_out({key: _as_written(each) for key, each, _ in rows.values()})
        checksums: dict[str, int] = {}
        file = self._file(self.ranks.rank)
        sizes = {}
        if arrays:
            buffers = _buffers(head, {key: arrays[key] for key in order}, checksums)
            sizes[file] = disk.write_new(os.path.join(self.folder, file), buffers)
        entries = {}
        for name, each in self._mine.items():
            pieces: tuple[Piece, ...] = ()
            if each.array is not None:
                shape = tuple(each.array.shape)
                pieces = (Piece(each.offsets, shape, file, keys[name], checksums[keys[name]]),)
            entries[name] = Entry(each.path, each.dtype, each.shape, pieces, each.value)
        return Manifest(entries, sizes)

    def complete(self, timeout_s: float) -> None:
        """Rank 0 alone: waits for the other ranks' parts, and writes the manifest.

        Raises:
            CheckpointError: for a part that is missing, or could not be written.
        """
        whole = Manifest({}, {}, self.about)
        notes = [self._awaited(rank, timeout_s) for rank in range(self.ranks.size)]  # all have ended, then
        for rank, note in enumerate(notes):
            if "error" in note.about:
                raise CheckpointError(f"rank {rank}: {note.about['error']}")
            whole.add(note)
        whole.require_whole()
        before = self._files_before()
        path = os.path.join(self.folder, NAME)
        write_atomically(path, lambda file: file.write(whole.to_bytes()), sync=True)
        for rank in range(self.ranks.size):
            disk.remove(self._note(rank))
        for name in before - whole.files.keys():
            disk.remove(os.path.join(self.folder, name))

    def _awaited(self, rank: int, timeout_s: float) -> Manifest:
        began = time.monotonic()
        while True:
            try:
                with open(self._note(rank), "rb") as file:
                    note = Manifest.from_bytes(file.read())
                break
            except FileNotFoundError:
                pass
            waited = time.monotonic() - began
            limit = timeout_s if threading.main_thread().is_alive() else min(timeout_s, _LAST_WAIT_S)
            if waited > limit or not os.path.isdir(self.folder):
                raise CheckpointError(
                    f"rank {rank}'s part did not come to {self.folder} within {waited:.0f} s: do all ranks see the "
                    "same folder?"
                )
            time.sleep(_POLL_S)
        return note

    def _files_before(self) -> set[str]:
        try:
            return set(read_manifest(self.folder).files)
        except CheckpointError:
            return set()

    def abandon(self) -> None:
        """Rank 0 alone: removes what the ranks have written."""
        for rank in range(self.ranks.size):
            disk.remove(self._note(rank))
            disk.remove(os.path.join(self.folder, self._file(rank)))


def _item(name: str, path: Path, leaf: Any) -> Item:
    if isinstance(leaf, Tensor) and not is_sparse(leaf._array):  # sparse ones are files of their own
        region = region_of(leaf)
        offsets = (0,) * leaf._array.ndim if region is None else region[0]
        counter = leaf._counter
        return Item(
            path, leaf._array, leaf.dtype, tuple(leaf.shape), offsets, counter=counter, version=counter[0]
        )
    plain = encoded(leaf)
    if plain is not None:
        return Item(path, value=plain.json)
    buffer = io.BytesIO()
    try:
        save_file(leaf, buffer)
    except (pickle.PicklingError, AttributeError, TypeError) as fault:
        raise CheckpointError(f"{name} cannot be saved: {fault}") from fault
    return Item(path, np.frombuffer(buffer.getvalue(), np.uint8), offsets=(0,))


def _bring_down(items: Iterable[Item]) -> None:
    """What is on a GPU, copied to the CPU: files are written from there. Names of one memory have one copy."""
    copies: dict[tuple[int, Any, Any], Array] = {}
    for each in items:
        if each.array is not None and is_on_gpu(each.array):
            place = address_of(each.array), each.array.shape, each.array.strides
            if place not in copies:
                copies[place] = moved(each.array, CPU)
            each.array = copies[place]


def _owners(everyone: list[list[Any]]) -> dict[tuple[str, tuple[int, ...]], int]:
    """Who writes each part: of the ranks that have it, the one with the least to write."""
    holders: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    sizes: dict[tuple[str, tuple[int, ...]], int] = {}
    for rank, listed in enumerate(everyone):
        for name, offsets, size in listed:
            holders.setdefault((name, tuple(offsets)), []).append(rank)
            sizes[name, tuple(offsets)] = size
    load = [0] * len(everyone)
    found = {}
    for part, ranks in holders.items():
        found[part] = min(ranks, key=lambda rank: (load[rank], rank))
        load[found[part]] += sizes[part]
    return found


def _place(name: str, array: Array) -> str:
    """What two names of one memory have in common."""
    return f"{address_of(array)} {array.dtype} {array.shape} {array.strides}" if array.size else name


def _key(name: str, item: Item) -> str:
    is_part = item.array is not None and item.dtype is not None and item.shape != item.array.shape
    return f"{name}[{','.join(map(str, item.offsets))}]" if is_part else name


def _as_written(item: Item) -> tuple[dt.dtype, tuple[int, ...]]:
    """The dtype and shape that the file names: bytes, for a dtype that the format does not have."""
    assert item.array is not None, "it has bytes"
    if item.dtype is not None and has_name(item.dtype):
        return item.dtype, tuple(item.array.shape)
    return dt.uint8, (math.prod(item.array.shape) * item.array.itemsize,)


def _buffers(head: bytes, rows: dict[str, Array], checksums: dict[str, int]) -> Iterator[Any]:
    """The bytes of a file, piece by piece; each is in the cache when it is written, since its checksum was computed."""
    yield head
    for key, array in rows.items():
        view = memoryview(array.reshape(-1).view(np.uint8))
        checksum = 0
        for at in range(0, len(view), _PIECE):
            piece = view[at : at + _PIECE]
            checksum = crc32(piece, checksum)
            yield piece
        checksums[key] = checksum
