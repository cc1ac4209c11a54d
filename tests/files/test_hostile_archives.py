"""Damaged files and archives that lie: cut anywhere, one bit flipped anywhere, headers that contradict one another."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import distrt
from distrt.core.errors import CheckpointError
from tests.files.hostile import archive, assert_refused, outcome, tensor
from tests.files.trips import assert_same, saved

VALUE = {"w": distrt.arange(300.0), "b": distrt.ones(3, dtype=distrt.bfloat16), "epoch": 3}
GOOD = saved(VALUE)
OLD = saved(VALUE, _use_new_zipfile_serialization=False)


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _assert_found_or_harmless(value: Any, step: int) -> None:
    """A flipped bit is found, or lies where it changes nothing of the value."""
    data = saved(value)
    for bit in range(0, 8 * len(data), step):
        found = outcome(_flipped(data, bit))
        if not isinstance(found, CheckpointError):
            assert_same(found, value)


def test_a_flipped_bit_is_found() -> None:
    _assert_found_or_harmless(VALUE, 211)
    inside = GOOD.index(VALUE["w"].numpy().tobytes()) * 8
    for bit in range(inside, inside + 9600, 977):
        with pytest.raises(CheckpointError, match=r"file data/\d: its checksum"):
            distrt.load(io.BytesIO(_flipped(GOOD, bit)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_flipped_bit_is_found() -> None:
    _assert_found_or_harmless({"w": distrt.arange(4.0)}, 1)


def test_a_flipped_bit_of_an_old_file_does_no_harm() -> None:
    for bit in range(0, 8 * len(OLD), 157):
        outcome(_flipped(OLD, bit))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_any_flipped_bit_of_an_old_file_does_no_harm() -> None:
    for bit in range(8 * len(OLD)):
        outcome(_flipped(OLD, bit))


@pytest.mark.parametrize("data", [GOOD, OLD], ids=["zip", "old"])
def test_a_cut_file_is_refused(data: bytes) -> None:
    for length in [*range(0, len(data), 97), len(data) - 1]:
        assert_refused(data[:length], (None,))


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_anywhere_is_refused(zipped: bool) -> None:
    data = saved({"w": distrt.randn(100_000), "x": 1}, _use_new_zipfile_serialization=zipped)
    for length in [*range(0, len(data), 1024), *range(2000), *range(len(data) - 2000, len(data))]:
        assert_refused(data[:length], (None,))


def _patched(data: bytes, offset: int, form: str, value: Any) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, value)
    return bytes(changed)


_ENTRIES = zipfile.ZipFile(io.BytesIO(GOOD)).infolist()
_DIRECTORY = GOOD.index(b"PK\x01\x02")
_WEIGHTS = next(each for each in _ENTRIES if each.filename.endswith("data/0"))
_CENTRAL = GOOD.index(b"PK\x01\x02", GOOD.index(b"data/0", _DIRECTORY) - 60)
_END = GOOD.rindex(b"PK\x05\x06")
_END_64 = GOOD.rindex(b"PK\x06\x06")


def _compressed() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in (("a/data.pkl", b"\x80\x02N."), ("a/version", b"3"), ("a/data/0", bytes(10**7))):
            made.writestr(name, data)
    return target.getvalue()


def _twice() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        for name in ("a/data.pkl", "a/version", "a/data.pkl"):
            made.writestr(name, b"\x80\x02N.")
    return target.getvalue()


def _in_folders() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name in ("a/data.pkl", "b/version", "../../etc/passwd"):
            made.writestr(name, b"\x80\x02N.")
    return target.getvalue()


ARCHIVES: dict[str, Any] = {
    "only its first bytes": lambda: b"PK\x03\x04",
    "an empty archive": lambda: b"PK\x05\x06" + bytes(18),
    "no pickle": lambda: archive(b"").replace(b"data.pkl", b"data.pkx"),
    "no version": lambda: archive(b"\x80\x02N.").replace(b"version", b"versiom"),
    "version of the future": lambda: archive(b"\x80\x02N.", version=b"11\n"),
    "version 0": lambda: archive(b"\x80\x02N.", version=b"0"),
    "version of many digits": lambda: archive(b"\x80\x02N.", version=b"9" * 10_000),
    "byte order": lambda: archive(b"\x80\x02N.", byteorder=b"middle"),
    "compressed": _compressed,
    "twice": _twice,
    "in folders": _in_folders,
    "size in the directory": lambda: _patched(GOOD, _CENTRAL + 24, "<I", 10**9),
    "both sizes in the directory": lambda: _patched(
        _patched(GOOD, _CENTRAL + 24, "<I", 10**9), _CENTRAL + 20, "<I", 10**9
    ),
    "offset in the directory": lambda: _patched(GOOD, _CENTRAL + 42, "<I", 0),
    "offset beyond the end": lambda: _patched(GOOD, _CENTRAL + 42, "<I", 2**31),
    "checksum in the directory": lambda: _patched(GOOD, _CENTRAL + 16, "<I", 5),
    "encrypted": lambda: _patched(GOOD, _CENTRAL + 8, "<H", 1),
    "long name": lambda: _patched(GOOD, _CENTRAL + 28, "<H", 60_000),
    "local name": lambda: _patched(GOOD, _WEIGHTS.header_offset + 34, "<B", 0),
    "local extra": lambda: _patched(GOOD, _WEIGHTS.header_offset + 28, "<H", 65_000),
    "number of entries": lambda: _patched(_patched(GOOD, _END + 8, "<H", 60_000), _END + 10, "<H", 60_000),
    "number of 64-bit entries": lambda: _patched(GOOD, _END_64 + 32, "<Q", 2**60),
    "start of the directory": lambda: _patched(GOOD, _END + 16, "<I", 0),
    "start of the 64-bit directory": lambda: _patched(GOOD, _END_64 + 48, "<Q", 2**63),
    "size of the directory": lambda: _patched(GOOD, _END + 12, "<I", 3),
    "64-bit locator": lambda: _patched(GOOD, _END - 12, "<Q", 2**60),
    "comment": lambda: _patched(GOOD, _END + 20, "<H", 500),
    "something behind it": lambda: GOOD + b"PK\x05\x06",
    "another directory behind it": lambda: GOOD + GOOD[_DIRECTORY:],
    "tensor of another size": lambda: archive(tensor(4, 0, (4,), (1,)), {"0": bytes(12)}),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_an_archive_that_lies_is_refused(case: str) -> None:
    assert_refused(ARCHIVES[case]())


def test_records_may_not_share_bytes() -> None:
    """The same 64 KB under a thousand names would be 64 MB."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for number in range(1000):
            made.writestr(f"a/data/{number:04d}", bytes(65536) if number == 0 else b"")
        for name in ("a/data.pkl", "a/version"):
            made.writestr(name, b"\x80\x02N.")
        first = made.getinfo("a/data/0000")
        for number in range(1, 1000):
            entry = made.getinfo(f"a/data/{number:04d}")
            entry.header_offset, entry.CRC = first.header_offset, first.CRC
            entry.file_size = entry.compress_size = first.file_size
    assert_refused(target.getvalue(), (None,))


