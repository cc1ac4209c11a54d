"""Orthogonal, weight-normalised and spectrally normalised weights, by parametrizations and hooks, against PyTorch."""

from __future__ import annotations

import copy
import itertools
import warnings
from typing import Any

import pytest

import distrt
from tests.nn.both import Tell, assert_same_run, numbered

SHAPES = [(3, 3), (4, 3), (3, 4), (2, 4, 3)]
MAPS = ["matrix_exp", "cayley", "householder"]


def _matrix(t: Any, shape: tuple[int, ...], dtype: str = "float64") -> Any:
    """A module with one weight, far from singular."""
    module = t.nn.Module()
    values = (numbered(t, *shape) * 0.7).sin() + t.eye(*shape[-2:], dtype=t.float64)
    module.weight = t.nn.Parameter(values.to(getattr(t, dtype)))
    return module


# Orthogonal


def _orthogonal(t: Any, tell: Tell, shape: tuple[int, ...], name: str) -> None:
    """Without the base, whose completion is random, the values are determined by the original."""
    module = _matrix(t, shape)
    made = t.nn.utils.parametrizations._Orthogonal(
        module.weight,
        name if t is distrt else t.nn.utils.parametrizations._OrthMaps[name],
        use_trivialization=False,
    )
    free = numbered(t, *shape, start=-3.0).mul(0.1)
    free.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
    free.requires_grad_()
    found = made(free)
    tell(found)
    (found * numbered(t, *shape).cos()).sum().backward()
    tell(free.grad)


@pytest.mark.parametrize(("shape", "name"), list(itertools.product(SHAPES, MAPS)))
def test_orthogonal_maps_are_pytorchs(shape: tuple[int, ...], name: str, torch: Any) -> None:
    assert_same_run(torch, _orthogonal, shape, name)


@pytest.mark.parametrize(("shape", "name"), list(itertools.product(SHAPES, [*MAPS, None])))
@pytest.mark.parametrize("use_trivialization", [True, False])
def test_orthogonal_weights_stay_orthogonal(
    shape: tuple[int, ...], name: str | None, use_trivialization: bool, seed: int
) -> None:
    distrt.manual_seed(seed)
    module = _matrix(distrt, shape)
    assert (
        distrt.nn.utils.parametrizations.orthogonal(
            module, orthogonal_map=name, use_trivialization=use_trivialization
        )
        is module
    )

    def assert_orthogonal() -> None:
        weight = module.weight if shape[-2] >= shape[-1] else module.weight.mT
        product = weight.mT @ weight
        one = distrt.eye(product.shape[-1], dtype=distrt.float64).expand(product.shape)
        assert distrt.allclose(product, one, atol=1e-10)

    assert_orthogonal()
    (module.weight * numbered(distrt, *shape)).sum().backward()
    with distrt.no_grad():
        for each in module.parameters():
            each -= 0.1 * each.grad
    assert_orthogonal()
    if use_trivialization or name in ("householder", None):
        wanted = _matrix(distrt, shape).weight.detach().sin()
        if name is None and not use_trivialization and shape == (3, 3):
            return  # the exponential, which cannot be assigned to
        wanted = distrt.linalg.svd(wanted, full_matrices=False)
        wanted = wanted.U @ wanted.Vh
        module.weight = wanted
        assert distrt.allclose(module.weight, wanted, atol=1e-10)


def test_complex_weights_become_unitary(seed: int) -> None:
    distrt.manual_seed(seed)
    for name in ("matrix_exp", "cayley"):
        module = distrt.nn.Module()
        module.weight = distrt.nn.Parameter(distrt.randn(4, 3, dtype=distrt.complex128))
        distrt.nn.utils.parametrizations.orthogonal(module, orthogonal_map=name)
        product = module.weight.mH @ module.weight
        assert distrt.allclose(product, distrt.eye(3, dtype=distrt.complex128), atol=1e-10)


def _orthogonal_refusals(t: Any, tell: Tell) -> None:
    orthogonal = t.nn.utils.parametrizations.orthogonal
    tell.error(lambda: orthogonal(t.nn.Linear(3, 3), "scale"))
    tell.error(lambda: orthogonal(t.nn.Linear(3, 3), "bias"))
    tell.error(lambda: orthogonal(t.nn.Linear(3, 3), orthogonal_map="qr"))
    tell.error(lambda: orthogonal(_matrix(t, (3, 3), "complex128"), orthogonal_map="householder"))
    layer = orthogonal(t.nn.Linear(3, 3))
    tell(repr(layer), list(layer.state_dict()))
    tell.error(lambda: setattr(layer, "weight", t.ones(2, 2)))
    rigid = orthogonal(t.nn.Linear(3, 3), use_trivialization=False)
    tell.error(lambda: setattr(rigid, "weight", t.eye(3)))


