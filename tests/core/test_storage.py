"""The memory under tensors, seen as one row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_the_text_equals_pytorchs(torch: Any) -> None:
    for dtype in ("float32", "int64", "bool", "float16", "bfloat16", "complex64", "uint8"):
        ours, theirs = (library.arange(3).to(getattr(library, dtype)) for library in (distrt, torch))
        assert str(ours.storage()) == str(theirs._typed_storage())
        assert str(ours.untyped_storage()) == str(theirs.untyped_storage())


def test_views_have_the_storage_of_their_base() -> None:
    base = distrt.arange(12.0).reshape(3, 4)
    for view in (base[1], base[:, ::2], base.t(), base[1:, 1:].t(), base.expand(2, 3, 4), base.detach()):
        storage = view.storage()
        assert len(storage) == storage.size() == 12
        assert storage.data_ptr() == base.data_ptr()
        assert storage == base.storage()
        assert storage.tolist() == list(range(12))
    assert base[2, 1:].storage_offset() == 9


def test_writing_to_a_storage_is_seen_by_its_tensors() -> None:
    base = distrt.zeros(2, 3)
    storage = base[1].storage()
    storage[4] = 7
    assert base.tolist() == [[0, 0, 0], [0, 7, 0]]
    storage.fill_(1)
    assert base.sum() == 6
    base.untyped_storage()[3] = 64  # the highest byte of a float32
    assert base[0, 0] == 4.0


def test_reading_a_storage() -> None:
    storage = distrt.tensor([1.5, 2.5]).bfloat16().storage()
    assert [storage[0], storage[-1]] == [1.5, 2.5]
    assert list(storage) == [1.5, 2.5]
    assert storage.dtype is distrt.bfloat16
    assert storage.device == distrt.device("cpu")
    assert (storage.nbytes(), storage.element_size()) == (4, 2)
    assert storage.type() == "torch.BFloat16Storage"
    assert len(storage.untyped()) == storage.untyped().nbytes() == 4
    assert not storage.is_shared() and not storage.is_cuda
    assert storage.float().dtype is distrt.float32
    assert storage.clone().data_ptr() != storage.data_ptr()
    assert distrt.is_storage(storage) and not distrt.is_storage(distrt.ones(1))


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_wrong_indices_of_a_storage(torch: Any) -> None:
    for library in (distrt, torch):
        storage = library.ones(3)._typed_storage()
        with pytest.raises(IndexError, match="out of range"):
            storage[3]
        with pytest.raises(RuntimeError, match="slices"):
            storage[1:]
        assert len(library.ones(3).untyped_storage()[2:6]) == 4


def test_a_tensor_of_a_storage_shares_its_memory() -> None:
    base = distrt.arange(4.0).reshape(2, 2)
    row = distrt.Tensor(base.storage())
    row[3] = 9
    assert base[1, 1] == 9
    shown = distrt.empty(0).set_(base.storage())
    assert shown.tolist() == [0, 1, 2, 9]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(24.0).reshape(2, 3, 4).transpose(0, 2, 1).copy(order="K"),
        np.arange(12.0).reshape(3, 4)[::2, 1::2],
        np.zeros((2, 0, 3)),
        np.array(3.0),
    ],
    ids=["rows", "columns", "permuted", "with gaps", "empty", "0-d"],
)
def test_an_element_lies_where_offset_and_strides_say(array: Any) -> None:
    tensor = distrt.from_numpy(array)
    storage = tensor.storage()
    for index in np.ndindex(array.shape):
        steps = zip(index, tensor.stride(), strict=True)
        assert storage[tensor.storage_offset() + sum(i * step for i, step in steps)] == array[index]


def test_a_files_bytes_are_a_storage_and_tensors_over_it(tmp_path, torch):
    path = tmp_path / "bytes"
    path.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    for library in (distrt, torch):
        storage = library.UntypedStorage.from_file(str(path), False, 16)
        part = library.asarray(storage[4:12], dtype=library.uint8).view(dtype=library.float32)
        assert part.tolist() == [1.0, 2.0]
        part += 5  # in this process alone
        assert path.read_bytes()[4:8] == np.float32(1).tobytes()
        shared = library.UntypedStorage.from_file(str(path), True, 16)
        library.asarray(shared, dtype=library.float32)[0] = 7.0
        assert np.frombuffer(path.read_bytes(), np.float32)[0] == 7.0
        with pytest.raises(RuntimeError):
            library.UntypedStorage.from_file(str(path), False, 17)


def test_a_shared_file_is_made_as_long_as_is_asked(tmp_path):
    path = tmp_path / "new"
    assert len(distrt.UntypedStorage.from_file(path, shared=True, nbytes=8)) == 8
    assert path.stat().st_size == 8
