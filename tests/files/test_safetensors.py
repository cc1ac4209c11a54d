"""Safetensors files: every dtype, parts, maps, models with tied weights, and headers that lie."""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import distrt
from distrt.core.errors import CheckpointError
from distrt.files.safetensors import load, load_file, load_model, safe_open, save, save_file, save_model
from tests.files.trips import assert_same

NAMES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 uint16 uint32 uint64".split()


def _values() -> dict[str, Any]:
    found = {name: distrt.tensor([[0, 1, 2]]).to(getattr(distrt, name)) for name in NAMES}
    return {**found, "empty": distrt.empty(2, 0), "scalar": distrt.tensor(2.5), "größe": distrt.arange(5)}


def _file(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def test_every_dtype_comes_back(tmp_path: pathlib.Path) -> None:
    path, values = tmp_path / "a.safetensors", _values()
    save_file(values, path, {"epoch": "3"})
    for found in (
        load_file(path),
        load(path.read_bytes()),
        distrt.load(path),
        distrt.load(str(path), map_location="cpu"),
    ):
        assert set(found) == set(values)
        for name, each in values.items():
            assert_same(found[name], each)
    assert save(values, {"epoch": "3"}) == path.read_bytes()
    for where in ({"cpu": "cpu"}, lambda storage, location: storage):
        with pytest.raises(RuntimeError, match="map_location is not supported"):
            distrt.load(path, map_location=where)


def test_the_file_is_what_the_format_says() -> None:
    data = save({"b": distrt.tensor([1.0, 2.0], dtype=distrt.bfloat16), "a": distrt.tensor([7])}, {"k": "v"})
    length = struct.unpack("<Q", data[:8])[0]
    assert length % 8 == 0
    assert json.loads(data[8 : 8 + length]) == {
        "__metadata__": {"k": "v"},
        "a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
        "b": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]},
    }
    assert data[8 + length :] == struct.pack("<q", 7) + b"\x80\x3f\x00\x40"


def test_parts_are_read_without_the_rest(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"w": distrt.arange(20.0).reshape(5, 4), "b": distrt.ones(3)}, path, {"note": "x"})
    before = path.read_bytes()
    with safe_open(path, framework="pt", device="cpu") as file:
        assert file.keys() == ["b", "w"] and file.metadata() == {"note": "x"}
        part = file.get_slice("w")
        assert part.get_shape() == [5, 4] and part.get_dtype() == "F32"
        assert part[1:3, ::2].tolist() == [[4, 6], [8, 10]]
        weight = file.get_tensor("w")
        assert weight.untyped_storage().nbytes() == 80 and not weight.is_shared()
        with pytest.raises(CheckpointError, match="does not contain tensor nothing"):
            file.get_tensor("nothing")
    weight.zero_()  # still there, and a copy of the pages that are written to
    assert path.read_bytes() == before
    with pytest.raises(CheckpointError, match="closed"):
        file.get_tensor("w")
    with safe_open(path, framework="np") as file:
        assert isinstance(file.get_tensor("b"), np.ndarray)
    with pytest.raises(CheckpointError, match="framework"):
        safe_open(path, framework="tf")


