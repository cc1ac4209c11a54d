"""``torch.func`` against PyTorch, line by line."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import distrt
from tests.oracle.scripts import assert_same_outcomes

START = """
fn = t.func
x, s = t.tensor([1.0, 2.0, 3.0]), t.tensor(2.0)
"""

SCRIPTS = {
    "grad": """
fn.grad(lambda x: (x ** 2).sum())(x)
fn.grad(t.sin)(s), fn.grad(fn.grad(t.sin))(s), fn.grad(fn.grad(fn.grad(lambda x: x ** 4)))(s)
fn.grad(lambda x, y: (x * y).sum(), argnums=1)(x, x + 1), fn.grad(lambda x, y: (x * y).sum(), argnums=-1)(x, x + 1)
fn.grad(lambda x, y: (x * y).sum(), argnums=(0, 1))(x, x + 1)
fn.grad(lambda x, *, k: (x * k).sum())(x, k=3)
fn.grad(lambda x: ((x ** 2).sum(), x * 2), has_aux=True)(x)
fn.grad_and_value(lambda x: (x ** 2).sum())(x)
fn.grad_and_value(lambda x: ((x ** 2).sum(), x), has_aux=True)(x)
fn.grad(lambda p: (p['a'] * p['b'][0]).sum())({'a': x, 'b': [x, x]})
fn.grad(lambda x: t.tensor(1.0))(x)
fn.grad(t.sin).__name__ == getattr(t.sin, '__name__', None)
""",
    "grad of what it does not take": """
fn.grad(lambda x: x)(x)
fn.grad(lambda x: 3)(x)
fn.grad(lambda x: x.sum(), argnums=3)(x)
fn.grad(lambda x: x.sum(), argnums=())(x)
fn.grad(lambda x, y: x.sum(), argnums=(0, 0))(x, x)
fn.grad(lambda x: x.sum(), argnums='a')(x)
fn.grad(lambda x: x)(3.0)
fn.grad(lambda x: x.sum(), has_aux=True)(x)
""",
    "transforms within autograd": """
w, y = t.tensor(3.0, requires_grad=True), t.tensor(3.0, requires_grad=True)
g = fn.grad(lambda x: (x * w) ** 2)(s)
g.backward()
g, w.grad
g = fn.grad(lambda x: x ** 3)(y)
g.backward()
g, y.grad
with t.no_grad(): g = fn.grad(lambda x: x ** 3)(y), fn.grad(lambda x: x * w)(s)
g
def partly(x):
    with t.no_grad(): c = x ** 2
    return x ** 2 - c
fn.grad(partly)(s)
fn.grad(lambda x: fn.grad(lambda y: y ** 2 * x)(t.tensor(5.0)))(s)
fn.grad(lambda x: x ** 2)(s).requires_grad, fn.jacrev(t.sin)(x).requires_grad
fn.vjp(t.sin, x)[1](x)[0].requires_grad, fn.vjp(t.sin, x)[0].requires_grad
fn.grad(lambda x: x ** 2 * w)(s).requires_grad
""",
    "products": """
out, pull = fn.vjp(t.sin, x)
out, pull(t.ones(3)), pull(t.ones(3))
out, pull = fn.vjp(lambda a, b: (a * b, a.sum()), x, x + 1)
out, pull((t.ones(3), t.tensor(1.0)))
pull((t.ones(4), t.tensor(1.0)))
fn.vjp(lambda a: a.long(), x)
fn.vjp(lambda a: {'o': a * 2}, x)[1]({'o': x})
fn.vjp(lambda a: (a * 2, a), x, has_aux=True)[0::2]
fn.jvp(t.sin, (x,), (t.ones(3),))
fn.jvp(lambda a, b: (a * b, a), (x, x + 1), (t.ones(3), x))
fn.jvp(lambda a: (a ** 2, a), (x,), (x,), has_aux=True)
fn.jvp(lambda a: a, x, x)
""",
    "Jacobians": """
fn.jacrev(lambda x: x ** 2)(x), fn.jacfwd(lambda x: x ** 2)(x)
fn.jacrev(lambda x: (x.sum(), x * 2))(x), fn.jacfwd(lambda x: (x.sum(), x * 2))(x)
fn.jacrev(lambda x, y: x[:2] * y[0], argnums=(0, 1))(x, x), fn.jacfwd(lambda x, y: x * y.sum(), argnums=1)(x, x)
fn.jacrev(lambda x: {'a': x.view(3, 1)})(x)
fn.jacrev(lambda x: (x * 2, x), has_aux=True)(x)
fn.jacrev(lambda p: p['a'] * p['b'])({'a': x, 'b': x + 1})
fn.jacrev(lambda x: x.sum())(t.ones(2, 2))
fn.jacrev(t.sin, chunk_size=0)
fn.jacrev(lambda x: x * 2, chunk_size=1)(x)
fn.hessian(lambda x: (x ** 3).sum())(x)
fn.hessian(lambda x, y: (x ** 2 * y).sum(), argnums=(0, 1))(x, x + 1)
fn.jacrev(fn.jacrev(lambda x: (x ** 3).sum()))(x)
fn.grad(lambda x: fn.jacrev(t.sin)(x).sum())(x)
""",
    "functional_call": """
