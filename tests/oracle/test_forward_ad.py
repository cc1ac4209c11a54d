"""``autograd.forward_ad``, beside PyTorch's."""

from typing import Any

import pytest

import distrt

# PyTorch's own, while it loads its rules.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

CASES: dict[str, Any] = {
    "element-wise": lambda t, x, y: (x * y).sin() + x.exp(),
    "product": lambda t, x, y: x @ y.T,
    "linear in one": lambda t, x, y: x.sum(0) * 3,
    "constant beside": lambda t, x, y: t.cat([x, t.ones_like(y)]),
    "softmax": lambda t, x, y: t.softmax(x * y, -1),
    "in place": lambda t, x, y: (x * 2).add_(y).mul_(x),
    "views": lambda t, x, y: x.T.reshape(-1)[1:4],
    "a number": lambda t, x, y: (x * y).sum(),
}


def _pushed(t: Any, case: str) -> tuple[Any, ...]:
    forward = t.autograd.forward_ad
    x, y = t.arange(6.0).view(2, 3) / 5, t.arange(6.0).view(2, 3).cos()
    u, v = x.cos(), y + 1
    with forward.dual_level():
        a, b = forward.make_dual(x, u), forward.make_dual(y, v)
        made = forward.unpack_dual(CASES[case](t, a, b))
        assert forward.unpack_dual(a).tangent.equal(u) and forward.unpack_dual(x).tangent is None
    return made.primal, made.tangent


@pytest.mark.parametrize("case", CASES)
def test_tangents_are_pytorchs(case: str, torch: Any) -> None:
    for mine, theirs in zip(_pushed(distrt, case), _pushed(torch, case), strict=True):
        assert not mine.requires_grad and not theirs.requires_grad
        assert torch.allclose(torch.tensor(mine.tolist()), theirs, rtol=1e-5, atol=1e-6)


def _mixed(t: Any) -> Any:
    """The gradient of a tangent by a weight."""
    forward = t.autograd.forward_ad
    model = t.nn.Linear(2, 1)
    with t.no_grad():
        model.weight.fill_(0.5)
        model.bias.fill_(0.25)
    with forward.dual_level():
        x = forward.make_dual(t.tensor([1.0, 2.0]), t.tensor([1.0, -3.0]))
        made = forward.unpack_dual(model(x).tanh())
    (made.primal + made.tangent).sum().backward()
    return [each.grad.tolist() for each in model.parameters()], made.tangent.tolist()


def test_a_tangent_can_be_differentiated_by_parameters(torch: Any) -> None:
    (mine, tangent), (theirs, expected) = _mixed(distrt), _mixed(torch)
    assert tangent == pytest.approx(expected, rel=1e-5)
    for a, b in zip(mine, theirs, strict=True):
        assert distrt.allclose(distrt.tensor(a), distrt.tensor(b))


def test_what_has_no_level_or_does_not_fit_is_refused(torch: Any) -> None:
    for t in (distrt, torch):
        forward = t.autograd.forward_ad
        x = t.ones(2)
        with pytest.raises(RuntimeError, match="no level exists"):
            forward.make_dual(x, x)
        assert forward.unpack_dual(x).tangent is None
        with pytest.raises(RuntimeError):
            forward.exit_dual_level()
        with forward.dual_level():
            with pytest.raises(RuntimeError, match="size"):
                forward.make_dual(x, t.ones(3))
            with pytest.raises(ValueError, match="floating point"):
                forward.make_dual(t.ones(2, dtype=t.int64), x)
            with pytest.raises(RuntimeError, match="Nested forward mode AD"), forward.dual_level():
                pass
            assert forward.unpack_dual(t.ones(2, requires_grad=True) * 2).tangent is None
            dual = forward.make_dual(x, x)
            for again in (dual, dual * 2):
                with pytest.raises(RuntimeError, match="already has a forward gradient"):
                    forward.make_dual(again, x)
        assert forward.unpack_dual(dual).tangent is None
        with forward.dual_level():
            assert forward.unpack_dual(dual * dual).tangent is None


def _slope(t: Any) -> Any:
    forward = t.autograd.forward_ad

    @forward.dual_level()
    def slope(x: Any) -> Any:
        return forward.unpack_dual(forward.make_dual(x, t.ones(2)) ** 2).tangent

    return slope.__name__, slope(t.tensor([1.0, 3.0])).tolist()


def test_a_level_decorates_a_function_and_keeps_its_name(torch: Any) -> None:
    assert _slope(distrt) == _slope(torch) == ("slope", [2.0, 6.0])
