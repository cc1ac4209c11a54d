"""Writes a file so that its name stands for the old content or for the new one, never for a part of either.

The content goes to a temporary file beside it, which takes its name when it is complete. A process that is killed in
between leaves the old file, and the temporary one. ``os.fsync`` is called on request only: it costs more than writing,
and what it helps against is a machine that loses power.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from typing import Any

from distrt.core.errors import CheckpointError

__all__ = ["replace_whole", "sync_folder", "write_atomically"]


def write_atomically(path: str, fill: Callable[[Any], None], sync: bool = False) -> None:
    """``replace_whole``, for what was trained: its errors are PyTorch's when a file cannot be saved.

    Raises:
        CheckpointError: where the folder is missing, or the file cannot be written. What was there before is unchanged.
    """
    if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
        raise CheckpointError(f"Parent directory {os.path.dirname(path) or '.'} does not exist.")
    try:
        replace_whole(path, fill, sync)
    except OSError as fault:
        raise CheckpointError(
            f"PytorchStreamWriter failed writing file {path}: {fault.strerror or fault}. Nothing of it is kept"
        ) from fault


def replace_whole(path: str, fill: Callable[[Any], None], sync: bool = False) -> None:
    """Calls ``fill`` with a file to write, and gives that file the name ``path`` when it returns.

    A link is followed; a device or a pipe is written to as it is. With ``sync``, the content is on the disk before the
    name is, and the name when this returns.

    Raises:
        OSError: with ``path`` in it; what was there before is unchanged.
    """
    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        mode = None
    try:
        if mode is not None and not stat.S_ISREG(mode):
            with open(target, "wb", buffering=0) as file:
                fill(file)
        else:
            _replace(target, mode, fill, sync)
    except OSError as fault:  # of the temporary file, whose name says nothing to anybody
        raise OSError(fault.errno, fault.strerror or str(fault), path) from fault


def _replace(target: str, mode: int | None, fill: Callable[[Any], None], sync: bool) -> None:
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(8)}.tmp")
    # The permissions that a new file gets, or those of the file that it replaces.
    number = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(number, "w+b", buffering=0) as file:
            if mode is not None:
                os.fchmod(number, stat.S_IMODE(mode))
            fill(file)
            if sync:
                os.fsync(number)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if sync:
        sync_folder(folder)


def sync_folder(path: str) -> None:
    """Brings the names in a folder to the disk."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
