"""What torchvision has in ``datasets.utils``: fetching, checking and unpacking files. `distrt.files` does the work."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from typing import Any

from distrt.files.archives import unpack
from distrt.files.downloads import download

__all__ = [
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "download_and_extract_archive",
    "download_url",
    "extract_archive",
    "verify_str_arg",
]

_Path = str | os.PathLike[str]


def calculate_md5(fpath: _Path, chunk_size: int = 1024 * 1024) -> str:
    """The MD5 of a file, in hexadecimal digits."""
    with open(fpath, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def check_md5(fpath: _Path, md5: str, **kwargs: Any) -> bool:
    """Whether a file has this MD5."""
    return md5 == calculate_md5(fpath, **kwargs)


def check_integrity(fpath: _Path, md5: str | None = None) -> bool:
    """Whether a file is there and, where one is given, has this MD5."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def download_url(
    url: str, root: _Path, filename: _Path | None = None, md5: str | None = None, max_redirect_hops: int = 3
) -> None:
    """Fetches a file into a folder, unless it is there with the right checksum.

    Raises:
        DownloadError: see `distrt.files.downloads.download`.
    """
    path = os.path.join(os.path.expanduser(root), os.fspath(filename or os.path.basename(url)))
    if check_integrity(path, md5):
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    download(url, path, md5=md5)


def extract_archive(from_path: _Path, to_path: _Path | None = None, remove_finished: bool = False) -> str:
    """Unpacks an archive or a compressed file; gives the folder, or the file.

    Raises:
        DatasetError: see `distrt.files.archives.unpack`.
    """
    source = os.fspath(from_path)
    found = unpack(source, os.path.dirname(source) if to_path is None else os.fspath(to_path))
    if remove_finished:
        os.unlink(source)
    return found


def download_and_extract_archive(
    url: str,
    download_root: _Path,
    extract_root: _Path | None = None,
    filename: _Path | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """Fetches an archive and unpacks it.

    Raises:
        DownloadError, DatasetError: see the two functions.
    """
    root = os.path.expanduser(download_root)
    name = os.fspath(filename or os.path.basename(url))
    download_url(url, root, name, md5)
    extract_archive(os.path.join(root, name), root if extract_root is None else extract_root, remove_finished)


def verify_str_arg(
    value: Any,
    arg: str | None = None,
    valid_values: Iterable[str] | None = None,
    custom_msg: str | None = None,
) -> str:
    """The value, if it is a text and one of those that are valid.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str):
        of = "" if arg is None else f" for argument {arg}"
        raise ValueError(f"Expected type str{of}, but got type {type(value)}.")
    valid = None if valid_values is None else tuple(valid_values)
    if valid is not None and value not in valid:
        listed = ", ".join(f"'{each}'" for each in valid)
        raise ValueError(
            custom_msg or f"Unknown value '{value}' for argument {arg}. Valid values are {{{listed}}}."
        )
    return value
