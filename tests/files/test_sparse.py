"""Files with sparse tensors: written and read by either library, pickled, and refused where they lie."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from typing import Any

import pytest

import distrt
from distrt.core.errors import CheckpointError
from tests.oracles import require_torch


def _coo(lib: Any) -> Any:
    return lib.sparse_coo_tensor([[0, 1, 1, 0], [2, 0, 2, 2]], [3.0, 4.0, 5.0, 1.0], (2, 3))


def _compressed(lib: Any, layout: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's are in beta
        return getattr(_coo(lib), f"to_sparse_{layout}")()


VALUES = {
    "as given": _coo,
    "coalesced": lambda lib: _coo(lib).coalesce(),
    "with a dense dim": lambda lib: lib.sparse_coo_tensor([[0, 3]], lib.ones(2, 3).half(), (4, 3)),
    "parameter": lambda lib: lib.nn.Parameter(_coo(lib)),
    "csr": lambda lib: _compressed(lib, "csr"),
    "csc": lambda lib: _compressed(lib, "csc"),
    "in a state": lambda lib: {"graph": _coo(lib), "weight": lib.ones(2), "layout": lib.sparse_coo},
}


@pytest.mark.parametrize("name", VALUES)
def test_either_library_reads_what_the_other_wrote(name: str) -> None:
    torch = require_torch()
    torch.sparse.check_sparse_tensor_invariants.disable()
    for writer, reader in ((torch, distrt), (distrt, torch), (distrt, distrt)):
        buffer = io.BytesIO()
        writer.save(VALUES[name](writer), buffer)
        buffer.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert repr(reader.load(buffer)) == repr(VALUES[name](writer))


@pytest.mark.parametrize("name", VALUES)
def test_copies_and_pickles_are_alike_and_apart(name: str) -> None:
    value = VALUES[name](distrt)
    for again in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert repr(again) == repr(value)
    if isinstance(value, distrt.Tensor):
        again = copy.deepcopy(value)
        again._values().zero_() if again.is_sparse else again.values().detach().zero_()
        assert repr(again) != repr(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: distrt.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (3,)),
        lambda: distrt.sparse_coo_tensor([[0, -1]], [1.0, 2.0], (3,)),
        lambda: distrt.sparse_coo_tensor([[1, 0]], [1.0, 2.0], (3,), is_coalesced=True),
        lambda: distrt.sparse_csr_tensor([0, 1, 2], [0, 9], [1.0, 2.0], (2, 3)),
        lambda: distrt.sparse_csr_tensor([0, 9, 2], [0, 1], [1.0, 2.0], (2, 3)),
    ],
)
def test_a_file_whose_indices_lie_is_refused(make: Any) -> None:
    buffer = io.BytesIO()
    distrt.save(make(), buffer)
    buffer.seek(0)
    with pytest.raises(CheckpointError, match="parts do not fit"):
        distrt.load(buffer)
