"""NumPy's values in files, of every protocol and kind: what PyTorch reads, and what nobody should."""

import io
import pickle
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.files.arrays import set_state
from distrt.files.rebuilding import Budget
from distrt.files.standard import CALLS
from tests.files.hostile import archive
from tests.oracles import require_torch

VALUES: dict[str, Any] = {
    "empty": np.zeros(0),
    "empty rows": np.zeros((0, 3), np.float32),
    "no dims": np.array(3.0),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "text": np.array(["a", "bc"]),
    "other byte order": np.arange(3, dtype=">i4"),
    "dates": np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
    "spans": np.array([1, 2], dtype=">m8[25s]"),
    "records": np.array([(1, 0.5, [1, 2])], dtype=[("a", "i4"), ("b", ">f4"), ("c", "i2", (2,))]),
    "aligned": np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "opaque": np.zeros(2, "V3"),
    "objects": np.array([[1, None], ["x", 2.5]], dtype=object),
    "number": np.float32(1.5),
    "date": np.datetime64("2020-01-01"),
    "bytes": b"",
}
ALLOWED = [
    np.ndarray, np.dtype, np._core.multiarray._reconstruct, np._core.multiarray.scalar, bytes,
    *(type(np.dtype(code)) for code in ("f4", "f8", "i1", "i2", "i4", "U1", "V8", "M8[D]", "m8[s]", "O")),
]  # fmt: skip


def outcome(load: Any, data: bytes, **options: Any) -> Any:
    try:
        found = load(io.BytesIO(data), **options)
    except pickle.UnpicklingError:
        return "refused"
    if isinstance(found, np.ndarray):
        assert found.flags.writeable
        return (
            found.dtype,
            found.dtype.isalignedstruct,
            found.shape,
            found.flags.f_contiguous,
            repr(found.tolist()),
        )
    return type(found), repr(found)


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", VALUES)
def test_values_of_numpy_come_back_as_they_were(name: str, protocol: int) -> None:
    data = archive(pickle.dumps(VALUES[name], protocol))
    assert outcome(distrt.load, data, weights_only=False) == outcome(
        pickle.load, pickle.dumps(VALUES[name], protocol)
    )


@pytest.mark.parametrize("name", VALUES)
def test_what_pytorch_reads_of_them_is_read_with_the_same_names_allowed(name: str) -> None:
    torch = require_torch()
    buffer = io.BytesIO()
    torch.save(VALUES[name], buffer)
    data, results = buffer.getvalue(), []
    for lib in (torch, distrt):
        results.append([outcome(lib.load, data, weights_only=each) for each in (True, False)])
        with lib.serialization.safe_globals(ALLOWED):
            results[-1].append(outcome(lib.load, data, weights_only=True))
    assert results[0] == results[1] and "refused" not in results[0][1:]


def test_states_that_lie_are_refused() -> None:
    parts, whole = {"a": (np.dtype("i4"), 0)}, (3, "|", None, ("a",), None, 4, 1, 16)
    lies: list[tuple[Any, Any]] = [
        (np.dtype("V4"), "text"),
        (np.dtype("V4"), (3, "?", None, None, None, 4, 1, 0)),
        (np.dtype("V4"), whole),
        (np.dtype("V2"), (*whole[:4], parts, *whole[5:])),  # the field ends behind the record
        (np.dtype("V8"), (*whole[:4], {"a": (np.dtype("i4"), -4)}, *whole[5:])),
        (np.dtype("V8"), (*whole[:4], {"a": ("i4", 0)}, *whole[5:])),
        (np.dtype("V8"), (*whole[:4], {"a": (np.dtype("O"), 0)}, *whole[5:])),  # objects out of bytes
        (np.dtype("V8"), (3, "|", (np.dtype("O"), (1,)), None, None, 8, 8, 0)),
        (np.dtype("V8"), (3, "|", (np.dtype("i4"), (1 << 60,)), None, None, 8, 4, 0)),
        (np.dtype("M8"), (4, "<", None, None, None, -1, -1, 0, (None, (b"parsecs", 1, 1, 1)))),
        (np.dtype("M8"), (4, "<", None, None, None, -1, -1, 0, (None, (b"D", -1, 1, 1)))),
        (np.empty(0), (1, (2,), np.dtype("O"), False, [1])),
        (np.empty(0), (1, (1,), np.dtype("i8"), False, [1])),
        (np.empty(0), (1, (1,), np.dtype("O"), False, bytes(8))),
    ]
    for value, state in lies:
        with pytest.raises(pickle.UnpicklingError):
            set_state(
                np.dtype(value, copy=True) if isinstance(value, np.dtype) else value, state, Budget(1 << 20)
            )
    for call, argument in ((np.dtype, "O"), (np.dtype, "V1000000"), (bytes, 10**11), (bytes, [1])):
        with pytest.raises(pickle.UnpicklingError):
            CALLS[call](Budget(1 << 20), argument)
