"""Makes files that lie, and watches that loading one neither runs code nor takes much memory or time."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import distrt
from distrt.core.errors import CheckpointError

SETTINGS = (True, None, False)
MOST_BYTES = 64 << 20
MOST_SECONDS = 10.0

_FORBIDDEN = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "exec", "compile", "webbrowser.")
_watched: list[str] = []
_watching = False


def _hook(event: str, arguments: Any) -> None:
    if not _watching:
        return
    if event.startswith(_FORBIDDEN) or (event == "open" and arguments[1] not in ("r", "rb", None)):
        _watched.append(f"{event} {arguments!r:.200}")


sys.addaudithook(_hook)
distrt.cuda.is_available()  # looks for CuPy in the module path, once in a process


def archive(pickled: bytes, storages: dict[str, bytes] | None = None, **records: bytes) -> bytes:
    """An archive with this pickle and these storages; ``records`` adds to or replaces the others."""
    target = io.BytesIO()
    contents = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n", **records}
    contents |= {f"data/{key}": data for key, data in (storages or {}).items()}
    with zipfile.ZipFile(target, "w") as made:
        for name, data in contents.items():
            made.writestr(f"archive/{name}", data)
    return target.getvalue()


def old_file(pickled: bytes, keys: Any = (), tail: bytes = b"") -> bytes:
    """A file without an archive, around this pickle."""
    about = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = b"".join(pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, about))
    return head + pickled + pickle.dumps(list(keys), 2) + tail


def name(module: str, qualname: str) -> bytes:
    """The opcode that names a class or function."""
    return f"c{module}\n{qualname}\n".encode()


def text(value: str) -> bytes:
    """The opcode of a string."""
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """The opcode of an integer."""
    data = pickle.encode_long(value)
    return b"\x8a" + bytes([len(data)]) + data


def storage(count: int, key: str = "0", kind: str = "FloatStorage", location: str = "cpu") -> bytes:
    """The opcodes that refer to a storage."""
    return b"(" + text("storage") + name("torch", kind) + text(key) + text(location) + number(count) + b"tQ"


def tensor(count: int, offset: Any, sizes: Any, strides: Any, kind: str = "FloatStorage") -> bytes:
    """A pickle of one tensor."""
    lists = b"".join(b"(" + b"".join(map(number, each)) + b"t" for each in (sizes, strides))
    hooks = name("collections", "OrderedDict") + b")R"
    body = name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage(count, kind=kind)
    return b"\x80\x02" + body + number(offset) + lists + b"\x89" + hooks + b"tR."


def outcome(data: bytes, weights_only: bool | None = None) -> Any:
    """What loading gives: a CheckpointError, or the value. Anything else that it does fails the test."""
    return watched(lambda: distrt.load(io.BytesIO(data), weights_only=weights_only), len(data))


def watched(act: Callable[[], Any], size: int) -> Any:
    """What an act on files of this size gives: a CheckpointError, or a value, and no more than that."""
    global _watching
    _watched.clear()
    tracemalloc.start()
    began = time.process_time()
    _watching = True
    try:
        found = act()
    except CheckpointError as fault:
        found = fault
    finally:
        _watching = False
        spent, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert not _watched, _watched
    assert spent < MOST_SECONDS and peak < MOST_BYTES + 8 * size
    return found


def assert_refused(data: bytes, setting: Any = SETTINGS) -> None:
    """Loading raises a CheckpointError, whatever ``weights_only`` says."""
    for weights_only in setting:
        found = outcome(data, weights_only)
        assert isinstance(found, CheckpointError), found
        assert len(str(found)) < 2500
