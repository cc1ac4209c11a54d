"""Gradients of and through sparse tensors beside PyTorch's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import distrt
from distrt.autograd import gradcheck, gradgradcheck
from tests.oracles import require_torch

torch = require_torch()
torch.sparse.check_sparse_tensor_invariants.disable()  # or it warns that nobody has said whether it shall look

INDICES, VALUES, SIZE = [[0, 1, 1, 0], [2, 0, 2, 2]], [3.0, 4.0, 5.0, 1.0], (2, 3)


def loss_of(library: Any, made: Any) -> Any:
    dense = made.to_dense() if made.layout is not library.strided else made
    return (dense * library.arange(1.0, dense.numel() + 1).view(dense.shape)).sum()


#: What is done to a sparse matrix and a dense one.
FUNCTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "to_dense": lambda t, s, d: s.to_dense(),
    "coalesce": lambda t, s, d: s.coalesce(),
    "values": lambda t, s, d: s.coalesce().values(),
    "sum": lambda t, s, d: t.sparse.sum(s),
    "sum over a dim": lambda t, s, d: t.sparse.sum(s, 0),
    "times a number": lambda t, s, d: s * 3,
    "times a dense one": lambda t, s, d: s * t.arange(6.0).view(2, 3),
    "sum of two": lambda t, s, d: s + s,
    "difference": lambda t, s, d: s - 2 * s,
    "negative": lambda t, s, d: -s,
    "dense plus sparse": lambda t, s, d: t.ones(2, 3) + s,
    "sparse.mm": lambda t, s, d: t.sparse.mm(s, d),
    "sparse.addmm": lambda t, s, d: t.sparse.addmm(t.ones(2, 3, dtype=d.dtype), s, d, beta=0.5, alpha=2.0),
    "softmax": lambda t, s, d: t.sparse.softmax(s, 1),
    "log_softmax": lambda t, s, d: t.sparse.log_softmax(s, 0),
}

#: The same, of which PyTorch's gradient of the sparse one is dense: here, it has the places that are given.
DENSE_IN_PYTORCH: dict[str, Callable[[Any, Any, Any], Any]] = {
    "@": lambda t, s, d: s @ d,
    "mv": lambda t, s, d: s @ d[:, 0],
    "dense @ sparse": lambda t, s, d: d.t()[:, :2] @ s,
    "addmm": lambda t, s, d: t.addmm(t.ones(2, 3, dtype=d.dtype), s, d),
    "full sum": lambda t, s, d: s.sum(),
}


def gradients(library: Any, function: Any, of_values: bool) -> tuple[Any, Any]:
    """Of the sparse matrix (or of the values that it is made of) and of the dense one."""
    indices, dense = library.tensor(INDICES), library.arange(9.0).view(3, 3) / 5
    dense.requires_grad_()
    values = library.tensor(VALUES)
    if of_values:
        leaf = values.requires_grad_()
        sparse = library.sparse_coo_tensor(indices, leaf, SIZE)
    else:
        leaf = sparse = library.sparse_coo_tensor(indices, values, SIZE).requires_grad_()
    loss_of(library, function(library, sparse, dense)).backward()
    return leaf.grad, dense.grad


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_sparse_leaf_gets_pytorchs_gradient(name: str) -> None:
    mine, theirs = (gradients(library, FUNCTIONS[name], of_values=False) for library in (distrt, torch))
    assert repr(mine) == repr(theirs)


@pytest.mark.parametrize("name", [*FUNCTIONS, *DENSE_IN_PYTORCH])
def test_values_get_pytorchs_gradients(name: str) -> None:
    function = {**FUNCTIONS, **DENSE_IN_PYTORCH}[name]
    mine, theirs = (gradients(library, function, of_values=True) for library in (distrt, torch))
    assert repr(mine) == repr(theirs)


@pytest.mark.parametrize("name", DENSE_IN_PYTORCH)
def test_the_gradient_of_a_sparse_factor_stays_sparse(name: str) -> None:
    mine, theirs = (
        gradients(library, DENSE_IN_PYTORCH[name], of_values=False)[0] for library in (distrt, torch)
    )
    assert mine.is_sparse
    pattern = torch.sparse_coo_tensor(INDICES, VALUES, SIZE).coalesce()
    assert repr(mine) == repr(theirs.sparse_mask(pattern))


@pytest.mark.parametrize("layout", ["csr", "coo"])
def test_products_with_compressed_matrices_have_pytorchs_gradients(layout: str) -> None:
    found = []
    for library in (distrt, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sparse = library.sparse_coo_tensor(INDICES, VALUES, SIZE).coalesce()
            leaf = getattr(sparse, f"to_sparse_{layout}")().requires_grad_()
            dense = library.ones(3, 2).requires_grad_()
            loss_of(library, library.sparse.mm(leaf, dense)).backward()
            found.append((repr(leaf.grad.to_dense()[sparse.to_dense() != 0]), repr(dense.grad)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "name", [*FUNCTIONS, *DENSE_IN_PYTORCH, "sparse @ sparse", "tanh", "pow", "index_select", "cat"]
)
def test_rules_are_the_derivatives_once_and_twice(name: str) -> None:
    """PyTorch has no gradients for some of these. A place is given twice: what its two values get is added up."""
    functions: dict[str, Any] = {
        **FUNCTIONS,
        **DENSE_IN_PYTORCH,
        "sparse @ sparse": lambda t, s, d: s @ s.t(),
        "tanh": lambda t, s, d: s.tanh(),
        "pow": lambda t, s, d: s**2,
        "index_select": lambda t, s, d: s.index_select(1, t.tensor([2, 0, 2])),
        "cat": lambda t, s, d: t.cat([s, s * 2], 1),
    }

    def run(values: Any, dense: Any) -> Any:
        made = functions[name](distrt, distrt.sparse_coo_tensor(INDICES, values, SIZE), dense)
        return made.to_dense() if made.is_sparse else made

    values = (distrt.tensor(VALUES, dtype=distrt.float64) / 4).requires_grad_()
    dense = (distrt.arange(9.0, dtype=distrt.float64).view(3, 3) / 5).requires_grad_()
    assert gradcheck(run, (values, dense))
    assert gradgradcheck(run, (values, dense))


def test_tensors_of_four_dims_are_differentiated_twice() -> None:
    """What is kept of dense arrays of four dims is asked whether it lies with its channels last."""
    indices = distrt.tensor([[0, 1, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0]])
    values = (distrt.arange(4.0, dtype=distrt.float64) + 1).requires_grad_()
    assert gradgradcheck(
        lambda given: (distrt.sparse_coo_tensor(indices, given, (2, 2, 1, 2)) ** 2).to_dense(), (values,)
    )


def test_to_sparse_hands_the_gradient_back() -> None:
    x = distrt.tensor([[0.0, 2.0], [3.0, 0.0]], requires_grad=True)
    (x.to_sparse() * distrt.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 2.0], [3.0, 0.0]]


@pytest.mark.parametrize("order", ["sparse first", "dense first", "both sparse", "at once"])
def test_gradients_of_both_kinds_add_up_as_pytorchs(order: str) -> None:
    found = []
    for library in (distrt, torch):
        weight = library.ones(5, 2).requires_grad_()
        rows = library.tensor([1, 3, 3])

        def sparse(library: Any = library, weight: Any = weight, rows: Any = rows) -> Any:
            return library.nn.functional.embedding(rows, weight, sparse=True).sum()

        parts: dict[str, list[Any]] = {
            "sparse first": [sparse, weight.sum],
            "dense first": [weight.sum, sparse],
            "both sparse": [sparse, sparse],
            "at once": [lambda sparse=sparse, weight=weight: sparse() * 2 + weight.sum() + sparse()],
        }
        for part in parts[order]:
            part().backward()
        found.append((weight.grad.is_sparse, weight.grad.to_dense().tolist()))
    assert found[0] == found[1]


def test_complex_values_have_the_gradients_of_dense_ones() -> None:
    found = []
    for is_sparse in (True, False):
        x = distrt.tensor([1 + 2j, 0, 3j], requires_grad=True)
        middle = (x.to_sparse() if is_sparse else x) * distrt.tensor([1j, 0, 3])
        (middle.to_dense() * distrt.tensor([1, 2j, 1 + 1j])).abs().sum().backward()
        assert x.grad is not None
        found.append(x.grad.tolist())
    assert found[0] == pytest.approx(found[1])