def test_tied_weights_are_written_once(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.safetensors"
    model = distrt.nn.Sequential(distrt.nn.Linear(4, 4), distrt.nn.Linear(4, 4))
    model[1].weight = model[0].weight
    with pytest.raises(RuntimeError, match="Some tensors share memory"):
        save_file(model.state_dict(), path)
    save_model(model, path)
    with safe_open(path) as file:
        assert file.metadata() == {"1.weight": "0.weight"}
    other = distrt.nn.Sequential(distrt.nn.Linear(4, 4), distrt.nn.Linear(4, 4))
    other[1].weight = other[0].weight
    assert load_model(other, path) == (set(), [])
    assert_same(other.state_dict(), model.state_dict())
    with pytest.raises(RuntimeError, match="unexpected keys"):
        load_model(distrt.nn.Sequential(distrt.nn.Linear(4, 4)), path)


def test_what_the_format_cannot_hold_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(ValueError, match="non contiguous tensor: `t`"):
        save_file({"t": distrt.ones(2, 3).t()}, path)
    with pytest.raises(ValueError, match=r"expected torch.Tensor but received"):
        save_file({"t": [1]}, path)  # type: ignore[dict-item]
    with pytest.raises(CheckpointError, match="complex128"):
        save_file({"t": distrt.ones(2, dtype=distrt.complex128)}, path)
    assert not list(tmp_path.iterdir())
    base = distrt.arange(6.0)
    save_file({"a": base[:3], "b": base[3:]}, path)
    assert load_file(path)["b"].tolist() == [3, 4, 5]


def test_tensors_that_are_not_aligned_are_copied(tmp_path: pathlib.Path) -> None:
    header = {
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
    }
    data = _file(header, b"\x05" + struct.pack("<2f", 1, 2))
    path = tmp_path / "odd.safetensors"
    path.write_bytes(data)
    for found in (load(data), load_file(path)):
        assert found["a"].tolist() == [5] and found["b"].tolist() == [1, 2]


def _one(**said: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **said}}


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no header": b"\x05\x00",
    "header beyond the end": _file(b"{}", length=1000),
    "header of 2 ** 63 bytes": _file(b"{}", length=2**63),
    "header of 101 MB": _file(b"{}", length=101_000_000),
    "no JSON": _file(b"hello"),
    "no text": _file(b"\xff\xfe"),
    "a list": _file([]),
    "deep lists": _file(b"[" * 100_000),
    "a number of many digits": _file(b'{"w":' + b"9" * 100_000 + b"}"),
    "a name twice": _file(b'{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"w":{}}'),
    "a key twice": _file(b'{"w":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    "no description": _file({"w": 3}),
    "a key too many": _file(_one(extra=1), bytes(8)),
    "no dtype": _file({"w": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
    "an unknown dtype": _file(_one(dtype="F7"), bytes(8)),
    "float8": _file(_one(dtype="F8_E4M3", shape=[8]), bytes(8)),
    "a dtype that is a list": _file(_one(dtype=["F32"]), bytes(8)),
    "a negative size": _file(_one(shape=[-2]), bytes(8)),
    "a size that is true": _file(_one(shape=[True, 2]), bytes(8)),
    "a size that is a float": _file(_one(shape=[2.0]), bytes(8)),
    "a size beyond 64 bits": _file(_one(shape=[2**70, 0], data_offsets=[0, 0])),
    "a huge empty shape": _file(_one(shape=[2**62, 2**62, 0], data_offsets=[0, 0])),
    "a shape that overflows": _file(_one(shape=[2**32, 2**32]), bytes(8)),
    "a hundred dims": _file(_one(shape=[1] * 100, data_offsets=[0, 4]), bytes(4)),
    "another size": _file(_one(shape=[3]), bytes(8)),
    "offsets in reverse": _file(_one(data_offsets=[8, 0]), bytes(8)),
    "three offsets": _file(_one(data_offsets=[0, 4, 8]), bytes(8)),
    "offsets beyond the end": _file(_one(data_offsets=[8, 16]), bytes(8)),
    "data too short": _file(_one(), bytes(7)),
    "data too long": _file(_one(), bytes(9)),
    "a gap": _file({**_one(), "v": {"dtype": "U8", "shape": [1], "data_offsets": [9, 10]}}, bytes(10)),
    "an overlap": _file({**_one(), "v": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}, bytes(8)),
    "metadata that are numbers": _file({"__metadata__": {"a": 1}}),
    "metadata that are a list": _file({"__metadata__": []}),
    "not a number": _file(b'{"w":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', bytes(8)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused(case: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "h.safetensors"
    path.write_bytes(HOSTILE[case])
    for read in (lambda: load(HOSTILE[case]), lambda: load_file(path), lambda: distrt.load(path)):
        with pytest.raises(CheckpointError):
            read()


def test_a_cut_file_is_refused() -> None:
    data = save(_values())
    for length in range(len(data)):
        with pytest.raises(CheckpointError):
            load(data[:length])


@given(st.binary(max_size=200), st.booleans())
def test_any_header_is_refused_or_loaded(text: bytes, has_braces: bool) -> None:
    with contextlib.suppress(CheckpointError):
        load(_file(b'{"w":{' + text + b"}}" if has_braces else text, bytes(8)))


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_of_the_header_does_no_harm(byte: int, bit: int) -> None:
    data = bytearray(save({"w": distrt.arange(4.0), "b": distrt.ones(2)}))
    data[byte % (len(data) - 24)] ^= 1 << bit
    with contextlib.suppress(CheckpointError):
        load(bytes(data))


#: What version 0.8.0 of the library writes for the values of the test below.
OF_THE_LIBRARY = (
    "aAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJrIjoidiJ9LCJ1Ijp7ImR0eXBlIjoiVTY0Iiwic2hhcGUiOlsxXSwiZGF0YV9vZmZz"
    "ZXRzIjpbMCw4XX0sImEiOnsiZHR5cGUiOiJJNjQiLCJzaGFwZSI6WzIsMV0sImRhdGFfb2Zmc2V0cyI6WzgsMjRdfSwiZCI6eyJk"
    "dHlwZSI6IkY2NCIsInNoYXBlIjpbXSwiZGF0YV9vZmZzZXRzIjpbMjQsMzJdfSwiYiI6eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpb"
    "Ml0sImRhdGFfb2Zmc2V0cyI6WzMyLDQwXX0sImgiOnsiZHR5cGUiOiJGMTYiLCJzaGFwZSI6WzFdLCJkYXRhX29mZnNldHMiOls0"
    "MCw0Ml19LCJrIjp7ImR0eXBlIjoiQk9PTCIsInNoYXBlIjpbMV0sImRhdGFfb2Zmc2V0cyI6WzQyLDQzXX19ICAgICADAAAAAAAA"
    "AAEAAAAAAAAAAgAAAAAAAAAAAAAAAADgPwAAwD8AAABAADwB"
)


def test_the_bytes_are_those_of_the_library() -> None:
    values = {
        "b": distrt.tensor([1.5, 2]),
        "a": distrt.tensor([[1], [2]]),
        "h": distrt.tensor([1], dtype=distrt.float16),
        "k": distrt.tensor([True]),
        "u": distrt.tensor([3], dtype=distrt.uint64),
        "d": distrt.tensor(0.5, dtype=distrt.float64),
    }
    theirs = base64.b64decode(OF_THE_LIBRARY)
    assert save(values, {"k": "v"}) == theirs
    for name, each in load(theirs).items():
        assert_same(each, values[name])
