"""The compiled checksum is zlib's, for every length and start."""

from __future__ import annotations

import ctypes
import zlib

import numpy as np
import pytest

from distrt.core.kernels import loops
from distrt.files import checksum


@pytest.fixture
def folding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled loop from the first byte on."""
    if checksum.compiled() is None:
        pytest.skip("this machine has no compiler, or cannot multiply without carries")
    monkeypatch.setattr(checksum, "_COMPILE_AFTER", 0)
    monkeypatch.setattr(checksum, "_WORTH_A_CALL", 256)
    monkeypatch.setattr(checksum, "_folding", checksum._Folding())


def test_every_length_has_zlibs_checksum(folding: None, rng: np.random.Generator) -> None:
    data = rng.integers(0, 256, 5000, np.uint8).tobytes()
    for length in [*range(300), 1023, 1024, 4999]:
        for start in (0, 1, 7):
            piece = memoryview(data)[start : start + length]
            assert checksum.crc32(piece) == zlib.crc32(piece)
            assert checksum.crc32(piece, 12345) == zlib.crc32(piece, 12345)
    pieces = [data[at : at + 700] for at in range(0, 5000, 700)]
    value = 0
    for each in pieces:
        value = checksum.crc32(each, value)
    assert value == zlib.crc32(data)


def test_the_factors_are_those_of_the_paper() -> None:
    assert checksum._factors(64) == (0x154442BD4, 0x1C6E41596)
    assert checksum._factors(16) == (0x1751997D0, 0x0CCAA009E)


@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_the_loop_leaves_a_block_of_the_same_checksum(lanes: int, rng: np.random.Generator) -> None:
    if lanes not in checksum.possible_lanes():
        pytest.skip("this machine cannot multiply as many lanes without carries, or has no compiler")
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32, ctypes.c_void_p)
    run, block = kind(loops.load(checksum.fold_code(lanes))), 32 * lanes
    data = rng.integers(0, 256, 20 * block, np.uint8)
    for count in (1, 2, 20):
        left = (ctypes.c_uint8 * block)()
        run(data.ctypes.data, count, 0x12345678, left)
        expected = zlib.crc32(data[: count * block], 0x12345678 ^ 0xFFFFFFFF)
        assert zlib.crc32(left, 0xFFFFFFFF) == expected


def test_zlib_serves_until_the_loop_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    folding = checksum._Folding()
    monkeypatch.setattr(checksum, "_folding", folding)
    monkeypatch.setattr(checksum, "compiled", lambda: pytest.fail("compiled too early"))
    assert checksum.crc32(bytes(10_000)) == zlib.crc32(bytes(10_000))
    monkeypatch.setattr(checksum, "_COMPILE_AFTER", 15_000)
    monkeypatch.setattr(checksum, "compiled", lambda: None)
    for _ in range(3):
        assert checksum.crc32(bytes(10_000)) == zlib.crc32(bytes(10_000))
    assert folding._is_made
