"""Third derivatives of the layers' operations and of a small network, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import assert_same


def _batch_norm(t: Any, x: Any, w: Any, b: Any) -> Any:
    """PyTorch's own holds the batch's statistics for constants from the third order on; its plain operations do not."""
    if t is distrt:
        return t.nn.functional.batch_norm(x, None, None, w, b, training=True)
    dims, shape = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    centred = x - x.mean(dims, keepdim=True)
    normal = centred * ((centred * centred).mean(dims, keepdim=True) + 1e-5).rsqrt()
    scaled = normal * w.reshape(shape)
    return scaled if b is None else scaled + b.reshape(shape)


F = {
    "linear": (lambda t, x, w, b: t.nn.functional.linear(x**2, w**2, b), [(4, 3), (2, 3), (2,)]),
    "batch_norm": (_batch_norm, [(5, 2, 2, 1), (2,), (2,)]),
    "batch_norm in evaluation": (
        lambda t, x, w, b: t.nn.functional.batch_norm(x * x, x.detach()[0] * 0, w.detach() ** 2, w, b),
        [(5, 2), (2,), (2,)],
    ),
    "conv2d": (
        lambda t, x, w, b: t.nn.functional.conv2d(x**2, w**2, b, stride=(1, 2), padding=1, groups=2),
        [(2, 4, 4, 3), (2, 2, 3, 2), (2,)],
    ),
    "max_pool2d": (lambda t, x: t.nn.functional.max_pool2d(x**3, 2, 1, 1), [(2, 2, 4, 4)]),
    "log_softmax": (lambda t, x: t.log_softmax(x, 1), [(3, 4)]),
    "softmax": (lambda t, x: t.softmax(x, 0), [(3, 4)]),
    "nll_loss": (lambda t, x: t.nn.functional.nll_loss(t.log_softmax(x, 1), t.tensor([0, 2, 2])), [(3, 4)]),
    "cross entropy": (
        lambda t, x, w: t.nn.functional.cross_entropy(
            x, t.tensor([0, 1, 2]), w.detach() ** 2, ignore_index=1, label_smoothing=0.1
        ),
        [(3, 4), (4,)],
    ),
    "mse_loss": (lambda t, x, y: t.nn.functional.mse_loss(x**2, y**2), [(3, 4), (3, 4)]),
    "norm": (lambda t, x: t.norm(x, 2, 1), [(3, 4)]),
    "std": (lambda t, x: t.std(x, 0), [(3, 4)]),
    "cumulative product of ratios": (lambda t, x, y: x / (y * y + 1) * (x / (y * y + 2)), [(3,), (2, 3)]),
    "network": (
        lambda t, x, w, k, v: t.nn.functional.cross_entropy(
            t.nn.functional.linear(
                t.nn.functional.max_pool2d(
                    t.tanh(_batch_norm(t, t.nn.functional.conv2d(x, w), k, None)),
                    2,
                ).flatten(1),
                v,
            ),
            t.tensor([0, 1]),
        ),
        [(2, 1, 6, 6), (2, 1, 3, 3), (2,), (3, 8)],
    ),
}


@pytest.mark.parametrize("name", F)
def test_third_derivatives_agree_with_pytorch(name: str, torch: Any, rng: np.random.Generator) -> None:
    run: Callable[..., Any]
    run, shapes = F[name]
    arrays = [rng.standard_normal(shape) for shape in shapes]
    results = []
    for library in (distrt, torch):
        draw = np.random.default_rng(7)
        leaves = [library.from_numpy(array.copy()).requires_grad_() for array in arrays]
        outputs, found = [run(library, *leaves)], []
        for _ in range(3):
            pairs = [(out, draw.uniform(0.5, 1.5, tuple(out.shape))) for out in outputs]
            total = sum((out * library.from_numpy(weight)).sum() for out, weight in pairs)
            gradients = library.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
            # Unused is zero: PyTorch and distrt need not agree on which zeros are recorded.
            outputs = [
                leaf.detach() * 0 if g is None else g for g, leaf in zip(gradients, leaves, strict=True)
            ]
            found.append(outputs)
            if not any(out.requires_grad for out in outputs):
                break
        results.append(found)
    for order, (ours, theirs) in enumerate(zip(*results, strict=False), start=1):
        for number, (mine, reference) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(mine, reference, f"order {order}, input {number}", 10.0 ** (order + 1))


@pytest.mark.parametrize("inner", ["max_pool2d", "conv2d", "linear"])
def test_gradient_penalty_trains_through_a_layer(inner: str, torch: Any, rng: np.random.Generator) -> None:
    """The use that second derivatives have: a loss on the norm of a gradient, and .backward() on it."""
    run, shapes = F[inner]
    arrays = [rng.standard_normal(shape) for shape in shapes]
    grads = []
    for library in (distrt, torch):
        leaves = [library.from_numpy(array.copy()).requires_grad_() for array in arrays]
        (g,) = library.autograd.grad(run(library, *leaves).sum(), leaves[0], create_graph=True)
        ((g.reshape(g.shape[0], -1).norm(2, 1) - 1) ** 2).mean().backward()
        grads.append([leaf.grad for leaf in leaves])
    for number, (mine, reference) in enumerate(zip(*grads, strict=True)):
        assert (mine is None) == (reference is None), number
        if reference is not None:
            assert_same(mine, reference, f"input {number}", 1000)


LAYOUTS: dict[str, Callable[..., Any]] = {
    "linear": lambda t, x, w: t.nn.functional.linear(x, w),
    "linear of sequences": lambda t, x, w: t.nn.functional.linear(x.expand(2, 5, 4), w),
    "linear by a transposed weight": lambda t, x, w: t.nn.functional.linear(x[:, :3], w.t()),
    "product with a transposed matrix": lambda t, x, w: x @ w.t(),
    "product of transposed matrices": lambda t, x, w: w[:, :2].clone().t() @ x.t()[:3, :3].t() @ x[:3],
    "left one transposed": lambda t, x, w: w.t() @ w,
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("run", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_gradients_of_products_lie_in_memory_as_pytorchs_do(
    run: Callable[..., Any], create_graph: bool, torch: Any, rng: np.random.Generator
) -> None:
    given = [rng.standard_normal(shape) for shape in ((5, 4), (3, 4))]
    strides = []
    for t in (torch, distrt):
        leaves = [t.from_numpy(each.copy()).requires_grad_() for each in given]
        gradients = t.autograd.grad(
            run(t, *leaves).pow(2).sum(), leaves, create_graph=create_graph, allow_unused=True
        )
        strides.append([None if each is None else each.stride() for each in gradients])
    assert strides[0] == strides[1]


def test_gradients_with_a_graph_can_be_joined_to_one_vector() -> None:
    model = distrt.nn.Sequential(distrt.nn.Linear(4, 8), distrt.nn.Tanh(), distrt.nn.LSTM(8, 3))
    loss = model(distrt.ones(5, 4))[0].sum()
    gradients = distrt.autograd.grad(loss, list(model.parameters()), create_graph=True)
    assert distrt.cat([each.view(-1) for each in gradients]).shape[0] == sum(map(distrt.numel, gradients))
