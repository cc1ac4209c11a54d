"""Sparse tensors beside PyTorch's: values, texts, parts, errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.op import REGISTRY
from distrt.core.sparse.functions import FUNCTIONS, OPERATIONS
from tests.oracles import require_torch

torch = require_torch()


def subjects(library: Any) -> dict[str, Any]:
    """The tensors that expressions are about: ``s`` gives one place twice, ``h`` has a dense dim."""
    t = library
    indices, values = t.tensor([[0, 1, 1, 0], [2, 0, 2, 2]]), t.tensor([3.0, 4.0, 5.0, 1.0])
    s = t.sparse_coo_tensor(indices, values, (2, 3))
    h = t.sparse_coo_tensor([[2, 0]], t.arange(6.0).view(2, 3), (4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that its CSR is in beta
        r, q = s.to_sparse_csr(), s.to_sparse_csc()
    u = t.sparse_coo_tensor([[0, 0, 1], [0, 2, 1]], [0.5, -1.0, 2.0], (2, 3))
    d, m = t.arange(6.0).view(2, 3) - 2, t.arange(12.0).view(3, 4) / 7
    return {
        "t": t,
        "s": s,
        "c": s.coalesce(),
        "u": u,
        "h": h,
        "r": r,
        "q": q,
        "d": d,
        "m": m,
        "i": indices,
        "v": values,
    }


def outcome(library: Any, expression: str) -> str:
    """What an expression prints, or the builtin that its error is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return repr(eval(expression, subjects(library)))
        except Exception as error:
            kinds = [each.__name__ for each in type(error).__mro__ if each.__module__ == "builtins"]
            return f"{kinds[0]} {str(error)[:24]}"


def listed(text: str) -> list[str]:
    """Expressions, with semicolons between."""
    return [each.strip() for each in text.split(";")]


ZERO_TO_ZERO = (
    "abs asinh atan ceil deg2rad erf expm1 floor frac isinf isnan isneginf isposinf log1p nan_to_num neg positive "
    "rad2deg relu round sgn sign signbit sin sinh sqrt square tan tanh trunc"
).split()

