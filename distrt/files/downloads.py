"""Downloads a file, whole or not at all: goes on where an attempt ended, and names it when its checksum is right.

``distrt.hub`` fetches weights with it, and ``distrt.vision.datasets`` archives.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from distrt.core.errors import DownloadError

__all__ = ["download"]

_PIECE = 1 << 20  # bytes
_FROM_HERE_ON = 206  # the status of an answer to a request for a range
_NOTHING_THERE = 416


def download(
    url: str,
    path: str,
    *,
    sha256_prefix: str | None = None,
    md5: str | None = None,
    progress: bool = True,
    timeout_s: float = 30.0,
) -> None:
    """Fetches ``url`` to ``path``, which appears when it is complete and its checksum is right.

    What has come stays beside it (``path`` and ``.partial``) when the connection breaks, and the next attempt asks for
    the rest. Several processes may ask for one file: one of them fetches it, the others wait and find it there.

    Args:
        url: ``http``, ``https``, ``ftp`` or ``file``.
        path: where to put it; its folder is made.
        sha256_prefix: what the SHA-256 in hexadecimal digits begins with.
        md5: the MD5, in hexadecimal digits.
        progress: tell on standard error how far it is, if that is a terminal.
        timeout_s: how long the server may be silent.

    Raises:
        DownloadError: (also an OSError and RuntimeError) without a network, for an answer other than the file, and for
            a wrong checksum; the message has the address and the path where the file could be put by hand.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    partial = path + ".partial"
    with _alone(partial) as file:
        if os.path.exists(path):
            return  # another process was faster
        try:
            _fetch(url, file, timeout_s, progress)
        except (
            OSError,
            ValueError,
        ) as fault:  # urllib's errors are OSErrors; ValueError for what is no address
            has_status = isinstance(fault, urllib.error.HTTPError)
            reason = fault if has_status else getattr(fault, "reason", None) or fault
            raise DownloadError(
                f"cannot download {url}: {reason}. Without a network, put the file at {path}"
            ) from fault
        problem = _wrong_checksum(file, sha256_prefix, md5)
        if problem:
            os.unlink(partial)  # going on with it would not mend it
            raise DownloadError(f"{url}: {problem}; what came is thrown away")
        os.replace(partial, path)


@contextlib.contextmanager
def _alone(partial: str) -> Iterator[Any]:
    """The partial file, locked: it is one process's at a time."""
    while True:
        file = open(partial, "a+b")  # noqa: SIM115 - closed below, on every way
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still(file, partial):
                yield file
                return
        finally:
            if _is_still(file, partial) and not os.fstat(file.fileno()).st_size:
                os.unlink(partial)
            file.close()


def _is_still(file: Any, partial: str) -> bool:
    """Whether the file has its name yet: who held the lock before may have moved it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(partial))
    except FileNotFoundError:
        return False


def _fetch(url: str, file: Any, timeout_s: float, progress: bool) -> None:
    """Appends to the file what it lacks."""
    have = file.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"User-Agent": "distrt"})
    if have and url.startswith("http"):
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as fault:
        fault.close()  # it is the answer as well, with a socket
        if fault.code == _NOTHING_THERE and have:  # it is longer than what the server has: begin again
            file.truncate(0)
            return _fetch(url, file, timeout_s, progress)
        raise
    with answer:
        if have and getattr(answer, "status", None) != _FROM_HERE_ON:
            file.truncate(0)
            have = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        _copy(answer, file, have, total, progress and sys.stderr.isatty())
    if total is not None and file.tell() != total:
        raise OSError(f"the connection ended after {file.tell()} of {total} bytes")


def _copy(answer: Any, file: Any, have: int, total: int | None, shows: bool) -> None:
    try:
        while piece := answer.read(_PIECE):
            file.write(piece)
            have += len(piece)
            if shows:
                whole = f" of {total >> 20}" if total else ""
                print(f"\r{have >> 20}{whole} MiB", end="", file=sys.stderr, flush=True)
    finally:
        file.flush()
        if shows:
            print(file=sys.stderr)


def _wrong_checksum(file: Any, sha256_prefix: str | None, md5: str | None) -> str | None:
    """What is wrong with the file's checksum, if anything."""
    for name, expected in (("sha256", sha256_prefix), ("md5", md5)):
        if expected is None:
            continue
        file.seek(0)
        found = hashlib.file_digest(file, name).hexdigest()
        if not found.startswith(expected.lower()):
            return f'invalid hash value (expected "{expected}", got "{found}", {name})'
    return None
