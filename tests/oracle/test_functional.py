"""``autograd.functional`` and ``gradcheck`` against PyTorch: results, their graphs, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt


def _both(t: Any, a: Any, b: Any) -> Any:
    return (a * b).sum(0), a.exp()


def _cubes(t: Any, a: Any, b: Any) -> Any:
    return (a**3 * b).sum()


def _ones(t: Any, *like: Any) -> Any:
    return tuple(t.ones_like(each) for each in like)


CASES: dict[str, Any] = {
    "jacobian": lambda f, t, a, b: f.jacobian(lambda *v: _both(t, *v), (a, b)),
    "jacobian of one": lambda f, t, a, b: f.jacobian(lambda v: v**2, a),
    "jacobian of a tuple of one": lambda f, t, a, b: f.jacobian(lambda v: (v**2,), (a,)),
    "jacobian, vectorized": lambda f, t, a, b: f.jacobian(lambda v: v**2, a, vectorize=True),
    "jacobian, create_graph": lambda f, t, a, b: f.jacobian(lambda v: v**3, a, create_graph=True),
    "jacobian, strict": lambda f, t, a, b: f.jacobian(lambda v, w: v * 2, (a, b), strict=True),
    "jacobian, strict, create_graph": lambda f, t, a, b: f.jacobian(
        lambda v: v * 2, a, strict=True, create_graph=True
    ),
    "jacobian, strict, without graph": lambda f, t, a, b: f.jacobian(lambda v: v.detach(), a, strict=True),
    "jacobian, strict, vectorized": lambda f, t, a, b: f.jacobian(
        lambda v: v**2, a, strict=True, vectorize=True
    ),
    "jacobian, independent": lambda f, t, a, b: f.jacobian(lambda v, w: v * 2, (a, b)),
    "jacobian of no tensor": lambda f, t, a, b: f.jacobian(lambda v: 3, a),
    "hessian": lambda f, t, a, b: f.hessian(lambda *v: _cubes(t, *v), (a, b)),
    "hessian of one": lambda f, t, a, b: f.hessian(lambda v: (v**3).sum(), a),
    "hessian, create_graph": lambda f, t, a, b: f.hessian(lambda v: (v**4).sum(), a, create_graph=True),
    "hessian, strict": lambda f, t, a, b: f.hessian(lambda v: v.sum(), a, strict=True),
    "hessian of several elements": lambda f, t, a, b: f.hessian(lambda v: v * 1, a),
    "vjp": lambda f, t, a, b: f.vjp(lambda *v: _both(t, *v), (a, b), (t.ones_like(a), t.ones_like(a) * 2)),
    "vjp of one element": lambda f, t, a, b: f.vjp(lambda v: v.sum(), a),
    "vjp without v": lambda f, t, a, b: f.vjp(lambda v: v * 2, a),
    "vjp, v too short": lambda f, t, a, b: f.vjp(lambda *v: _both(t, *v), (a, b), t.ones(3)),
    "vjp, v of another size": lambda f, t, a, b: f.vjp(lambda v: v * 2, a, t.ones(3)),
    "vjp, independent": lambda f, t, a, b: f.vjp(lambda v, w: v.sum(), (a, b)),
    "vjp, independent, strict": lambda f, t, a, b: f.vjp(lambda v, w: v.sum(), (a, b), strict=True),
    "jvp": lambda f, t, a, b: f.jvp(lambda *v: _both(t, *v), (a, b), _ones(t, a, b)),
    "jvp, create_graph": lambda f, t, a, b: f.jvp(
        lambda *v: _both(t, *v), (a, b), _ones(t, a, b), create_graph=True
    ),
    "jvp without v": lambda f, t, a, b: f.jvp(lambda v: v * 2, a),
    "jvp, strict": lambda f, t, a, b: f.jvp(lambda v, w: v * 2, (a, b), _ones(t, a, b), strict=True),
    "vhp": lambda f, t, a, b: f.vhp(lambda *v: _cubes(t, *v), (a, b), _ones(t, a, b)),
    "vhp of a linear function": lambda f, t, a, b: f.vhp(lambda v: v.sum(), a, t.ones_like(a)),
    "vhp, strict": lambda f, t, a, b: f.vhp(lambda v: v.sum(), a, t.ones_like(a), strict=True),
    "hvp": lambda f, t, a, b: f.hvp(lambda *v: _cubes(t, *v), (a, b), _ones(t, a, b)),
    "hvp, create_graph": lambda f, t, a, b: f.hvp(
        lambda *v: _cubes(t, *v), (a, b), _ones(t, a, b), create_graph=True
    ),
    "hvp, strict": lambda f, t, a, b: f.hvp(lambda v: (v * v).sum(), a, t.ones_like(a), strict=True),
    "hvp of several elements": lambda f, t, a, b: f.hvp(lambda v: v * 1, a, t.ones_like(a)),
    "inputs that are no tensors": lambda f, t, a, b: f.jacobian(lambda v: v, [a]),
}


def _flat(value: Any) -> list[Any]:
    if isinstance(value, tuple):
        return [part for each in value for part in _flat(each)]
    return [value]


def _nesting(value: Any) -> Any:
    return [_nesting(each) for each in value] if isinstance(value, tuple) else None


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("recording", [True, False])
def test_functional_derivatives_agree(name: str, recording: bool, torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        a = library.tensor([0.5, -1.0], dtype=library.float64, requires_grad=True)
        b = library.tensor([[2.0, 0.25], [1.5, -0.5]], dtype=library.float64, requires_grad=True)
        try:
            with library.set_grad_enabled(recording):
                found.append(CASES[name](library.autograd.functional, library, a, b))
        except (RuntimeError, TypeError) as error:
            found.append(error)
    mine, reference = found
    if isinstance(reference, Exception):
        assert isinstance(mine, RuntimeError if isinstance(reference, RuntimeError) else TypeError)
        assert str(mine)[:80].replace("distrt", "torch") == str(reference)[:80]
        return
    assert _nesting(mine) == _nesting(reference)
    for ours, theirs in zip(_flat(mine), _flat(reference), strict=True):
        assert ours.requires_grad == theirs.requires_grad
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), 1e-12, 1e-12)


def _triple(t: Any, wrong: float) -> Any:
    class Triple(t.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * x * x * wrong

    return Triple.apply


CHECKS: dict[str, Any] = {
    "right": lambda t, x, z: t.autograd.gradcheck(_triple(t, 3.0), (x,)),
    "right, twice": lambda t, x, z: t.autograd.gradgradcheck(_triple(t, 3.0), (x,)),
    "wrong": lambda t, x, z: t.autograd.gradcheck(_triple(t, 2.0), (x,)),
    "wrong, silently": lambda t, x, z: t.autograd.gradcheck(_triple(t, 2.0), (x,), raise_exception=False),
    "wrong, generously": lambda t, x, z: t.autograd.gradcheck(_triple(t, 3.1), x, rtol=0.2),
    "several outputs": lambda t, x, z: t.autograd.gradcheck(lambda v: (v * 2, v.exp()), x),
    "no graph": lambda t, x, z: t.autograd.gradcheck(lambda v: v.detach() * 0, x),
    "no graph, but a slope": lambda t, x, z: t.autograd.gradcheck(lambda v: v.detach() * 2, x),
    "no input": lambda t, x, z: t.autograd.gradcheck(lambda v: v * 2, x.detach()),
    "complex": lambda t, x, z: t.autograd.gradcheck(lambda v: (v * v).exp() * v.abs(), z),
    "complex, twice": lambda t, x, z: t.autograd.gradgradcheck(lambda v: v * v * v.conj(), z),
    "real of complex": lambda t, x, z: t.autograd.gradcheck(lambda v: v.abs(), z),
    "complex of real": lambda t, x, z: t.autograd.gradcheck(lambda v: t.complex(v, v * v), x),
    "repeated memory": lambda t, x, z: t.autograd.gradcheck(lambda v: v * 2, x[:1].expand(3)),
}


@pytest.mark.parametrize("name", CHECKS)
def test_checks_agree(name: str, torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        x = library.tensor([0.5, -1.0], dtype=library.float64, requires_grad=True)
        z = library.tensor([0.5 + 1j, -1.0 - 0.25j], dtype=library.complex128, requires_grad=True)
        try:
            found.append(CHECKS[name](library, x, z))
        except (RuntimeError, ValueError) as error:
            found.append(str(error)[:70])
    assert found[0] == found[1]


def test_a_mismatch_shows_both_jacobians() -> None:
    x = distrt.tensor([0.5, -1.0], dtype=distrt.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"(?s)numerical:tensor\(\[\[.*analytical:tensor\(\[\["):
        distrt.autograd.gradcheck(_triple(distrt, 2.0), x)


def test_single_precision_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
        distrt.autograd.gradcheck(lambda v: v * 2, distrt.ones(1, requires_grad=True), eps=1e-2)


@pytest.mark.parametrize(
    "option", [{"check_forward_ad": True}, {"check_batched_grad": True}, {"check_backward_ad": False}]
)
def test_what_needs_forward_mode_is_refused(option: Any) -> None:
    with pytest.raises(NotImplementedError, match="forward-mode"):
        distrt.autograd.gradcheck(lambda v: v * 2, distrt.ones(1, requires_grad=True), **option)