SAME = [
    *[f"s.{name}()" for name in ZERO_TO_ZERO],
    *[f"t.{name}(u)" for name in ("neg", "abs", "sin", "sqrt", "square")],
    *listed("""
    s ; c ; h ; r ; q ; s.double() ; s.half() ; s.bool() ; s.to(t.int64) ; h.long() ; s.coalesce() ;
    s.to_dense() ; h.to_dense() ; r.to_dense() ; q.to_dense() ; d.to_sparse() ; d.to_sparse(1) ;
    d.to_sparse_csr() ; d.to_sparse_csc() ; r.to_sparse_csc() ; q.to_sparse() ; d.to_dense() ; s._indices() ;
    s._values() ; c.indices() ; c.values() ; s._nnz() ; c._nnz() ; r._nnz() ; s.is_coalesced() ;
    h.sparse_dim() ; h.dense_dim() ; d.sparse_dim() ; s.is_sparse ; r.is_sparse ; r.is_sparse_csr ; s.layout ;
    r.crow_indices() ; r.col_indices() ; r.values() ; q.ccol_indices() ; q.row_indices() ; r.layout ; s.shape ;
    s.size(1) ; s.dim() ; s.numel() ; s.dtype ; s.device ; s.type()  ; len(s) ; s + s ; s - s ;
    c + u ; c - u ; s * 2 ; 2 * s ; s / 2 ; c // 2 ; -s ; s ** 2 ; s * t.tensor(3) ; d + s ; d - s ; s * d ;
    d * s ; c * c ; s + s.double() ; s.add(s, alpha=3) ; d.add(s, alpha=-2) ; s @ m ; s.mm(m) ;
    t.mm(s, m) ; t.matmul(s, m) ; t.spmm(s, m) ; t.sparse.mm(s, m) ; m.t() @ s.t() ; s @ t.ones(3) ;
    s.mv(t.ones(3)) ; t.addmm(t.ones(2, 4), s, m) ; t.sparse.addmm(t.ones(2, 4), s, m, beta=2.0) ;
    t.addmm(t.ones(2, 4), s, m, beta=0.5, alpha=3) ; t.smm(s, m) ; t.hspmm(c, m) ; s @ s.t() ;
    t.sparse.mm(u, s.t()) ; r @ m ; q @ m ; r @ t.ones(3) ; r.t() ; r.t() @ t.ones(2, 5) ; r + r ; r * 2 ;
    t.nn.functional.linear(s, d) ; t.nn.functional.linear(d.view(1, 2, 3), r) ; t.ones(2, 2, 2) @ s ;
    t.nn.functional.linear(d[0], r) ; s.t() ; s.transpose(0, 1) ; s.permute(1, 0) ; h.transpose(0, 0) ;
    s.unsqueeze(0) ; h.unsqueeze(1) ; h.unsqueeze(2) ; s[0] ; s[1, 2] ; h[2] ; h[1] ; s.select(1, 2) ;
    h.int()[2] ; h.bool()[0] ; h[2, 0:2] ; h[2, ..., None] ; s[..., 0] ; s[None] ; s[1, None] ; s[t.tensor(1)] ;
    s[i.numpy()[0, 1], 0] ; r[0] ; r[1, 2] ; r[:, 1] ; q.select(1, 2) ; r.select(0, 1).to_dense() ;
    s.unbind(0) ; list(s) ; t.cat([s, s]) ; t.cat([s, u], 1) ;
    t.cat([h, h], 1) ; t.stack([s, u]) ; t.stack([s, s], 2) ; s.sum() ; s.sum(0) ; h.sum(1) ; h.sum(0) ;
    s.long().sum(0) ; c.bool().sum(1) ; s.half().sum(1) ; h.int().sum(1) ; s.sum(1, keepdim=True) ;
    h.sum((0, 1), keepdim=True) ; h.sum(1, True) ; t.sum(s, dim=None, keepdim=True) ;
    t.sparse.sum(s) ; t.sparse.sum(s, 1) ; t.sparse.sum(s, (0, 1)) ; t.sparse.sum(h, (0,)) ;
    t.sparse.sum(s, dtype=t.float64) ; s.norm() ; s.any() ; t.sparse.softmax(s, 1) ; t.sparse.softmax(s, 0) ;
    t.sparse.log_softmax(s, 1) ; t.sparse.softmax(h, 1) ; d.sparse_mask(c) ; c.sparse_mask(u) ;
    t.zeros_like(s, device="cpu") ; t.zeros_like(s, layout=t.strided) ; t.zeros_like(r, layout=t.sparse_coo) ;
    t.zeros_like(h, layout=t.sparse_coo) ; t.zeros_like(s, layout=t.sparse_csr) ; t.zeros_like(q) ;
    t.zeros_like(r, dtype=t.float64, requires_grad=True) ; t.zeros(2, 3, layout=t.sparse_csr) ;
    t.zeros_like(s) ; t.empty_like(s) ; t.zeros(2, 3, layout=t.sparse_coo) ; t.sparse_coo_tensor((2, 3)) ;
    s.new(i, v, t.Size([2, 3])) ; s.double().new(i, v.double()) ; s.new(2, 3) ; s.new() ; s.new_zeros(2, 3) ;
    r.new_zeros(3, 3) ; s.new_empty((2, 3), dtype=t.int64) ; t.sparse.DoubleTensor(i, v) ;
    t.sparse.FloatTensor(i, v, t.Size([2, 3])) ; t.sparse.FloatTensor(2, 3) ; t.sparse.LongTensor(i, v.long()) ;
    t.sparse_coo_tensor(i, v) ; t.sparse_coo_tensor([[0, 1], [1, 2]], [1, 2]) ;
    t.sparse_coo_tensor(i, v, dtype=t.float64) ; t.sparse_coo_tensor(i, v, requires_grad=True) ;
    t.sparse_coo_tensor(i.int(), v) ;
    t.sparse_coo_tensor(t.zeros(2, 0), t.zeros(0), (2, 3)) ;
    t.sparse_coo_tensor(c.indices(), c.values(), is_coalesced=True) ;
    t.sparse_csr_tensor([0, 1, 3], [2, 0, 2], [3.0, 4.0, 5.0], (2, 3)) ;
    t.sparse_csr_tensor([0, 1, 3], [2, 0, 2], [3, 4, 5]) ;
    t.sparse_csr_tensor([0, 0, 2, 3, 3], [1, 2, 0], [3.0, 4.0, 5.0], (4, 3), check_invariants=True) ;
    t.sparse_csc_tensor([0, 1, 1, 3], [1, 0, 1], [4.0, 4.0, 5.0]) ;
    t.sparse_csr_tensor([0, 0], [], [], (1, 4)).to_dense() ; s.clone().add_(s) ; s.clone().mul_(2) ;
    s.clone().zero_() ; h.clone().zero_() ; r.clone().zero_() ; s.clone().copy_(s) ;
    d.clone().add_(s, alpha=2) ; d.clone().sub_(s) ;
    t.ones(2, 4).addmm_(s, m, beta=2, alpha=3) ; t.addmv(t.ones(2), r, t.ones(3), beta=2, alpha=3) ;
    t.ones(2).addmv_(r, t.ones(3)) ; t.addmm(t.full((2, 4), float("nan")), s, m, beta=0) ;
    c.clone().div_(2, rounding_mode="floor") ;
    s.clone().div_(2) ; s.clone().neg_() ; s.detach() ; s.clone() ; t.is_tensor(s) ;
    isinstance(s, t.sparse.FloatTensor) ; type(s) is t.Tensor ; s.element_size() ; s.is_floating_point() ;
    t.numel(s) ; t.sparse.sampled_addmm(r, d[:, :2], d[:, :2].t() @ d, beta=0.5) ;
    t.randn(3, 3).to_sparse().to_dense().is_sparse ;
    t.tensor(3.0).to_sparse() ; t.tensor(0.0).to_sparse() ; t.tensor(3.0).to_sparse().to_dense() ;
    t.tensor(3.0).to_sparse() + t.tensor(4.0).to_sparse() ; t.sparse_coo_tensor([[1]], [2.0], (3,)).indices() ;
    t.sparse_coo_tensor([[1], [2]], [2.0], (3, 3)).mul(2).values() ;
    t.zeros(0, 3).to_sparse() @ t.ones(3, 2) ; t.zeros(2, 3).to_sparse_csr() @ t.ones(3, 0) ;
    r + d ; d + r ; q + d ; r.to_sparse(2) ;
    t.sparse_csr_tensor(t.tensor([0, 1, 1]).int(), i[1, :1].int(), v[:1], (2, 3)).to_sparse_csc().row_indices()
    """),
]

