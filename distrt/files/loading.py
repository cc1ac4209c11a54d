"""``distrt.load``: what ``save`` or PyTorch's ``torch.save`` wrote. Nothing in a file is executed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import CheckpointError, UnsupportedError
from distrt.core.process.activity import CHECKPOINT, doing
from distrt.core.process.users_code import warn
from distrt.core.storage.storage import TypedStorage, UntypedStorage
from distrt.files import legacy, strangers
from distrt.files.allowed import Rule
from distrt.files.building import ObjectBuilder
from distrt.files.faults import CallersFault, UnpicklingError, quoted
from distrt.files.locations import placed, restorer
from distrt.files.mapping import map_file
from distrt.files.names import StorageType
from distrt.files.safetensors import load_file
from distrt.files.settings import LoadEndianness, of_thread, settings
from distrt.files.unpickling import Unpickler
from distrt.files.zip_reader import ZipReader, room_for

__all__ = ["PROGRAM", "load", "read"]

#: The ``kind`` that the data of an archive of ``jit.save`` says it is.
PROGRAM = "distrt.jit"

_FORCED = ("1", "y", "yes", "true")
_PICKLE_ARGUMENTS = {"encoding", "errors", "fix_imports", "buffers"}
_UNSAFE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` to "
    "`True`. Re-running `torch.load` with `weights_only` set to `False` lets distrt build instances of your own "
    "classes as well; their methods may run, functions that the file names do not."
)


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Loads what ``save``, or PyTorch's ``torch.save``, wrote.

    Args:
        f: a path, or an object that can ``read``, ``readline``, ``tell`` and ``seek``.
        map_location: where storages go: a device or its name, a dict of such names, or a function of a storage and the
            name of its device that gives a storage or None.
        pickle_module: not used: distrt interprets pickles itself.
        weights_only: True allows tensors, containers, numbers and what ``add_safe_globals`` has been given. Without it,
            modules whose classes this process has defined are allowed as well; False allows all of the caller's own
            classes. Functions that a file names are never called.
        mmap: True maps the file, which must be given by its path: memory is read when it is first used.
        pickle_load_args: ``encoding``, for the strings of files that Python 2 wrote.

    Raises:
        CheckpointError: (a RuntimeError) for a file that is damaged.
        pickle.UnpicklingError: for one that asks for what it must not have.
        EOFError: for an empty one.
    """
    weights_only = _forced(weights_only)
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if pickle_load_args and weights_only is not False:
        warn("pickle_load_args only works if `weights_only=False`.")
    unknown = set(pickle_load_args) - ({"encoding"} if weights_only is not False else _PICKLE_ARGUMENTS)
    if unknown:
        raise TypeError(f"load() got an unexpected keyword argument '{min(unknown)}'")
    if isinstance(f, str | os.PathLike) and os.fspath(f).endswith(".safetensors"):
        return load_file(f, _device_of(map_location))
    found = read(f, map_location, weights_only, bool(mmap), pickle_load_args.get("encoding", "utf-8"))
    if isinstance(found, dict) and found.get("kind") == PROGRAM:
        raise CheckpointError("the file is an archive of jit.save, which holds a program: jit.load reads it")
    return found


def read(
    f: Any,
    map_location: Any = None,
    weights_only: bool | None = None,
    mmap: bool = False,
    encoding: str = "utf-8",
) -> Any:
    """What ``load`` gives of a file of PyTorch's formats, a program of ``distrt.jit`` as the data that it is."""
    if not isinstance(f, str | os.PathLike):
        _require_seekable(f)
        with doing(CHECKPOINT):
            return _load(f, f, map_location, weights_only, mmap, encoding)
    with open(f, "rb") as file, doing(CHECKPOINT):
        return _load(file, f, map_location, weights_only, mmap, encoding)


def _load(file: Any, f: Any, map_location: Any, weights_only: bool | None, mmap: bool, encoding: str) -> Any:
    start = file.tell()
    head = file.read(4)
    file.seek(start)
    rule, restore = Rule(weights_only), restorer(map_location)
    try:
        if head == b"PK\x03\x04":
            return _Archive(file, f, restore, mmap, weights_only).load(rule, encoding)
        if mmap:
            name = f"{f}, " if isinstance(f, str) else ""
            raise RuntimeError(
                f"mmap can only be used with files saved with `torch.save({name}_use_new_zipfile_serialization=True), "
                "please torch.save your checkpoint with this option in order to use mmap."
            )
        _refuse_tar(file, start)
        return legacy.read(file, rule, restore, encoding)
    except CallersFault as carrier:
        raise carrier.fault from None
    except CheckpointError as fault:
        stranger = strangers.described(file, start)
        if stranger is not None:
            raise type(fault)(f"{stranger}. ({fault})") from fault.__cause__
        if not isinstance(fault, UnpicklingError):
            raise
        raise UnpicklingError(_explained(str(fault), weights_only)) from fault.__cause__


