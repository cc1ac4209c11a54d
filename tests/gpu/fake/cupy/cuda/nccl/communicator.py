"""``NcclCommunicator``: queues what it is asked for on a stream; a thread of its own does it, one after another."""

from __future__ import annotations

import ctypes
import itertools
import queue
import socket
import threading
import time
from typing import Any

from ..._surface import SURFACE
from ..memory import _DEVICE_MEMORY
from ..queued import Pending, live
from ..stream import by_pointer
from . import wire
from .errors import INVALID_ARGUMENT, REMOTE, UNHANDLED_CUDA, NcclError, check_status

_CONSTANTS = SURFACE["nccl_constants"]
_DTYPES = {  # number -> name
    _CONSTANTS[name]: dtype
    for name, dtype in {
        "NCCL_INT8": "int8",
        "NCCL_UINT8": "uint8",
        "NCCL_INT32": "int32",
        "NCCL_UINT32": "uint32",
        "NCCL_INT64": "int64",
        "NCCL_UINT64": "uint64",
        "NCCL_FLOAT16": "float16",
        "NCCL_BFLOAT16": "bfloat16",
        "NCCL_FLOAT32": "float32",
        "NCCL_FLOAT64": "float64",
    }.items()
}
_BYTES = {"int8": 1, "uint8": 1, "float16": 2, "bfloat16": 2, "int32": 4, "uint32": 4, "float32": 4}
_OPS = {_CONSTANTS[name]: name for name in ("NCCL_SUM", "NCCL_PROD", "NCCL_MAX", "NCCL_MIN", "NCCL_AVG")}


class _Group(threading.local):
    depth = 0
    asked: list[tuple[Any, dict[str, Any]]]


_group = _Group()


def groupStart() -> None:
    """What is asked from here on goes together."""
    if not _group.depth:
        _group.asked = []
    _group.depth += 1


def groupEnd() -> None:
    """Queue what was asked since: messages of a communicator as one."""
    if not _group.depth:
        raise NcclError(5)
    _group.depth -= 1
    if _group.depth:
        return
    messages: dict[Any, list[dict[str, Any]]] = {}
    for communicator, asked in _group.asked:
        if asked["kind"] in ("send", "recv"):
            messages.setdefault(communicator, []).append(asked)
        else:
            communicator._queue(asked)
    for communicator, parts in messages.items():
        communicator._queue_messages(parts)