REFUSED = [
    *[f"s.{name}()" for name in "exp cos log mean max std sigmoid all prod argmax".split()],
    *listed("""
    s.indices() ; s.values() ; s + 1 ; s + d ; s - d ; s / s ; s / d ; d.indices() ; d.coalesce() ; s.numpy() ;
    d._values() ; d._nnz() ; r._indices() ; s.cumsum(0) ; d.crow_indices() ; s.crow_indices() ; s.reshape(6) ;
    s.item() ; bool(s) ; t.ones_like(s, device="cpu") ;
    d.is_coalesced() ; s == s ; s < 1 ; s.view(6) ; t.ones_like(s) ; s.clamp(0, 1) ; s.fill_(1) ;
    t.maximum(s, s) ; s.softmax(1) ; s.diag() ; t.sparse_coo_tensor(i, v[:2], (2, 3)) ;
    t.sparse_coo_tensor(i, v, (2, 3, 4)) ; t.sparse_coo_tensor(i, v, (1, 3), check_invariants=True) ;
    t.sparse_coo_tensor(i - 1, v, (2, 3), check_invariants=True) ; t.sparse_coo_tensor(i.view(-1), v, (8,)) ;
    s @ d ; s @ t.ones(4) ; t.hspmm(d, m) ; t.sparse.sampled_addmm(d, d, d.t() @ d) ;
    d + h ; t.cat([s, d]) ; t.stack([s, h]) ;
    t.sparse_coo_tensor(i, v.long(), requires_grad=True) ; h.transpose(0, 1) ; s.permute(0) ; s[5] ;
    s.select(0, 3) ; t.sparse_csr_tensor([0, 1, 3], [2, 0, 2], v[:3], (2, -3)) ;
    t.sparse_csr_tensor([0, 1, 3], [0, 2, 0], v[:3], (2, 3), check_invariants=True) ;
    t.sparse_csr_tensor([0, 1, 3], [0, 2, 2], v[:3], (2, 3), check_invariants=True) ;
    t.sparse_csc_tensor([0, 2, 2, 3], [1, 0, 0], v[:3], (2, 3), check_invariants=True) ;
    t.sparse.FloatTensor(i) ; s.new([1, 2]) ; s.new(s) ; s.new_ones(2) ; s.new_full((2,), 1) ;
    t.sparse.softmax(d, 0) ; s * h ; u + h ; t.sparse_coo_tensor([[0, 1]], d, (3, 4)) ;
    t.sparse_coo_tensor(i, v, (-2, 3)) ; t.sparse_coo_tensor(i, v, (2**32, 2**32)) ;
    t.sparse_coo_tensor((2**32, 2**32)) ; s.to_sparse(1) ; r.to_sparse(1) ; r + t.ones(3)
    """),
]