# Weight normalisation


def _layer(t: Any) -> Any:
    layer = t.nn.Conv2d(2, 3, 2, dtype=t.float64)
    with t.no_grad():
        layer.weight.copy_(numbered(t, 3, 2, 2, 2).sin())
        layer.bias.fill_(0.25)
    return layer


def _weight_norm(t: Any, tell: Tell, dim: int | None) -> None:
    layer = t.nn.utils.parametrizations.weight_norm(_layer(t), dim=dim)
    tell.state(layer)
    tell(layer.weight)
    (layer(numbered(t, 1, 2, 4, 4)).cos()).sum().backward()
    tell(*[each.grad for each in layer.parameters()])
    layer.weight = numbered(t, 3, 2, 2, 2, start=1.0)
    tell(layer.weight, *layer.parametrizations.weight.state_dict().values())
    t.nn.utils.parametrize.remove_parametrizations(layer, "weight")
    tell.state(layer)


def _weight_norm_by_hook(t: Any, tell: Tell, dim: int | None) -> None:
    layer = _layer(t)
    tell.warning(lambda: t.nn.utils.weight_norm(layer, "weight", dim))
    tell.state(layer)
    tell(layer.weight, isinstance(layer.weight, t.nn.Parameter))
    (layer(numbered(t, 1, 2, 4, 4)).cos()).sum().backward()
    tell(*[each.grad for each in layer.parameters()])
    with t.no_grad():
        layer.weight_g.add_(1)
    layer(numbered(t, 1, 2, 4, 4))
    tell(layer.weight)
    new = t.nn.utils.parametrizations.weight_norm(_layer(t), dim=dim)
    tell(str(new.load_state_dict(layer.state_dict())), new.weight)
    assert t.nn.utils.remove_weight_norm(layer) is layer
    tell.state(layer)
    tell(isinstance(layer.weight, t.nn.Parameter), len(layer._forward_pre_hooks))


@pytest.mark.parametrize("dim", [0, 1, 2, 3, None, -1])
@pytest.mark.parametrize("run", [_weight_norm, _weight_norm_by_hook])
def test_normalised_weights_are_pytorchs(run: Any, dim: int | None, torch: Any) -> None:
    assert_same_run(torch, run, dim)


def _hook_refusals(t: Any, tell: Tell) -> None:
    utils = t.nn.utils
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        normal = utils.weight_norm(t.nn.Linear(3, 2))
        tell.error(lambda: utils.weight_norm(normal))
        tell.error(lambda: utils.weight_norm(t.nn.LazyLinear(2)))
    tell.error(lambda: utils.remove_weight_norm(t.nn.Linear(3, 2)))
    tell.error(lambda: utils.remove_weight_norm(normal, "bias"))
    spectral = utils.spectral_norm(t.nn.Linear(3, 2))
    tell.error(lambda: utils.spectral_norm(spectral))
    tell.error(lambda: utils.spectral_norm(t.nn.Linear(3, 2, bias=False), "bias"))
    tell.error(lambda: utils.spectral_norm(t.nn.Linear(3, 2), n_power_iterations=0))
    tell.error(lambda: utils.spectral_norm(t.nn.LazyLinear(2)))
    tell.error(lambda: utils.remove_spectral_norm(t.nn.Linear(3, 2)))


# Spectral normalisation


def _spectral_norm(t: Any, tell: Tell, options: dict[str, Any]) -> None:
    """Both libraries start from the same vectors, which are random."""
    layer = t.nn.utils.parametrizations.spectral_norm(_layer(t), **options)
    made = layer.parametrizations.weight[0]
    with t.no_grad():
        for side in (made._u, made._v):
            side.copy_(numbered(t, len(side)).cos())
            side.div_(side.norm())
    tell.state(layer)
    tell(layer.weight, made._u, made._v)
    (layer(numbered(t, 1, 2, 4, 4)) + layer(numbered(t, 1, 2, 4, 4))).cos().sum().backward()
    tell(*[each.grad for each in layer.parameters()], made._u)
    layer.eval()
    tell(layer.weight, layer.weight, made._v)
    t.nn.utils.parametrize.remove_parametrizations(layer, "weight")
    tell.state(layer)


