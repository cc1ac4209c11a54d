"""The compiled products of sparse matrices beside NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.kernels import sparse_products
from distrt.core.kernels.loops import vector_floats
from distrt.core.sparse import operations
from distrt.core.sparse.compressed import compressed
from distrt.core.sparse.coo import Coo

pytestmark = pytest.mark.skipif(not vector_floats(), reason="nothing is compiled on this machine")


def matrix(rng: np.random.Generator, rows: int, columns: int, count: int) -> Coo:
    """Some rows are empty, some places are given twice."""
    indices = np.stack((rng.integers(0, rows, count) // 3 * 3 % rows, rng.integers(0, columns, count)))
    return Coo(indices.astype(np.int64), rng.standard_normal(count, np.float32), (rows, columns))


@pytest.mark.parametrize("width", [1, 3, 8, 16, 17, 64, 100, 129, 300])
@pytest.mark.parametrize("is_turned", [False, True])
def test_a_product_agrees_with_numpys(rng: np.random.Generator, width: int, is_turned: bool) -> None:
    held = matrix(rng, 70, 41, 500)
    other = rng.standard_normal((70 if is_turned else 41, width), np.float32)
    rows = held.columns() if is_turned else held.rows()
    values = held.values if rows.order is None else held.values[rows.order]
    made = sparse_products.multiply(rows.starts, rows.columns, values, other)
    exact = held.dense().astype(np.float64)
    np.testing.assert_allclose(made, (exact.T if is_turned else exact) @ other, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(made, operations._multiplied(rows, values, other), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("width", [1, 7, 16, 33, 200])
def test_products_at_places_agree_with_numpys(rng: np.random.Generator, width: int) -> None:
    rows, columns = rng.integers(0, 30, 400), rng.integers(0, 20, 400)
    left, right = (rng.standard_normal((size, width), np.float32) for size in (30, 20))
    made = sparse_products.sample(rows, columns, left, right)
    np.testing.assert_allclose(made, np.einsum("ij,ij->i", left[rows], right[columns]), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        made, operations._sums_of_products(rows, columns, left, right), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
@pytest.mark.parametrize("dtype", [distrt.float32, distrt.float64, distrt.bfloat16])
def test_large_matrices_and_their_gradients_agree_with_dense_ones(
    rng: np.random.Generator, layout: str, dtype: Any
) -> None:
    held = matrix(rng, 300, 200, 4000)
    if layout != "coo":
        held = compressed(held, layout == "csc")
    tensor = distrt.eye(1).to_sparse()
    tensor._array = held
    plain = tensor.to_dense().to(dtype).requires_grad_()
    sparse = tensor.to(dtype).requires_grad_()
    features = distrt.from_numpy(rng.standard_normal((200, 24), np.float32)).to(dtype)
    one, other = features.clone().requires_grad_(), features.clone().requires_grad_()
    weights = distrt.from_numpy(rng.standard_normal((300, 24), np.float32)).to(dtype)
    made, expected = sparse @ one, plain @ other
    made.backward(weights)
    expected.backward(weights)
    close = {"rtol": 0.05, "atol": 0.3} if dtype is distrt.bfloat16 else {"rtol": 1e-3, "atol": 1e-3}
    assert distrt.allclose(made, expected, **close)
    assert distrt.allclose(one.grad, other.grad, **close)
    mask = sparse.detach().coalesce() if layout == "coo" else sparse.detach()
    assert distrt.allclose(sparse.grad.to_dense(), plain.grad.sparse_mask(mask).to_dense(), **close)


def test_the_kernels_are_chosen_by_size_and_dtype(rng: np.random.Generator) -> None:
    small, large = np.zeros(10, np.float32), np.zeros(1 << 17, np.float32)
    assert not sparse_products.suits(10, small)
    assert sparse_products.suits(1 << 17, large)
    assert not sparse_products.suits(1 << 17, large.astype(np.float64))
