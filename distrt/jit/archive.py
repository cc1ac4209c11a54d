"""``jit.save`` and ``jit.load``: programs with their tensors, in one file that needs no class of the caller's.

An archive is written by ``distrt.files`` and holds plain data only: the program as lists and strings (``program.py``),
the tree of modules, and tensors. Reading it runs nothing: every name in it must be in a table, every form one that
there is.
"""

from __future__ import annotations

import os
from typing import Any

from distrt import files
from distrt.core.errors import CheckpointError, UnsupportedError
from distrt.files.faults import SENSELESS, quoted
from distrt.files.loading import PROGRAM, read
from distrt.jit import storing
from distrt.jit.script_function import ScriptFunction
from distrt.jit.script_module import RecursiveScriptModule, ScriptModule

_VERSION = 1

__all__ = ["load", "save"]


def save(m: Any, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
    """Saves a scripted or traced module or function.

    Args:
        m: what ``jit.script`` or ``jit.trace`` has given.
        f: a path, or an object that can ``write``.
        _extra_files: texts or bytes that are stored with it, by file name.

    Raises:
        RuntimeError: for a program that calls Python (``@jit.ignore``), or anything else that cannot be stored.
    """
    if isinstance(m, ScriptModule) and not isinstance(m, RecursiveScriptModule):
        from distrt.jit.script import script

        m = script(m)
    if not isinstance(m, RecursiveScriptModule | ScriptFunction):
        raise AttributeError(
            f"'{type(m).__name__}' object has no attribute 'save': jit.save takes what jit.script gives"
        )
    extra = {name: _as_bytes(value) for name, value in (_extra_files or {}).items()}
    files.save(
        {"kind": PROGRAM, "version": _VERSION, "root": storing.stored(m), "extra": extra},
        f,
    )


def _as_bytes(value: Any) -> str:
    """Bytes as text of one character each, which every reader of pickles takes."""
    return (value.encode() if isinstance(value, str) else bytes(value)).decode("latin-1")


def load(
    f: Any,
    map_location: Any = None,
    _extra_files: dict[str, Any] | None = None,
    _restore_shapes: bool = False,
) -> Any:
    """Loads what ``jit.save`` has written. Nothing in the file is executed.

    Args:
        f: a path, or an object that can ``read``, ``readline``, ``tell`` and ``seek``.
        map_location: as in ``distrt.load``.
        _extra_files: a dict whose values are replaced by what the archive has under its keys, as bytes.

    Raises:
        CheckpointError: (a RuntimeError) for a file that is damaged or no such archive.
        ValueError: for a path that is no file.
    """
    if isinstance(f, str | os.PathLike):
        if not os.path.exists(f):
            raise ValueError(f"The provided filename {os.fspath(f)} does not exist")
        if os.path.isdir(f):
            raise ValueError(f"The provided filename {os.fspath(f)} is a directory")
    said = _read(f, map_location)
    try:
        if not isinstance(said, dict) or said.get("kind") != PROGRAM:
            raise CheckpointError(
                "the file is no archive of jit.save: it has no program. distrt.load may read it"
            )
        if said.get("version") != _VERSION:
            raise CheckpointError(
                f"the archive has version {quoted(said.get('version'))}; {_VERSION} is what is read"
            )
        made = storing.restored(said.get("root"))
        _give_extra(_extra_files, said.get("extra"))
        return made
    except CheckpointError:
        raise
    except SENSELESS as fault:
        raise CheckpointError(f"the archive's program makes no sense: {quoted(str(fault), 200)}") from fault


def _read(f: Any, map_location: Any) -> Any:
    try:
        return read(f, map_location)
    except UnsupportedError as fault:
        raise CheckpointError(
            "the file is a TorchScript archive of PyTorch, whose program distrt does not read: load the model there, "
            "save its state_dict, and script or trace the model here"
        ) from fault


def _give_extra(wanted: dict[str, Any] | None, there: Any) -> None:
    if wanted is None:
        return
    if not isinstance(there, dict) or not all(
        isinstance(each, str) for pair in there.items() for each in pair
    ):
        raise CheckpointError("the archive's extra files are not texts")
    for name in wanted:
        wanted[name] = there.get(name, "").encode("latin-1")
