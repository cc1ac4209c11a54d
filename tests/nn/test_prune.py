"""Pruning, against PyTorch where no chance is involved, and by counting where it is."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import distrt
from distrt.nn.utils import prune
from tests.nn.both import Tell, assert_same_run, numbered


def _prune(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.nn.utils.prune")  # PyTorch's is not loaded by itself


def _layer(t: Any) -> Any:
    layer = t.nn.Linear(4, 3, dtype=t.float64)
    with t.no_grad():
        layer.weight.copy_((numbered(t, 3, 4) * 1.3).sin())  # no two of one size
        layer.bias.copy_(numbered(t, 3).cos())
    return layer


def _life(t: Any, tell: Tell) -> None:
    """One parameter, pruned again and again, trained, and made ordinary."""
    prune, layer = _prune(t), _layer(t)
    tell(prune.is_pruned(layer))
    steps = [
        lambda: prune.l1_unstructured(layer, "weight", 0.3),
        lambda: prune.l1_unstructured(layer, name="weight", amount=2),
        lambda: prune.ln_structured(layer, "weight", 1, 2, 0),
        lambda: prune.ln_structured(layer, name="weight", amount=0.5, n=1, dim=-1),
        lambda: prune.custom_from_mask(layer, "weight", t.tensor([[1, 0, 1, 1]] * 3)),
    ]
    for step in steps:
        assert step() is layer
        tell.state(layer)
        tell(layer.weight, prune.is_pruned(t.nn.Sequential(layer)))
    (hook,) = layer._forward_pre_hooks.values()
    tell(type(hook).__name__, len(hook), [type(each).__name__ for each in hook], type(hook[0]).__name__)
    (layer(numbered(t, 2, 4)) ** 2).sum().backward()
    tell(layer.weight_orig.grad)
    with t.no_grad():
        layer.weight_orig.add_(5)
    tell(layer(numbered(t, 2, 4)), layer.weight)
    other = prune.identity(_layer(t), "weight")
    tell(str(other.load_state_dict(layer.state_dict())), other(numbered(t, 2, 4)))
    assert prune.remove(layer, "weight") is layer
    tell.state(layer)
    tell(prune.is_pruned(layer), isinstance(layer.weight, t.nn.Parameter), len(layer._forward_pre_hooks))


def _scores(t: Any, tell: Tell) -> None:
    prune, scores = _prune(t), numbered(t, 3, 4, start=-5.2)
    tell(prune.l1_unstructured(_layer(t), "weight", 4, importance_scores=scores).weight_mask)
    tell(prune.ln_structured(_layer(t), "weight", 1, 2, 1, importance_scores=scores).weight_mask)
    for order in (1, 2.5, float("inf"), float("-inf")):
        tell(prune.ln_structured(_layer(t), "weight", 2, order, 1).weight_mask)
    mask = t.ones(3, 4).tril()
    tell(
        prune.L1Unstructured(3).prune(scores),
        prune.L1Unstructured(3).prune(scores, importance_scores=scores.cos()),
    )
    tell(
        prune.LnStructured(1, 1, 0).prune(scores, default_mask=mask), prune.CustomFromMask(mask).prune(scores)
    )
    tell(prune.L1Unstructured(0).prune(scores), prune.LnStructured(0.0, 1, 0).prune(scores))


def _together(t: Any, tell: Tell) -> None:
    prune, first, second = _prune(t), _layer(t), t.nn.Linear(2, 2, dtype=t.float64)
    with t.no_grad():
        second.weight.copy_(numbered(t, 2, 2, start=0.05) / 4)
    both = [(first, "weight"), (second, "weight"), (first, "bias")]
    prune.global_unstructured(both, pruning_method=prune.L1Unstructured, amount=0.4)
    tell(first.weight_mask, second.weight_mask, first.bias_mask)
    scores = {(second, "weight"): numbered(t, 2, 2, start=100.0)}
    prune.global_unstructured(tuple(both), prune.L1Unstructured, importance_scores=scores, amount=3)
    tell(first.weight_mask, second.weight_mask, first.bias_mask)
    tell.error(lambda: prune.global_unstructured(3, prune.L1Unstructured, amount=1))
    tell.error(lambda: prune.global_unstructured([], prune.L1Unstructured, importance_scores=3, amount=1))


def _own_method(t: Any, tell: Tell) -> None:
    prune = _prune(t)

    class Every(prune.BasePruningMethod):  # type: ignore[misc]
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t: Any, default_mask: Any) -> Any:
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    class Unknown(Every):
        PRUNING_TYPE = "some"

    class Rows(Every):
        PRUNING_TYPE = "structured"

    layer = _layer(t)
    for _ in range(2):
        Every.apply(layer, "weight")
        tell(layer.weight_mask, layer.weight)
    tell.error(lambda: Unknown.apply(layer, "weight"))
    tell.error(lambda: Rows.apply(prune.identity(_layer(t), "bias"), "bias"))


def _refusals(t: Any, tell: Tell) -> None:
    prune = _prune(t)
    for amount in (-1, 1.5, -0.5, "half", None, 13):
        layer = _layer(t)
        tell.error(lambda layer=layer, amount=amount: prune.l1_unstructured(layer, "weight", amount))
        tell(list(layer.state_dict()), len(layer._forward_pre_hooks))
    tell.error(lambda: prune.ln_structured(_layer(t), "weight", 1, 2, 2))
    tell.error(lambda: prune.ln_structured(_layer(t), "bias", 1, 2, 0))
    tell.error(lambda: prune.random_structured(_layer(t), "weight", 9, 0))
    tell.error(lambda: prune.l1_unstructured(_layer(t), "scale", 1))
    tell.error(lambda: prune.l1_unstructured(_layer(t), "weight", 1, importance_scores=t.ones(2)))
    tell.error(lambda: prune.L1Unstructured(1).prune(t.ones(2), importance_scores=t.ones(3)))
    tell.error(lambda: prune.custom_from_mask(_layer(t), "weight", t.ones(4, 3)))
    tell.error(lambda: prune.remove(_layer(t), "weight"))
    tell.error(lambda: prune.PruningContainer().add_pruning_method(3))


@pytest.mark.parametrize("run", [_life, _scores, _together, _own_method, _refusals])
def test_pruning_is_pytorchs(run: Any, torch: Any) -> None:
    assert_same_run(torch, run)


@pytest.mark.parametrize(("amount", "count"), [(3, 3), (0.25, 3), (0, 0), (12, 12), (1.0, 12)])
def test_random_elements_are_as_many_as_asked_for(amount: float, count: int, seed: int) -> None:
    distrt.manual_seed(seed)
    layer = prune.random_unstructured(_layer(distrt), "weight", amount)
    assert (layer.weight_mask == 0).sum() == count
    assert layer.weight_mask.dtype == distrt.float64 and not layer.weight_mask.requires_grad
    if count == 3:
        prune.random_unstructured(layer, "weight", 2)
        assert (layer.weight_mask == 0).sum() == 5


def test_random_slices_are_as_many_as_asked_for_and_differ(seed: int) -> None:
    distrt.manual_seed(seed)
    chosen = set()
    for _ in range(30):
        layer = prune.random_structured(distrt.nn.Conv2d(4, 6, 3), "weight", 2, dim=0)
        gone = (layer.weight_mask == 0).all(3).all(2).all(1)
        assert gone.sum() == 2 and (layer.weight_mask != 0).sum() == 4 * 4 * 9
        chosen.add(tuple(gone.tolist()))
        prune.random_structured(layer, "weight", 0.5, dim=-3)
        assert (layer.weight_mask == 0).all(3).all(2).all(0).sum() == 2
    assert len(chosen) > 5


def test_only_single_elements_are_pruned_together() -> None:
    with pytest.raises(TypeError, match='Only "unstructured" PRUNING_TYPE supported'):
        prune.global_unstructured([(_layer(distrt), "weight")], prune.LnStructured, amount=1, n=2)


def test_methods_without_a_mask_are_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        prune.BasePruningMethod()  # type: ignore[abstract]


def test_methods_of_a_container_prune_one_parameter() -> None:
    first, second = prune.L1Unstructured(1), prune.L1Unstructured(1)
    first._tensor_name, second._tensor_name = "weight", "bias"
    container = prune.PruningContainer(first)
    with pytest.raises(ValueError, match="Found 'bias'"):
        container.add_pruning_method(second)
    assert len(container) == 1 and container[0] is first