m, x = fixed(nn.Linear(2, 1)), t.ones(3, 2)
p = dict(m.named_parameters())
fn.functional_call(m, {'weight': t.zeros(1, 2)}, (x,)), fn.functional_call(m, {'weight': t.zeros(1, 2)}, x)
fn.functional_call(m, {}, (), {'input': x}), fn.functional_call(m, {}, kwargs={'input': x})
m.weight, type(m.weight).__name__, [n for n, _ in m.named_parameters()]
fn.functional_call(m, {'other': t.zeros(1)}, x), hasattr(m, 'other')
fn.functional_call(m, {'other.bar': t.zeros(1)}, x)
fn.functional_call(m, {'weight': 3}, x)
fn.functional_call(m, 3, x)
fn.functional_call(m, [3], x)
fn.functional_call(m, [{'weight': p['weight']}, {'bias': p['bias']}], x)
fn.functional_call(m, [{'weight': p['weight']}, p], x)
fn.functional_call(m, {'weight': p['weight']}, x, strict=True)
fn.functional_call(m, {**p, 'zz': x}, x, strict=True)
fn.functional_call(m, p, x, strict=True)
fn.functional_call(m, {'weight': t.ones(3, 3)}, x)
m.weight.shape
fn.grad(lambda p: fn.functional_call(m, p, x).sum())(p)
fn.grad(lambda p: (fn.functional_call(m, p, (x,)) ** 2).mean())({k: v.detach() for k, v in p.items()})
nn.utils.stateless.functional_call(m, p, x)
""",
    "functional_call with tied tensors and buffers": """
class T(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(t.ones(1))
        self.b = self.a
        self.register_buffer('c', t.zeros(1))
    def forward(self, x):
        self.c = self.c + 1
        return x * self.a + self.b
m, five, six = T(), t.tensor([5.0]), t.tensor([6.0])
fn.functional_call(m, {'a': five}, s), fn.functional_call(m, {'a': five}, s, tie_weights=False)
fn.functional_call(m, {'a': five, 'b': six}, s)
fn.functional_call(m, {'a': five, 'b': six}, s, tie_weights=False)
d = {'c': t.tensor([10.0])}
fn.functional_call(m, d, s), d, m.c, m.a is m.b
""",
    "batch norm without statistics": """
m = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.BatchNorm2d(3, affine=False)))
fn.replace_all_batch_norm_modules_(m) is m, m, list(m.state_dict()), list(m.buffers())
m.eval()[0](t.tensor([[1.0, 2.0], [3.0, 5.0]]))
""",
    "stack_module_state": """
p, b = fn.stack_module_state([nn.Linear(2, 1) for _ in range(3)])
{k: (v.shape, v.requires_grad, v.is_leaf) for k, v in p.items()}, b
[v.shape for v in fn.stack_module_state(nn.ModuleList([nn.BatchNorm1d(2) for _ in range(2)]))[1].values()]
fn.stack_module_state([])
fn.stack_module_state([nn.Linear(1, 1), nn.ReLU()])
fn.stack_module_state([nn.Linear(1, 1), nn.Linear(1, 1).eval()])
fn.stack_module_state([nn.Linear(1, 1), nn.Linear(1, 1).requires_grad_(False)])
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_func_does_what_pytorchs_does(name: str, torch: Any) -> None:
    assert_same_outcomes(START + SCRIPTS[name], torch)


def test_a_vector_of_another_structure_is_refused() -> None:
    _, pull = distrt.func.vjp(lambda a: (a * 2, a.sum()), distrt.ones(3))
    with pytest.raises(RuntimeError, match="Expected pytree structure of cotangents to be the same"):
        pull(distrt.ones(3))


def test_a_linearised_function_pushes_as_jvp_does(torch: Any) -> None:
    """PyTorch warns of the constants that its trace has captured."""
    pushed = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for library in (distrt, torch):
            x = library.tensor([1.0, 2.0, 3.0])
            out, push = library.func.linearize(lambda a, b: (a.sin() * b, a * 2), x, x + 1)
            pushed.append([(out, push(each, x)) for each in (x, x * 0, x)])
    assert repr(pushed[0]) == repr(pushed[1])
