"""What a file is that is no checkpoint: the page, pointer or picture that lies under the name of one."""

from __future__ import annotations

import re
import string
from typing import Any

from distrt.files.faults import quoted

_HEAD = 1024
_TAIL = 1 << 16

_PAGE = (
    "an HTML page: what was downloaded is a page about the file (an error, a login, a question), not the file"
)
_LFS = "a Git LFS pointer, not the checkpoint itself: run `git lfs pull` in its repository, or download the file itself"
_PACKED = "compressed ({}): unpack it first"

#: How files begin, and what they are then.
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", _LFS),
    (b"\x1f\x8b", _PACKED.format("gzip")),
    (b"BZh", _PACKED.format("bzip2")),
    (b"\xfd7zXZ", _PACKED.format("xz")),
    (b"\x28\xb5\x2f\xfd", _PACKED.format("zstd")),
    (b"7z\xbc\xaf", _PACKED.format("7-Zip")),
    (b"Rar!", _PACKED.format("RAR")),
    (b"\x93NUMPY", "an array of NumPy: numpy.load reads it"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes its weights: h5py reads it"),
    (b"GGUF", "a GGUF file of llama.cpp"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
    (b"\x00" * 64, "begins with zeros: it was not written, or not downloaded, to its end"),
)
_PRINTED = frozenset(string.printable.encode())


def described(file: Any, start: int) -> str | None:
    """A sentence on what a file is that cannot be read; None where it may be a damaged checkpoint.

    Args:
        file: can read and seek.
        start: where the checkpoint was expected.
    """
    file.seek(start)
    head = bytes(file.read(_HEAD))
    if head[:4] == b"PK\x03\x04":
        known = _in_archive(head)
    else:
        known = next((kind for begin, kind in _BEGINNINGS if head.startswith(begin)), None) or _text(head)
        known = known or _safetensors(file, start, head)
    if known is None:
        return None
    return f"the file {'' if known.startswith('begins') else 'is '}{known}"


def is_torchscript(file: Any, start: int) -> bool:
    """True for an archive of ``torch.jit.save``, whose records are listed at its end."""
    end = file.seek(0, 2)
    file.seek(max(start, end - _TAIL))
    tail = file.read(_TAIL)
    return b"PK\x05\x06" in tail and b"/constants.pkl" in tail


def _in_archive(head: bytes) -> str | None:
    """By the name of the first file in the archive: PyTorch's lie in a folder."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if name.endswith(b".npy"):
        return "an archive of NumPy arrays (.npz): numpy.load reads it"
    return (
        None
        if b"/" in name
        else f"a zip archive of other files, the first of which is {quoted(name.decode('latin1'))}"
    )


def _text(head: bytes) -> str | None:
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if begin.startswith((b"<!doctype html", b"<html", b"<head")):
        return _PAGE
    if begin.startswith(b"<?xml"):
        return "an XML document, as servers answer with errors: it begins with " + quoted(_shown(head))
    if (
        len(head) > 8
        and all(byte in _PRINTED for byte in head[:200])
        and not head.startswith((b"(", b"c", b"I"))
    ):
        return (
            f"{'JSON' if begin[:1] in (b'{', b'[') else 'a text'}, which begins with {quoted(_shown(head))}"
        )
    return None


def _shown(head: bytes) -> str:
    return re.sub(r"\s+", " ", head[:60].decode("latin1")).strip()


def _safetensors(file: Any, start: int, head: bytes) -> str | None:
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or not 2 <= length <= file.seek(0, 2) - start - 8:
        return None
    return "in the format of safetensors: distrt.files.safetensors.load_file reads it, as load does under that ending"
