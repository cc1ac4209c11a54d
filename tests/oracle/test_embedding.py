"""Embeddings beyond the table of layers: renormalisation, starts, adding up many rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import assert_same


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, float("inf")])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("layer", ["Embedding", "EmbeddingBag"])
def test_rows_that_are_too_long_are_scaled_in_place(
    layer: str, dtype: str, norm_type: float, torch: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    table, named = rng.standard_normal((6, 4)) * 2, rng.integers(0, 5, (2, 3))
    results = []
    for library in (distrt, torch):
        kind = getattr(library, dtype)
        made = getattr(library.nn, layer)(6, 4, max_norm=1.5, norm_type=norm_type, dtype=kind)
        with library.no_grad():
            made.weight.copy_(library.from_numpy(table))
        version = made.weight._version
        out = made(library.from_numpy(named))
        assert made.weight._version > version and made.weight.grad_fn is None
        out.sum().backward()
        results.append((out, made.weight, made.weight.grad))
    for mine, theirs in zip(*results, strict=True):
        assert_same(mine, theirs, f"{layer}, {norm_type}", 10)
    assert results[0][1][5].tolist() == distrt.from_numpy(table).to(getattr(distrt, dtype))[5].tolist()


def test_a_table_that_was_renormalised_after_use_is_refused_in_backward(torch: Any) -> None:
    for library in (distrt, torch):
        layer = library.nn.Embedding(3, 4, max_norm=1.0)
        with library.no_grad():
            layer.weight.fill_(5.0)
        early = layer.weight @ library.ones(4, 2, requires_grad=True)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            (early.sum() + layer(library.tensor([1])).sum()).backward()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_rows_named_often_add_up_as_with_one_rounding(dtype: str, seed: int) -> None:
    """Some numbers once, some a few times, some hundreds of times: all ways of adding take part."""
    rng = np.random.default_rng(seed)
    named = np.concatenate([np.full(400, 3), np.full(9, 7), np.full(8, 1), [2, 2, 0, 5], np.arange(10, 40)])
    named = rng.permutation(named).reshape(-1, 11)
    weight = distrt.zeros(50, 6, dtype=getattr(distrt, dtype), requires_grad=True)
    gradient = distrt.from_numpy(rng.standard_normal((*named.shape, 6))).to(weight.dtype)
    distrt.nn.functional.embedding(distrt.from_numpy(named), weight).backward(gradient)
    expected = np.zeros((50, 6))
    np.add.at(expected, named, gradient.double().numpy())
    tolerance = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 8e-3}[dtype]
    np.testing.assert_allclose(weight.grad.double().numpy(), expected, rtol=tolerance, atol=1e-5)


@pytest.mark.parametrize("padding_idx", [None, 2])
def test_the_gradient_of_a_table_in_a_bucket_is_written_there(padding_idx: int | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    named = distrt.from_numpy(rng.integers(0, 5, (3, 4)))
    factor = distrt.from_numpy(rng.standard_normal((3, 4, 2)))
    found = []
    for is_lent in (False, True):
        slot = np.full((5, 2), np.nan) if is_lent else None
        weight = distrt.ones(5, 2, dtype=distrt.float64, requires_grad=True)
        weight._grad_slot = slot
        out = distrt.nn.functional.embedding(named, weight, padding_idx)
        (out * factor).sum().backward()
        assert slot is None or np.shares_memory(weight.grad.numpy(), slot)
        found.append(weight.grad)
    assert distrt.equal(*found)


@pytest.mark.parametrize("indices", [[[0, 1], [1, 1]], []])
def test_rows_without_features_have_a_gradient_without_elements(indices: list[Any]) -> None:
    table = distrt.zeros(4, 0, requires_grad=True)
    distrt.nn.functional.embedding(distrt.tensor(indices, dtype=distrt.int64), table).sum().backward()
    assert table.grad.shape == (4, 0)


def test_tied_weights_get_both_gradients() -> None:
    table = distrt.nn.Embedding(5, 3)
    head = distrt.nn.Linear(3, 5, bias=False)
    head.weight = table.weight
    head(table(distrt.tensor([1, 1, 4]))).sum().backward()
    out_of_table = distrt.zeros(5, 3)
    for row in (1, 1, 4):
        out_of_table[row] += table.weight.detach().sum(0)
    into_head = table.weight.detach()[[1, 1, 4]].sum(0)
    assert distrt.allclose(table.weight.grad, out_of_table + into_head, atol=1e-5)


def test_new_tables_are_standard_normal_with_a_padding_row_of_zeros(seed: int) -> None:
    distrt.manual_seed(seed)
    for layer in (
        distrt.nn.Embedding(400, 50, padding_idx=-2),
        distrt.nn.EmbeddingBag(400, 50, padding_idx=398),
    ):
        assert layer.padding_idx == 398 and not layer.weight[398].any() and layer.weight.requires_grad
        assert abs(layer.weight.mean().item()) < 0.05 and abs(layer.weight.std().item() - 1) < 0.05
        layer.weight.data.fill_(7)
        layer.reset_parameters()
        assert not layer.weight[398].any() and layer.weight[0].all()


def test_pretrained_rows_are_shared_and_frozen_unless_told_otherwise(torch: Any) -> None:
    for library in (distrt, torch):
        rows = library.arange(6.0).reshape(2, 3)
        for kind in (library.nn.Embedding, library.nn.EmbeddingBag):
            frozen, trained = kind.from_pretrained(rows), kind.from_pretrained(rows, freeze=False)
            assert not frozen.weight.requires_grad and trained.weight.requires_grad
            assert frozen.weight.data_ptr() == rows.data_ptr() == trained.weight.data_ptr()
            assert (frozen.num_embeddings, frozen.embedding_dim) == (2, 3)
        assert not library.nn.Embedding(2, 3, _freeze=True).weight.requires_grad
        assert library.nn.Embedding.from_pretrained(rows, padding_idx=1).weight[1].tolist() == [3, 4, 5]


def test_bags_take_their_arguments_in_the_order_of_old_with_a_warning(torch: Any) -> None:
    for library in (distrt, torch):
        with pytest.warns(UserWarning, match="Argument order of nn.functional.embedding_bag was changed"):
            out = library.nn.functional.embedding_bag(library.ones(3, 3), library.tensor([[1, 2]]))
        assert out.tolist() == [[1, 1, 1]]


def test_bags_without_anything_are_zero(torch: Any) -> None:
    for mode in ("sum", "mean", "max"):
        for options in (
            {"input": [], "offsets": [0, 0]},
            {"input": [1, 1], "offsets": [0], "padding_idx": 1},
            {"input": [2, 1], "offsets": [0, 0, 2, 2]},
        ):
            results = []
            for library in (distrt, torch):
                weight = library.full((3, 2), -4.0, requires_grad=True)
                given = {
                    name: library.tensor(value, dtype=library.int64) if isinstance(value, list) else value
                    for name, value in options.items()
                }
                out = library.nn.functional.embedding_bag(weight=weight, mode=mode, **given)
                out.sum().backward()
                results.append((out, weight.grad))
            for mine, theirs in zip(*results, strict=True):
                assert_same(mine, theirs, f"{mode}, {options}")


def test_bags_use_only_what_lies_before_their_last_offset() -> None:
    weight, named = distrt.arange(12.0).reshape(4, 3), distrt.tensor([0, 1, 1, 3, 2])
    found = [
        distrt.nn.functional.embedding_bag(
            named, weight, distrt.tensor([0, 2, 3]), mode=mode, include_last_offset=True
        )
        for mode in ("sum", "mean", "max")
    ]
    assert [each[1].tolist() for each in found] == [[3, 4, 5]] * 3


def test_no_warning_is_given_for_ordinary_calls() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distrt.nn.Embedding(3, 2, 0, 1.0, 2.0, False, True)(distrt.tensor([1, 0])).sum().backward()