def _spectral_norm_by_hook(t: Any, tell: Tell, options: dict[str, Any]) -> None:
    layer = t.nn.utils.spectral_norm(_layer(t), **options)
    with t.no_grad():
        for side in (layer.weight_u, layer.weight_v):
            side.copy_(numbered(t, len(side)).cos())
            side.div_(side.norm())
    tell.state(layer)
    tell(dict(layer.state_dict()._metadata[""]))
    (layer(numbered(t, 1, 2, 4, 4)) + layer(numbered(t, 1, 2, 4, 4))).cos().sum().backward()
    tell(*[each.grad for each in layer.parameters()], layer.weight, layer.weight_u, layer.weight_v)
    other = t.nn.utils.spectral_norm(_layer(t), **options)
    tell(str(other.load_state_dict(layer.state_dict())))
    layer.eval()
    layer(numbered(t, 1, 2, 4, 4))
    tell(layer.weight, other.eval()(numbered(t, 1, 2, 4, 4)))
    assert t.nn.utils.remove_spectral_norm(layer) is layer
    tell.state(layer)
    tell(len(layer._forward_pre_hooks), len(layer._state_dict_hooks))


@pytest.mark.parametrize("options", [{}, {"n_power_iterations": 3}, {"dim": 1}, {"eps": 2.0}], ids=str)
@pytest.mark.parametrize("run", [_spectral_norm, _spectral_norm_by_hook])
def test_spectrally_normalised_weights_are_pytorchs(run: Any, options: dict[str, Any], torch: Any) -> None:
    assert_same_run(torch, run, options)


def _spectral_details(t: Any, tell: Tell) -> None:
    spectral_norm = t.nn.utils.parametrizations.spectral_norm
    vector = spectral_norm(_layer(t), "bias")
    tell.state(vector)
    tell(vector.bias)
    turned = spectral_norm(t.nn.ConvTranspose2d(3, 5, 2))
    tell([tuple(each.shape) for each in turned.state_dict().values()])
    old = t.nn.utils.spectral_norm(t.nn.ConvTranspose2d(3, 5, 2))
    tell([tuple(each.shape) for each in old.state_dict().values()])
    tell.error(lambda: spectral_norm(t.nn.Linear(3, 2), "scale"))
    tell.error(lambda: spectral_norm(t.nn.Linear(3, 2), dim=2))
    tell.error(lambda: spectral_norm(t.nn.Linear(3, 2), dim=-3))
    tell.error(lambda: spectral_norm(t.nn.Linear(3, 2), n_power_iterations=0))


def _old_state(t: Any, tell: Tell) -> None:
    """What was saved before version 1 has the weight of then, and no ``v``."""
    layer = t.nn.utils.spectral_norm(t.nn.Linear(3, 2, dtype=t.float64)).eval()
    original, u = numbered(t, 2, 3, start=1.0).cos(), t.tensor([0.6, 0.8], dtype=t.float64)
    state = {"weight_orig": original, "weight_u": u, "weight": original / 1.5, "bias": t.zeros(2)}
    tell(str(layer.load_state_dict(dict(state))), layer(t.ones(1, 3, dtype=t.float64)), layer.weight_v)
    del state["weight_u"]
    tell.error(lambda: layer.load_state_dict(dict(state)))


@pytest.mark.parametrize("run", [_orthogonal_refusals, _hook_refusals, _spectral_details, _old_state])
def test_details_are_pytorchs(run: Any, torch: Any) -> None:
    assert_same_run(torch, run, scale=1e4)


@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (6, 4, 3, 3)])
def test_the_power_method_finds_the_largest_singular_value(shape: tuple[int, ...], seed: int) -> None:
    distrt.manual_seed(seed)
    module = distrt.nn.Module()
    module.weight = distrt.nn.Parameter(distrt.randn(shape, dtype=distrt.float64))
    distrt.nn.utils.parametrizations.spectral_norm(module, n_power_iterations=200)
    largest = distrt.linalg.matrix_norm(module.weight.flatten(1), 2)
    assert largest.item() == pytest.approx(1, abs=1e-3)


def test_normalised_layers_can_be_copied() -> None:
    utils = distrt.nn.utils
    for make in (utils.parametrizations.weight_norm, utils.parametrizations.spectral_norm):
        layer = make(distrt.nn.Linear(3, 2)).eval()
        copied = copy.deepcopy(layer)
        x = distrt.ones(1, 3)
        assert distrt.equal(copied(x), layer(x))
        with distrt.no_grad():
            next(iter(copied.parameters())).add_(1)
            copied.bias.add_(1)
        assert not distrt.equal(copied(x), layer(x))