@pytest.mark.parametrize("expression", SAME)
def test_an_expression_prints_what_pytorchs_does(expression: str) -> None:
    mine, theirs = outcome(distrt, expression), outcome(torch, expression)
    assert "tensor(" in theirs or " " not in theirs or "torch." in theirs, f"PyTorch refuses: {theirs}"
    assert mine == theirs


@pytest.mark.parametrize("expression", REFUSED)
def test_what_pytorch_refuses_is_refused(expression: str) -> None:
    mine, theirs = outcome(distrt, expression), outcome(torch, expression)
    assert "Error" in theirs.split()[0], f"PyTorch does this: {theirs}"
    assert mine.split()[0] == theirs.split()[0], (mine, theirs)


def test_every_sparse_form_stands_where_it_is_looked_up() -> None:
    """Under an operation's own name, or that of a function or method that is composed of operations."""
    assert set(OPERATIONS) <= set(REGISTRY)
    for name in set(FUNCTIONS) - {"get_item"}:
        forms = [getattr(place, name) for place in (distrt, distrt.Tensor) if hasattr(place, name)]
        assert any(not hasattr(each, "definition") for each in forms), name


def test_an_error_names_the_operation_and_the_layout() -> None:
    s = subjects(distrt)["s"]
    for call, name in ((s.exp, "exp"), (s.mean, "mean"), (lambda: s.max(0), "max"), (lambda: s > 1, "gt")):
        with pytest.raises(NotImplementedError, match=rf"{name}.*torch\.sparse_coo"):
            call()


@pytest.mark.parametrize(
    "expression", ["s * s", "c.narrow(1, 1, 2)", "s.index_select(1, t.tensor([2, 0, 2]))", "s[:, 1:]"]
)
def test_what_is_written_otherwise_has_the_same_elements(expression: str) -> None:
    """Which coordinates are given, and how often, is not PyTorch's here."""
    mine = eval(expression, subjects(distrt)).to_dense()
    dense = {name: value.to_dense() for name, value in subjects(torch).items() if name in "scu"}
    theirs = eval(expression, {**subjects(torch), **dense})
    assert mine.tolist() == theirs.tolist()


def test_a_dense_tensor_is_its_own_dense_form() -> None:
    x = distrt.ones(2)
    assert x.to_dense() is x


def test_indices_that_change_are_seen_by_the_next_product() -> None:
    for library in (distrt, torch):
        s = library.sparse_coo_tensor([[0, 1], [1, 0]], [2.0, 3.0], (2, 2))
        assert (s @ library.eye(2)).tolist() == [[0.0, 2.0], [3.0, 0.0]]
        s._indices()[1, 0] = 0
        assert (s @ library.eye(2)).tolist() == [[2.0, 0.0], [3.0, 0.0]]


@pytest.mark.parametrize("name", ["sparse_csr_tensor", "sparse_csc_tensor"])
def test_indices_that_a_matrix_was_made_of_are_looked_at_again_when_they_change(name: str) -> None:
    found = []
    for library in (distrt, torch):
        starts, others = library.tensor([0, 1, 2]), library.tensor([0, 1])
        s, e = getattr(library, name)(starts, others, library.tensor([2.0, 3.0]), (2, 2)), library.eye(2)
        found.append([(s @ e).tolist(), (e @ s).tolist()])
        others[0] = 1
        found[-1] += [(s @ e).tolist(), (e @ s).tolist()]
        if library is distrt:
            for part, wrong in (
                (others, [7, 1]),
                (starts, [0, 3, 2]),
                (starts, [0, 1, 9]),
                (starts, [1, 1, 2]),
            ):
                part.copy_(library.tensor(wrong))
                for use in (lambda s=s, e=e: s @ e, lambda s=s, e=e: e @ s, s.to_dense):
                    with pytest.raises(IndexError):
                        use()
                others.copy_(library.tensor([0, 1]))
    assert found[0] == found[1]


