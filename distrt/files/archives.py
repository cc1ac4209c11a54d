"""Unpacks archives and compressed files, whole or not at all, and nothing outside their folder.

An archive is what somebody on the network sent. It may hold names that lead elsewhere, links, devices, and files that
are a thousand times as long as they were. What it holds is written beside its place first, and moved there when all of
it has come.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

from distrt.core.errors import DatasetError

__all__ = ["unpack"]

_PIECE = 1 << 20  # bytes
_LEAST_BOUND = 1 << 30  # bytes that any archive may become
_TIMES = 100  # and how many times its own length a longer one may
_MEMBERS = 10_000_000
_DAMAGE = (
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    ValueError,
    RuntimeError,
)

_Open = Callable[[str], Any]
_COMPRESSED: dict[str, _Open] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_TARS = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")


class _Member(NamedTuple):
    name: str
    open: Callable[[], IO[bytes]] | None  # None for a folder


def unpack(path: str, folder: str, most_bytes: int | None = None) -> str:
    """Unpacks a file by the ending of its name; gives the folder, or the file that a compressed one has become.

    Args:
        path: a tar or zip archive, or a file compressed by gzip, bzip2 or xz.
        folder: where to; it is made.
        most_bytes: what it may become; by default 1 GiB or 100 times its length, whichever is more.

    Raises:
        DatasetError: for one that is damaged, would become too long, or holds anything but files and folders inside
            its own; nothing of it is kept.
        ValueError: for an unknown ending.
    """
    name = os.path.basename(path)
    lower = name.lower()
    kind = os.path.splitext(lower)[1]
    if not lower.endswith((*_TARS, ".zip")) and kind not in _COMPRESSED:
        raise ValueError(
            f"{name} has no ending of an archive: expected one of {', '.join((*_TARS, '.zip', *_COMPRESSED))}"
        )
    os.makedirs(folder, exist_ok=True)
    bound = max(_LEAST_BOUND, _TIMES * os.path.getsize(path)) if most_bytes is None else most_bytes
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as beside:
        try:
            if lower.endswith((*_TARS, ".zip")):
                members = _of_zip(path) if lower.endswith(".zip") else _of_tar(path)
                _write_all(members, beside, bound)
            else:
                whole = _Member(os.path.splitext(name)[0], lambda: _COMPRESSED[kind](path))
                _write_all(iter([whole]), beside, bound)
        except DatasetError as fault:
            raise DatasetError(f"{path}: {fault}; nothing of it is kept") from None
        except (OSError, *_DAMAGE) as fault:
            if isinstance(fault, OSError) and fault.errno is not None:
                raise
            raise DatasetError(f"{path} is damaged: {fault}; nothing of it is kept") from fault
        _move(beside, folder)
    return folder if lower.endswith((*_TARS, ".zip")) else os.path.join(folder, os.path.splitext(name)[0])


def _of_tar(path: str) -> Iterator[_Member]:
    with tarfile.open(path) as archive:
        for each in archive:
            if not (each.isreg() or each.isdir()):
                raise DatasetError(f"{each.name!r} is a link or a device, which are not unpacked")
            yield _Member(each.name, None if each.isdir() else functools.partial(_content, archive, each))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    assert file is not None, "it is a regular file"
    return file


def _of_zip(path: str) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for each in archive.infolist():
            if (each.external_attr >> 16) & 0o170000 not in (0, 0o100000, 0o040000):
                raise DatasetError(f"{each.filename!r} is a link or a device, which are not unpacked")
            yield _Member(
                each.orig_filename, None if each.is_dir() else functools.partial(archive.open, each)
            )


def _write_all(members: Iterator[_Member], folder: str, bound: int) -> None:
    left = min(bound, shutil.disk_usage(folder).free)
    for count, member in enumerate(members):
        if count >= _MEMBERS:
            raise DatasetError(f"it holds more than {_MEMBERS} files")
        target = os.path.join(folder, *_inside(member.name))
        if member.open is None:
            os.makedirs(target, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with member.open() as source, open(target, "wb") as file:
            while piece := source.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    raise DatasetError(
                        f"it would become more than {bound} bytes, or than the disk has; at {member.name!r}"
                    )
                file.write(piece)


def _inside(name: str) -> tuple[str, ...]:
    """The parts of a name that stays in its folder."""
    parts = tuple(part for part in PurePosixPath(name.replace("\\", "/")).parts if part != ".")
    if name.startswith(("/", "\\")) or ".." in parts or "\0" in name or (parts and ":" in parts[0]):
        raise DatasetError(f"the name {name!r} leads out of the folder")
    return parts


def _move(beside: str, folder: str) -> None:
    """Moves what was unpacked to its place, file by file: what else is there stays."""
    for root, folders, files in os.walk(beside):
        target = os.path.join(folder, os.path.relpath(root, beside))
        for each in folders:
            os.makedirs(os.path.join(target, each), exist_ok=True)
        for each in files:
            os.replace(os.path.join(root, each), os.path.join(target, each))
