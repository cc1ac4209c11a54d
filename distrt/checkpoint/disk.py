"""The few things that saving asks of a filesystem, each of which brings to the disk what it has done; and reading."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from typing import Any

from distrt.core.errors import CheckpointError
from distrt.files.atomic import sync_folder

__all__ = ["content_of", "make_folder", "remove", "remove_folder", "rename", "write_new"]


def write_new(path: str, buffers: Iterable[Any]) -> int:
    """Writes a file that is not there yet; gives its size. What is left of it after an error is removed."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    size = 0
    try:
        try:
            for buffer in buffers:
                view = memoryview(buffer)
                while len(view):
                    taken = os.write(number, view)
                    view, size = view[taken:], size + taken
            os.fsync(number)
        finally:
            os.close(number)
    except BaseException:
        remove(path)
        raise
    return size


def make_folder(path: str) -> None:
    """Makes a folder that is not there yet."""
    os.mkdir(path)


def rename(old: str, new: str) -> None:
    """Gives a folder another name beside the old one; what it holds is on the disk before that."""
    sync_folder(old)
    os.rename(old, new)
    sync_folder(os.path.dirname(new))


def remove(path: str) -> None:
    """Removes a file, if it is there and can be removed."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def remove_folder(path: str) -> None:
    """Removes a folder of files, as far as that is possible."""
    with contextlib.suppress(OSError):
        for name in os.listdir(path):
            remove(os.path.join(path, name))
        os.rmdir(path)


def content_of(path: str, most: int) -> bytes:
    """A file's bytes, of which there may be so many.

    Raises:
        OSError: where it cannot be read.
        CheckpointError: where it is larger, or no file.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise CheckpointError(f"{path} is no file")
        if about.st_size > most:
            raise CheckpointError(f"{path} has {about.st_size} bytes, more than any of its kind")
        return file.read(about.st_size)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # for the other end of a pipe