def test_matrices_that_share_some_indices_alone_have_other_places() -> None:
    found = []
    for library in (distrt, torch):
        t = library
        columns, values = t.tensor([0, 1, 2]), t.tensor([1.0, 2.0, 3.0])
        one, other = (
            t.sparse_csr_tensor(t.tensor(starts), columns, values, (2, 3))
            for starts in ([0, 1, 3], [0, 2, 3])
        )
        found.append((one * other).to_dense().tolist())
    assert found[0] == found[1] == [[1.0, 0.0, 0.0], [0.0, 0.0, 9.0]]


def test_the_block_layouts_are_refused_by_name() -> None:
    x = distrt.eye(4)
    for call in (
        lambda: x.to_sparse_bsr((2, 2)),
        lambda: x.to_sparse_bsc((2, 2)),
        lambda: x.to_sparse(layout=distrt.sparse_bsr, blocksize=(2, 2)),
        lambda: distrt.sparse_bsr_tensor([0, 1], [0], [[[1.0]]]),
    ):
        with pytest.raises(NotImplementedError, match="blocks"):
            call()


def test_invariants_are_looked_at_where_it_is_switched_on() -> None:
    def make() -> Any:
        return distrt.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (3,))

    make()
    with distrt.sparse.check_sparse_tensor_invariants(), pytest.raises(RuntimeError, match="found index 5"):
        make()
    assert not distrt.sparse.check_sparse_tensor_invariants.is_enabled()
    make()


def test_parts_that_do_not_fit_are_refused_before_they_are_read() -> None:
    """PyTorch looks only where it is asked to, and reads beyond the end of what it was given."""
    for parts in (
        ([0, 1], [2, 0, 2], [3.0, 4.0, 5.0]),
        ([0, 1, 3], [2, 0], [3.0, 4.0, 5.0]),
        ([1, 1, 3], [0] * 3, [1.0] * 3),
    ):
        with pytest.raises(RuntimeError, match="indices"):
            distrt.sparse_csr_tensor(*parts, (2, 3))


def test_a_batch_of_sparse_tensors_is_refused_as_by_pytorch() -> None:
    for library in (distrt, torch):
        with pytest.raises(RuntimeError, match="Batches of sparse tensors are not currently supported"):
            library.utils.data.default_collate([library.eye(2).to_sparse()] * 2)


def test_coordinates_outside_of_the_tensor_are_told_where_they_are_used() -> None:
    outside = distrt.sparse_coo_tensor([[0, 1], [1, 5]], [1.0, 2.0], (2, 3))
    rows = distrt.sparse_csr_tensor([0, 1, 2], [1, 5], [1.0, 2.0], (2, 3))
    for use in (
        outside.to_dense,
        rows.to_dense,
        lambda: outside @ distrt.ones(3, 1),
        lambda: rows @ distrt.ones(3, 1),
    ):
        with pytest.raises(IndexError, match="has index 5 in dim"):
            use()


def test_other_devices_are_refused() -> None:
    made = subjects(distrt)["s"]
    table = distrt.nn.Embedding(3, 2, sparse=True, device="meta")
    for call in (
        lambda: made.to("meta"),
        lambda: distrt.sparse_coo_tensor([[0], [1]], distrt.ones(1, device="meta"), (2, 2)),
        lambda: distrt.sparse_coo_tensor([[0], [1]], [1.0], (2, 2), device="meta"),
        lambda: table(distrt.zeros(2, dtype=distrt.int64, device="meta")).sum().backward(),
    ):
        with pytest.raises(NotImplementedError, match="CPU"):
            call()


@pytest.mark.parametrize("times", [1, 2])
def test_a_sparse_batch_times_a_dense_one(times, rng):
    """The same coordinates may be given several times."""
    first, second = rng.random((2, 3, 4)), rng.random((2, 4, 5))
    first[first < 0.5] = 0
    outcomes = []
    for library in (distrt, torch):
        given = library.from_numpy(first).to_sparse()
        batch = library.sparse_coo_tensor(
            library.cat([given.indices()] * times, 1), library.cat([given.values()] * times), given.shape
        )
        dense = library.from_numpy(second).requires_grad_()
        found = library.bmm(batch, dense)
        found.square().sum().backward()
        outcomes.append((found.detach().numpy(), dense.grad.numpy()))
        for one, other in (
            (batch, dense[:1]),
            (batch, dense[:, :3]),
            (batch, batch.transpose(1, 2)),
            (batch, dense[0]),
        ):
            with pytest.raises(RuntimeError if library is torch else (RuntimeError, NotImplementedError)):
                library.bmm(one, other)
    for ours, theirs in zip(*outcomes, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
