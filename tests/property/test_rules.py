"""Properties of every derivative rule and of the engine, over random shapes and random graphs."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import distrt
from tests.oracle import shape_cases as _more_rows  # noqa: F401
from tests.oracle.compare import is_floating, outputs_of, to_distrt
from tests.oracle.op_cases import CASES, Case
from tests.oracles import NO_TORCH

SEEDS = st.integers(0, 2**32 - 1)

# -- broadcasting


@st.composite
def broadcastable(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast, up to four dims, sizes 0 to 3."""
    full = draw(st.lists(st.integers(0, 3), max_size=4))
    shapes = []
    for _ in range(2):
        kept = [1 if draw(st.booleans()) else size for size in full]
        shapes.append(tuple(kept[draw(st.integers(0, len(kept))) :]))
    return shapes[0], shapes[1]


@hypothesis.given(broadcastable(), SEEDS)
def test_broadcasting_is_undone_by_summing(shapes: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.standard_normal(shape)) for shape in shapes]
    a, b = (to_distrt(array, True) for array in arrays)
    out = a * b
    g = np.asarray(rng.standard_normal(tuple(out.shape)))
    out.backward(distrt.from_numpy(g))
    for leaf, other in ((a, arrays[1]), (b, arrays[0])):
        weighted = np.asarray(g * other)
        extra = weighted.ndim - leaf.ndim
        summed = weighted.sum(axis=tuple(range(extra)))
        stretched = tuple(n for n, size in enumerate(leaf.shape) if size == 1 and summed.shape[n] != 1)
        expected = summed.sum(axis=stretched, keepdims=True)
        assert tuple(leaf.grad.shape) == tuple(leaf.shape) == expected.shape
        np.testing.assert_allclose(leaf.grad.numpy(), expected, 1e-12, 1e-12)


# -- rules


RULED = sorted({case.row: case for case in CASES if "float64" in case.dtypes}.values(), key=str)


@pytest.mark.parametrize("case", RULED, ids=str)
def test_gradients_are_linear_in_the_gradient_that_comes_in(case: Case, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = case.arrays(seed, "float64")
    leaves = [to_distrt(a, s.grad and is_floating(a)) for a, s in zip(arrays, case.inputs, strict=True)]
    roots = [out for out in outputs_of(case.run(distrt, *leaves)) if out.requires_grad]
    leaves = [leaf for leaf in leaves if leaf.requires_grad]
    if not roots:
        return

    def pull(gradients: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        given = [distrt.tensor(g).to(out.dtype) for g, out in zip(gradients, roots, strict=True)]
        found = distrt.autograd.grad(roots, leaves, given, retain_graph=True, materialize_grads=True)
        return [g.double().numpy() for g in found]

    first, second = ([np.asarray(rng.uniform(-1, 1, tuple(out.shape))) for out in roots] for _ in range(2))
    combined = [2.0 * a - 0.5 * b for a, b in zip(first, second, strict=True)]
    exact = all(out.dtype is distrt.float64 for out in roots) and "narrow" not in case.row
    tolerance = 1e-9 if exact else 1e-2
    for whole, a, b in zip(pull(combined), pull(first), pull(second), strict=True):
        if np.isfinite(whole).all():
            np.testing.assert_allclose(whole, 2.0 * a - 0.5 * b, tolerance, tolerance)


# -- random graphs, against PyTorch

UNARY = {
    "tanh": lambda t, a: t.tanh(a),
    "sigmoid": lambda t, a: t.sigmoid(a),
    "sin": lambda t, a: t.sin(a),
    "relu": lambda t, a: t.relu(a),
    "softmax": lambda t, a: t.softmax(a, -1),
    "scaled": lambda t, a: a * 0.5 - 1,
    "squared": lambda t, a: a**2,
    "turned": lambda t, a: a.t(),
    "reshaped": lambda t, a: a.reshape(-1).reshape(a.shape),
    "row": lambda t, a: a[1:2] + a,
    "column": lambda t, a: a[:, [0, 0, 1]] * a,
    "summed": lambda t, a: a.sum(0, keepdim=True) + a,
    "mean": lambda t, a: a.mean() + a,
    "max": lambda t, a: a.max(1)[0].unsqueeze(1) * a,
    "clamped": lambda t, a: a.clamp(-1, 1),
    "in place": lambda t, a: (a * 1).mul_(a).add_(1),
}
BINARY = {
    "add": lambda t, a, b: a + b,
    "sub": lambda t, a, b: a - b,
    "mul": lambda t, a, b: a * b,
    "div": lambda t, a, b: a / (b * b + 1),
    "matmul": lambda t, a, b: a @ b * 0.3,
    "maximum": lambda t, a, b: t.maximum(a, b),
    "where": lambda t, a, b: t.where(a > b, a, b * 2),
    "joined": lambda t, a, b: t.cat([a, b])[1:4],
    "stacked": lambda t, a, b: t.stack([a, b]).mean(0),
}

step = st.tuples(st.sampled_from([*UNARY, *BINARY]), st.integers(0, 99), st.integers(0, 99))


def _evaluate(library: Any, steps: Any, leaves: list[Any]) -> Any:
    known = list(leaves)
    for name, left, right in steps:
        a, b = known[left % len(known)], known[right % len(known)]
        made = UNARY[name](library, a) if name in UNARY else BINARY[name](library, a, b)
        known.append(library.tanh(made) if len(known) % 3 == 0 else made)
    return known[-1].sum() + known[len(known) // 2].mean()


@hypothesis.given(st.lists(step, min_size=1, max_size=12), SEEDS)
def test_random_graphs_agree_with_pytorch(steps: Any, seed: int) -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal((3, 3)) for _ in range(3)]
    results = []
    for library in (distrt, torch):
        leaves = [library.from_numpy(array.copy()).requires_grad_() for array in arrays]
        loss = _evaluate(library, steps, leaves)
        if not np.isfinite(loss.item()) or abs(loss.item()) > 1e6:
            hypothesis.reject()
        first = library.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
        norm = sum((g * g).sum() for g in first if g is not None)
        second = [None] * 3
        if getattr(norm, "requires_grad", False):
            second = library.autograd.grad(norm, leaves, allow_unused=True)
        results.append([loss, *first, *second])
    for ours, theirs in zip(*results, strict=True):
        mine, reference = (np.zeros((3, 3)) if g is None else g.detach().numpy() for g in (ours, theirs))
        scale = max(1.0, float(np.abs(reference).max()))
        np.testing.assert_allclose(mine / scale, reference / scale, 1e-8, 1e-9)
