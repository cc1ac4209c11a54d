"""``vmap`` against PyTorch, line by line; the same lines say where PyTorch refuses what a loop can do."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from tests.oracle.scripts import assert_same_outcomes

START = """
vmap, fn = t.vmap, t.func
x, y = t.arange(6.0).view(2, 3), t.arange(6.0).view(3, 2) - 2
"""

SCRIPTS = {
    "dims": """
fn.vmap is t.vmap
vmap(t.dot)(x, x + 1), vmap(t.dot, in_dims=(0, 1))(x, y), vmap(t.dot, in_dims=(0, None))(x, y[:, 0])
vmap(t.dot, (-2, -1))(x, y)
vmap(lambda a: a * 2, out_dims=1)(x), vmap(lambda a: a * 2, out_dims=-1)(x), vmap(lambda a: a * 2, out_dims=(1,))(x)
vmap(lambda a, b: (a.sum(), a + b), in_dims=(1, 0), out_dims=(0, 1))(x, y)
vmap(lambda a, b: {'s': a.sum(), 'l': [a + b, b]})(x, x)
vmap(lambda p: p['a'] + p['b'][0], in_dims=({'a': 0, 'b': [None]},))({'a': x, 'b': [y[:, 0]]})
vmap(lambda p, q: p[0] * q, in_dims=((0, None), 1))((x, y), y)
vmap(lambda a, k: a * k)(x, k=y.t())
vmap(lambda a: (a.sum(), 3), out_dims=(0, None))(x)
vmap(vmap(t.mul))(x, x), vmap(vmap(t.mul, in_dims=(0, None)), in_dims=(None, 0))(y[:, 0], x)
vmap(t.sum, chunk_size=1)(x), vmap(lambda a: t.zeros(2))(x)
vmap(lambda a: a.flatten())(t.arange(8).view(2, 2, 2))
""",
    "with derivatives": """
vmap(fn.grad(lambda a: (a ** 2).sum()))(x)
fn.jacrev(t.sin)(x[1]), vmap(fn.jacrev(lambda a: a ** 2))(x), vmap(fn.jacfwd(lambda a: a ** 2))(x)
fn.grad(lambda a: vmap(lambda b: (b ** 3).sum())(a).sum())(x)
w = x.clone().requires_grad_()
vmap(t.sin)(w).sum().backward()
w.grad
value, pull = fn.vjp(t.sin, x[0])
vmap(pull)(t.eye(3))
layer = fixed(nn.Linear(3, 2))
weights = dict(layer.named_parameters())
loss = lambda p, a, b: nn.functional.mse_loss(fn.functional_call(layer, p, (a,)), b)
vmap(fn.grad(loss), in_dims=(None, 0, 0))({k: v.detach() for k, v in weights.items()}, x, y.t()[:, :2])
models = [fixed(nn.Linear(3, 2)) for _ in range(3)]
stacked, buffers = fn.stack_module_state(models)
vmap(lambda p, a: fn.functional_call(layer, p, (a,)), in_dims=(0, None))({k: v.detach() for k, v in stacked.items()}, x)
out = w ** 2
t.autograd.grad(out, w, t.stack([t.ones(2, 3), 2 * t.ones(2, 3)]), is_grads_batched=True)
""",
    "random numbers": """
_ = t.manual_seed(0)
vmap(lambda a: a + t.rand(3))(x)
t.rand(2)
vmap(lambda a: a + t.rand(3), randomness='x')(x)
vmap(lambda a: t.rand(3), randomness='different')(x).shape
drawn = vmap(lambda a: t.rand(3), randomness='same')(x)
bool((drawn[0] == drawn[1]).all())
""",
    "what it does not take": """
def f(a, *rest): return a
def g(a): return 3
vmap(f)()
vmap(f, in_dims=[0])(x)
vmap(f, in_dims=None)(x)
vmap(f, in_dims=(None,))(x)
vmap(f, in_dims=('a',))(x)
vmap(f)(3)
vmap(f, in_dims=2)(x)
vmap(f)(t.tensor(1.0))
vmap(f)(x, y)
vmap(g)(x)
vmap(f, chunk_size=0)(x)
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_line_does_what_it_does_in_pytorch(name: str, torch: Any) -> None:
    assert_same_outcomes(START + SCRIPTS[name], torch)


def test_structures_that_differ_are_refused() -> None:
    x = distrt.ones(2, 3)
    for dims in ((0, 0), ({"a": 0},)):
        with pytest.raises(ValueError, match="in_dims is not compatible with the structure of `inputs`"):
            distrt.vmap(distrt.sin, in_dims=dims)(x)
    with pytest.raises(ValueError, match="out_dims is not compatible with the structure of `outputs`"):
        distrt.vmap(lambda a: (a, a), out_dims=(0, 0, 0))(x)
    with pytest.raises(RuntimeError, match="mapped dim has size 0"):
        distrt.vmap(distrt.sin)(x[:0])


def test_a_mapped_function_may_branch_on_values() -> None:
    assert distrt.vmap(lambda a: a if a.sum() > 3 else -a)(distrt.arange(4.0).view(2, 2)).tolist() == [
        [-0.0, -1.0],
        [2.0, 3.0],
    ]