class _Archive:
    """An archive that is being loaded; gives the builder its storages."""

    def __init__(self, file: Any, f: Any, restore: Any, mmap: bool, weights_only: bool | None) -> None:
        start = file.tell()
        if strangers.is_torchscript(file, start):
            if weights_only:
                raise RuntimeError(
                    "Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``. "
                    + _UNSAFE
                )
            raise UnsupportedError(
                "the file is a TorchScript archive of PyTorch, which holds a program: distrt.load reads data. Load the "
                "model with PyTorch, and save its state_dict"
            )
        file.seek(start)
        self._zip = ZipReader(file)
        if mmap and not isinstance(f, str | os.PathLike):
            raise ValueError("f must be a file path in order to use the mmap argument")
        self._restore: Callable[[UntypedStorage, str], Any] = restore
        self._map = map_file(os.fspath(f), settings.mmap_flags) if mmap else None
        self._swaps = self._has_other_byte_order()
        self._storages: dict[str, TypedStorage] = {}
        _check_version(self._zip)

    def load(self, rule: Rule, encoding: str) -> Any:
        """The object in the archive."""
        data = self._zip.read("data.pkl")
        size = sum(record.size for record in self._zip.records.values())
        return Unpickler(io.BytesIO(data), ObjectBuilder(rule, self, size), len(data), encoding).load()

    def storage(
        self, kind: StorageType, key: str, location: str, count: int, rest: tuple[Any, ...]
    ) -> TypedStorage:
        """The storage of a key, read when it is first asked for."""
        if key in self._storages:
            found = self._storages[key]
            if found.dtype is not kind.dtype or len(found) != count:
                raise UnpicklingError(f"storage {quoted(key)} is used in two ways that do not fit together")
            return found
        size = count * kind.dtype.itemsize
        if self._zip.find(f"data/{key}").size != size:
            raise UnpicklingError(f"storage {quoted(key)} has another size than its tensors need: {size}")
        memory = self._memory(f"data/{key}", size, kind.dtype.itemsize)
        if self._swaps and kind.dtype.itemsize > 1:
            part = kind.dtype.to_real() if kind.dtype.is_complex else kind.dtype
            memory = memory.view(f"u{part.itemsize}").byteswap().view(np.uint8)
        untyped = placed(UntypedStorage._of(memory), location, self._restore)
        self._storages[key] = TypedStorage._of(untyped._row.view(kind.dtype.numpy))
        return self._storages[key]

    def _memory(self, name: str, size: int, itemsize: int) -> Array:
        if of_thread.skips_data:
            return np.zeros(size, np.uint8)
        if self._map is not None and size:
            offset = self._zip.offset(name)
            mapped = np.frombuffer(self._map, np.uint8, size, offset)
            return mapped if offset % itemsize == 0 else mapped.copy()
        memory = room_for(size)
        self._zip.read_into(name, memory)
        return memory

    def _has_other_byte_order(self) -> bool:
        if self._zip.has("byteorder"):
            order = self._zip.read("byteorder")
            if order not in (b"little", b"big"):
                raise CheckpointError(f"Unknown endianness type: {quoted(order)}")
            return order.decode() != sys.byteorder
        if settings.endianness is LoadEndianness.NATIVE:
            return False
        return ("big" if settings.endianness is LoadEndianness.BIG else "little") != sys.byteorder


def _check_version(archive: ZipReader) -> None:
    name = ".data/version" if archive.has(".data/version") else "version"
    text = archive.read(name).strip()
    if not text.isdigit() or len(text) > 4:
        raise CheckpointError(f"the file's version is {quoted(text)}, which is no number")
    if not 1 <= int(text) <= 10:
        raise CheckpointError(
            f"Attempted to read a PyTorch file with version {int(text)}, but the maximum supported version for reading "
            "is 10. The file was written by a newer PyTorch."
        )


def _device_of(map_location: Any) -> Any:
    """The one device that all tensors go to.

    Raises:
        RuntimeError: for a ``map_location`` that tells storages apart.
    """
    if isinstance(map_location, dict) or callable(map_location):
        kind = "dict" if isinstance(map_location, dict) else "callable"
        raise RuntimeError(
            f"Loading safetensors file with {kind} map_location is not supported. Use a device string or torch.device "
            "instead."
        )
    return "cpu" if map_location is None else map_location


def _refuse_tar(file: Any, start: int) -> None:
    file.seek(start + 257)
    magic = file.read(5)
    file.seek(start)
    if magic == b"ustar":
        raise CheckpointError(
            "the file is in the legacy .tar format of PyTorch before 0.1.10, which is not read: load it with PyTorch, "
            "and save it again"
        )


def _require_seekable(file: Any) -> None:
    try:
        file.seek(file.tell())
    except (io.UnsupportedOperation, AttributeError) as fault:
        raise type(fault)(
            f"{fault}. You can only torch.load from a file that is seekable. Please pre-load the data into a buffer "
            "like io.BytesIO and try to load from it instead."
        ) from None


def _forced(weights_only: bool | None) -> bool | None:
    """``weights_only`` after PyTorch's variables in the environment."""
    strict = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0").lower() in _FORCED
    wide = os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0").lower() in _FORCED
    if strict and wide:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` should be set, but both "
            "were set."
        )
    if strict:
        return True
    if wide and weights_only is None:
        warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the`weights_only` argument was not "
            "explicitly passed to `torch.load`, forcing weights_only=False."
        )
        return False
    return weights_only


def _explained(message: str, weights_only: bool | None) -> str:
    if weights_only is False:
        return message
    if "was not an allowed global by default" in message:
        return (
            "Weights only load failed. This file can still be loaded, to do so you have two options, "
            "\033[1mdo those steps only if you trust the source of the checkpoint\033[0m. "
            f"\n\t(1) {_UNSAFE}\n\t(2) Alternatively, to load with `weights_only=True` please check the recommended "
            f"steps in the following error message.\n\tWeightsUnpickler error: {message}"
        )
    return f"Weights only load failed. WeightsUnpickler error: {message}"
