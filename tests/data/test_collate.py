"""default_collate and default_convert make PyTorch's structures, dtypes and values, and its errors."""

from collections import OrderedDict, UserDict, namedtuple
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import pytest

import distrt.core.creation as ours
import distrt.data
from distrt.core.tensor import Tensor
from distrt.data import collate, default_collate, default_collate_fn_map, default_convert
from tests.data.described import described
from tests.oracles import require_torch

Point = namedtuple("Point", ["x", "y"])

# Each makes one batch of samples from a library's `tensor` function.
BATCHES = {
    "floats": lambda tensor: [0.5, 1.5, 2.5],
    "ints": lambda tensor: [1, 2, 2**40],
    "bools": lambda tensor: [True, False],
    "text": lambda tensor: ["a", "bc"],
    "bytes": lambda tensor: [b"a", b"bc"],
    "numpy float32 arrays": lambda tensor: [np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)],
    "numpy uint8 arrays": lambda tensor: [np.arange(4, dtype=np.uint8), np.arange(4, dtype=np.uint8)],
    "numpy float64 scalars": lambda tensor: [np.float64(1), np.float64(2)],
    "numpy float32 scalars": lambda tensor: [np.float32(1), np.float32(2)],
    "numpy int32 scalars": lambda tensor: [np.int32(1), np.int32(2)],
    "numpy bool scalars": lambda tensor: [np.bool_(True), np.bool_(False)],
    "arrays without dims": lambda tensor: [np.array(1.5), np.array(2.5)],
    "tensors": lambda tensor: [tensor([1.0, 2.0]), tensor([3.0, 4.0])],
    "tensors without dims": lambda tensor: [tensor(1), tensor(2)],
    "one sample": lambda tensor: [tensor([1.0])],
    "tuples": lambda tensor: [(tensor([1.0]), 3), (tensor([2.0]), 4)],
    "lists": lambda tensor: [[1, 2.0], [3, 4.0]],
    "dicts": lambda tensor: [{"a": 1, "b": tensor([1.0])}, {"b": tensor([2.0]), "a": 2}],
    "ordered dicts": lambda tensor: [OrderedDict(a=1), OrderedDict(a=2)],
    "read-only mappings": lambda tensor: [MappingProxyType({"a": 1}), MappingProxyType({"a": 2})],
    "mappings of another type": lambda tensor: [UserDict(a=1), UserDict(a=2)],
    "named tuples": lambda tensor: [Point(1, tensor([1.0])), Point(2, tensor([2.0]))],
    "nested": lambda tensor: [{"a": [(1, "x")], "b": Point(1.0, {"c": True})}] * 3,
    "ranges": lambda tensor: [range(3), range(3)],
}

SAMPLES = {
    "number": lambda tensor: 3,
    "text": lambda tensor: "abc",
    "nothing": lambda tensor: None,
    "array": lambda tensor: np.arange(3),
    "scalar": lambda tensor: np.float32(1.5),
    "text array": lambda tensor: np.array(["a"]),
    "structure": lambda tensor: {
        "a": [np.arange(2), 1],
        "b": (tensor([1.0]), np.array(2)),
        "c": Point(np.array(0), 0),
    },
    "range": lambda tensor: range(3),
}


@pytest.mark.parametrize("name", BATCHES)
def test_default_collate_equals_pytorch(torch: ModuleType, name: str) -> None:
    expected = torch.utils.data.default_collate(BATCHES[name](torch.tensor))
    assert described(default_collate(BATCHES[name](ours.tensor))) == described(expected)


@pytest.mark.parametrize("name", SAMPLES)
def test_default_convert_equals_pytorch(torch: ModuleType, name: str) -> None:
    expected = torch.utils.data.default_convert(SAMPLES[name](torch.tensor))
    assert described(default_convert(SAMPLES[name](ours.tensor))) == described(expected)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda tensor: [tensor([1.0]), tensor([1.0, 2.0])], RuntimeError),
        (lambda tensor: [np.zeros(1), np.zeros(2)], RuntimeError),
        (lambda tensor: [[1], [1, 2]], RuntimeError),
        (lambda tensor: [(1, 2), (1,)], RuntimeError),
        (lambda tensor: [None, None], TypeError),
        (lambda tensor: [object()], TypeError),
        (lambda tensor: [np.array(["a"])], TypeError),
        (lambda tensor: [{"a": 1}, {"b": 1}], KeyError),
    ],
)
def test_what_cannot_be_batched_raises_as_in_pytorch(
    data_module: ModuleType, make: Any, error: type[Exception]
) -> None:
    tensor = ours.tensor if data_module is distrt.data else require_torch().tensor
    with pytest.raises(error):
        data_module.default_collate(make(tensor))


def test_ragged_tensors_are_named_in_the_error() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)\b1\b.*\b2\b"):
        default_collate([ours.tensor([1.0]), ours.tensor([1.0, 2.0])])


def test_batch_is_a_copy_of_its_samples() -> None:
    array = np.zeros(3, np.float32)
    batch = default_collate([array, array])
    array[:] = 1
    assert batch.tolist() == [[0.0] * 3] * 2


def test_collate_takes_functions_for_more_types() -> None:
    class Word:
        def __init__(self, text: str) -> None:
            self.text = text

    def join(batch: list[Word], *, collate_fn_map: Any = None) -> str:
        return " ".join(word.text for word in batch)

    table = default_collate_fn_map | {Word: join}
    words, numbers = collate([(Word("a"), 1), (Word("b"), 2)], collate_fn_map=table)
    assert words == "a b"
    assert isinstance(numbers, Tensor)