def test_a_file_in_front_of_the_archive_is_allowed_only_where_the_reader_stands() -> None:
    file = io.BytesIO(b"before" + GOOD)
    file.seek(6)
    assert_same(distrt.load(file), VALUE)
    assert_refused(b"before" + GOOD, (None,))


def test_a_mapped_archive_is_checked_as_well(tmp_path: Any) -> None:
    path = tmp_path / "m.pt"
    for case in (
        "size in the directory",
        "offset in the directory",
        "start of the directory",
        "tensor of another size",
    ):
        path.write_bytes(ARCHIVES[case]())
        with pytest.raises(CheckpointError):
            distrt.load(path, mmap=True)
    path.write_bytes(GOOD[:2000])
    with pytest.raises(CheckpointError):
        distrt.load(path, mmap=True)


def test_large_archives_use_64_bit_fields(monkeypatch: Any) -> None:
    """With the limit lowered, so that a small file stands for one of many gigabytes."""
    from distrt.files import zip_reader, zip_writer

    for module in (zip_reader, zip_writer):
        monkeypatch.setattr(module, "_LARGE", 1000)
    data = saved(VALUE)
    assert_same(distrt.load(io.BytesIO(data)), VALUE)
    assert (
        struct.unpack_from(
            "<I", data, data.index(b"PK\x01\x02", data.index(b"data/0", len(data) // 2) - 60) + 24
        )[0]
        == 1000
    )


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    for head in (b"", b"PK\x03\x04", OLD[:120]):
        found = outcome(head + data)
        assert isinstance(found, CheckpointError) or not head


@given(st.data())
def test_a_good_file_with_any_part_replaced_is_refused_or_loaded(data: Any) -> None:
    original = data.draw(st.sampled_from([GOOD, OLD]))
    at = data.draw(st.integers(0, len(original)))
    patch = data.draw(st.binary(min_size=1, max_size=24))
    gap = data.draw(st.integers(0, 30))
    outcome(original[:at] + patch + original[at + gap :])