class NcclCommunicator:
    """One rank of some, with the current device."""

    def __init__(self, ndev: int, commId: bytes, rank: int, config: Any = None) -> None:  # noqa: N803
        import cupy

        if not isinstance(commId, bytes):
            raise TypeError(
                f"Argument 'commId' has incorrect type (expected bytes, got {type(commId).__name__})"
            )
        if not 0 <= rank < ndev or len(commId) != 128:
            raise NcclError(INVALID_ARGUMENT)
        self._size, self._rank, self._device = ndev, rank, cupy.cuda.Device().id
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect("\0" + commId.rstrip(b"\0").decode())
        self._status = 0
        self._is_gone = False
        self._numbers, self._ids = itertools.count(), itertools.count()
        self._queued: queue.Queue[tuple[dict[str, Any], Pending] | None] = queue.Queue()
        self._pending: set[Pending] = set()
        wire.send(self._connection, {"rank": rank, "size": ndev, "device": self._device})
        check_status(wire.receive(self._connection)["status"])
        threading.Thread(target=self._work, name="fake nccl", daemon=True).start()

    @property
    def comm(self) -> int:
        return 0 if self._is_gone else id(self)

    def rank_id(self) -> int:
        self._require()
        return self._rank

    def size(self) -> int:
        self._require()
        return self._size

    def device_id(self) -> int:
        self._require()
        return self._device

    # Collectives.

    def allReduce(self, sendbuf: int, recvbuf: int, count: int, datatype: int, op: int, stream: int) -> None:
        self._ask("allReduce", sendbuf, count, recvbuf, count, datatype, stream, op=op)

    def reduce(
        self, sendbuf: int, recvbuf: int, count: int, datatype: int, op: int, root: int, stream: int
    ) -> None:
        self._ask("reduce", sendbuf, count, recvbuf, count, datatype, stream, op=op, root=root)

    def broadcast(
        self, sendbuff: int, recvbuff: int, count: int, datatype: int, root: int, stream: int
    ) -> None:
        sent = count if self._rank == root else 0
        self._ask("broadcast", sendbuff, sent, recvbuff, count, datatype, stream, root=root, common=count)

    def allGather(self, sendbuf: int, recvbuf: int, count: int, datatype: int, stream: int) -> None:
        self._ask("allGather", sendbuf, count, recvbuf, count * self._size, datatype, stream)

    def reduceScatter(
        self, sendbuf: int, recvbuf: int, recvcount: int, datatype: int, op: int, stream: int
    ) -> None:
        self._ask(
            "reduceScatter", sendbuf, recvcount * self._size, recvbuf, recvcount, datatype, stream, op=op
        )

    def send(self, sendbuf: int, count: int, datatype: int, peer: int, stream: int) -> None:
        self._ask("send", sendbuf, count, 0, 0, datatype, stream, peer=peer)

    def recv(self, recvbuf: int, count: int, datatype: int, peer: int, stream: int) -> None:
        self._ask("recv", 0, 0, recvbuf, count, datatype, stream, peer=peer)

    # Its life.

    def check_async_error(self) -> None:
        """Raises what has gone wrong since."""
        self._require()
        check_status(self._status)

    def abort(self) -> None:
        """What is queued ends undone."""
        if self._is_gone:
            return
        self._is_gone = True
        self._connection.close()
        self._queued.put(None)
        for each in list(self._pending):
            each.end()

    def destroy(self) -> None:
        """Waits for what is queued: for ever, where a rank does not come."""
        if self._is_gone:
            return
        while any(not each.is_over for each in list(self._pending)):
            time.sleep(0.001)
        self.abort()

    # How it is done.

    def _require(self) -> None:
        if self._is_gone:
            raise NcclError(INVALID_ARGUMENT)

    def _ask(
        self,
        kind: str,
        source: int,
        sent: int,
        target: int,
        received: int,
        datatype: int,
        stream: int,
        op: int = 0,
        root: int = 0,
        peer: int = 0,
        common: int | None = None,
    ) -> None:
        self._require()
        if (
            datatype not in _DTYPES
            or op not in _OPS
            or not 0 <= root < self._size
            or not 0 <= peer < self._size
        ):
            raise NcclError(INVALID_ARGUMENT)
        dtype = _DTYPES[datatype]
        itemsize = _BYTES.get(dtype, 8)
        reads, writes = (source, sent * itemsize), (target, received * itemsize)
        for start, nbytes in (reads, writes):
            if nbytes and start < _DEVICE_MEMORY:
                raise NcclError(UNHANDLED_CUDA)  # hardware: an illegal memory access
        asked = {
            "kind": kind, "reads": reads, "writes": writes, "dtype": dtype, "op": _OPS[op], "root": root,
            "peer": peer, "count": max(sent, received) if common is None else common, "stream": by_pointer(stream),
        }  # fmt: skip
        if _group.depth:
            _group.asked.append((self, asked))
        elif kind in ("send", "recv"):
            self._queue_messages([asked])
        else:
            self._queue(asked)

    def _queue(self, asked: dict[str, Any]) -> None:
        asked["number"] = next(self._numbers)
        self._put(asked, [asked])

    def _queue_messages(self, parts: list[dict[str, Any]]) -> None:
        for place, part in enumerate(parts):
            part["place"] = place
        self._put({"kind": "messages", "parts": parts, "stream": parts[0]["stream"]}, parts)

    def _put(self, asked: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        self._require()
        ranges = [part["writes"] for part in parts if part["writes"][1]]
        pending = Pending((_host(start), _host(start) + nbytes) for start, nbytes in ranges)
        pending.reads = [(_host(start), _host(start) + nbytes) for start, nbytes in map(_reads, parts)]
        stream = asked["stream"]
        pending.before, stream.tail = live(stream.tail), [pending]
        self._pending = {each for each in self._pending if not each.is_over} | {pending}
        asked["id"] = next(self._ids)
        self._queued.put((asked, pending))

    def _work(self) -> None:
        while (item := self._queued.get()) is not None:
            asked, pending = item
            for each in pending.before:
                each.wait()
            try:
                answer = self._exchange(asked)
            except (EOFError, OSError):
                self._status = self._status or REMOTE
                return  # the hub is gone, or this one was aborted: what is queued never ends by itself
            if answer["status"]:
                self._status = answer["status"]
                return
            if not self._is_gone:
                _deliver(asked, answer["data"])
                pending.end()

    def _exchange(self, asked: dict[str, Any]) -> dict[str, Any]:
        for part in asked.get("parts", [asked]):
            start, nbytes = part["reads"]
            part["data"] = ctypes.string_at(_host(start), nbytes) if nbytes else b""
        sendable = {key: value for key, value in asked.items() if key not in ("stream", "parts")}
        if "parts" in asked:
            sendable["parts"] = [
                {key: value for key, value in part.items() if key != "stream"} for part in asked["parts"]
            ]
        wire.send(self._connection, sendable)
        answer: dict[str, Any] = wire.receive(self._connection)
        return answer


def _reads(part: dict[str, Any]) -> tuple[int, int]:
    found: tuple[int, int] = part["reads"]
    return found


def _host(pointer: int) -> int:
    return pointer - _DEVICE_MEMORY


def _deliver(asked: dict[str, Any], data: Any) -> None:
    parts = asked.get("parts", [asked])
    for place, part in enumerate(parts):
        found = data.get(place) if "parts" in asked else data
        start, nbytes = part["writes"]
        if found and nbytes:
            ctypes.memmove(_host(start), found, min(nbytes, len(found)))
