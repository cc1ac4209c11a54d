"""Hooks of modules against PyTorch, line by line: forward, backward, global, and on state."""

from __future__ import annotations

from typing import Any

import pytest

from distrt.nn.modules import global_hooks
from tests.oracle.scripts import assert_same_outcomes

SCRIPTS = {
    "forward hooks": """
class M(nn.Module):
    def forward(self, x, y=None, *, k=1):
        if y == 'boom': raise ValueError('boom')
        return x * 2 * k
m, log = M(), []
a = m.register_forward_pre_hook(lambda mod, args: log.append(('a', args)))
b = m.register_forward_pre_hook(lambda mod, args: log.append(('b', args)), prepend=True)
def changed(mod, args, kw):
    log.append(('kw', args, kw))
    return (args[0] + 1,), {'k': 3}
c = m.register_forward_pre_hook(changed, with_kwargs=True)
m(t.ones(1), k=2)
log
c.remove()
c.remove()
c = m.register_forward_pre_hook(lambda mod, args, kw: 3, with_kwargs=True)
m(t.ones(1))
c.remove()
c = m.register_forward_pre_hook(lambda mod, args: args[0] * 5)
m(t.ones(1))
with c: m(t.ones(1))
m(t.ones(1))
log.clear()
d = m.register_forward_hook(lambda mod, args, out: out + 1)
e = m.register_forward_hook(lambda mod, args, kw, out: (log.append(kw), out * 10)[1], with_kwargs=True, prepend=True)
m(t.ones(1), k=2)
f = m.register_forward_hook(lambda mod, args, out: log.append(('always', out)), always_call=True)
m(t.ones(1), 'boom')
log
g = m.register_forward_hook(lambda mod, args, out: 1 / 0, always_call=True)
m(t.ones(1), 'boom')
m(t.ones(1))
g.remove()
len(m._forward_hooks), len(m._forward_hooks_with_kwargs), len(m._forward_hooks_always_called)
m._forward_hooks.clear()
m(t.ones(1))
""",
    "full backward hooks": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(t.tensor([2.0, 3.0]))
    def forward(self, x, y=None, n=3): return x * self.w, 'text', (y if y is None else y * 2)
m, log = M(), []
h = m.register_full_backward_hook(lambda mod, gi, go: log.append(('hook', gi, go)))
p = m.register_full_backward_pre_hook(lambda mod, go: log.append(('pre', go)))
x, y = t.ones(2, requires_grad=True), t.ones(2, requires_grad=True)
a, b, c = m(x, y)
a.grad_fn.name(), b, c.grad_fn.name()
(a.sum() + c.sum()).backward()
log, x.grad, y.grad, m.w.grad
m(x, y)[0].sum().backward()
m(x, None, 5)[0].sum().backward()
m(x.detach(), y)[0].sum().backward()
m(x, t.ones(3, dtype=t.int64))[0].sum().backward()
m(t.ones(2))[0].sum().backward()
m(x, y=y)[0].sum().backward()
log
with t.no_grad(): a = m(x)
a[0].requires_grad
m(x)[0].add_(1)
""",
    "backward hooks that replace": """
w = t.tensor([2.0, 3.0])
class M(nn.Module):
    def forward(self, x, y): return x * w, y
m = M()
def pulled(x, y=None):
    a, _ = m(x, y)
    return t.autograd.grad(a.sum(), x)
x = t.ones(2, requires_grad=True)
h = m.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 10, None))
pulled(x)
h.remove()
h = m.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 10,))
pulled(x)
h.remove()
h = m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 10, None))
pulled(x)
h.remove()
h = m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 10,))
pulled(x)
h.remove()
h = m.register_full_backward_hook(lambda mod, gi, go: (t.ones(3), None))
pulled(x)
h.remove()
pulled(x)
m.register_backward_hook(lambda *a: None)
""",
    "order of backward hooks": """
l, log = fixed(nn.Linear(2, 1)), []
hs = [l.register_full_backward_hook(lambda mod, gi, go: log.append(('1', gi, go)))]
hs += [l.register_full_backward_hook(lambda mod, gi, go: log.append('2'), prepend=True)]
hs += [l.register_full_backward_pre_hook(lambda mod, go: log.append('p1'))]
hs += [l.register_full_backward_pre_hook(lambda mod, go: log.append('p2'), prepend=True)]
l(t.ones(3, 2, requires_grad=True)).sum().backward()
l(t.ones(3, 2)).sum().backward()
t.autograd.grad(l(t.ones(1, 2, requires_grad=True)).sum(), l.weight)
log
x = t.tensor([[2.0, 3.0]], requires_grad=True)
g, = t.autograd.grad((l(x ** 2) ** 2).sum(), x, create_graph=True)
g.sum().backward()
x.grad, log
""",
    "outputs without tensors, inputs changed in place": """
class D(nn.Module):
    def forward(self, x): return {'a': x * 2}
d = D()
h = d.register_full_backward_hook(lambda *a: 1 / 0)
d(t.ones(1, requires_grad=True))['a']
s = nn.Sequential(nn.ReLU(inplace=True))
h = s[0].register_full_backward_hook(lambda *a: None)
s(t.ones(3, requires_grad=True) * 1)
""",
    "backward hooks of the deprecated kind": """
r, log = nn.ReLU(), []
x = t.ones(2, requires_grad=True)
h = r.register_backward_hook(lambda m, gi, go: log.append((gi, go)))
r(x).sum().backward()
r(x * 2).sum().backward()
r.register_full_backward_hook(lambda *a: None)
s = nn.Sequential(nn.ReLU(), nn.Tanh())
h = s.register_backward_hook(lambda m, gi, go: log.append((gi, go)))
s(x * 1).sum().backward()
h.remove()
s(x * 1).sum().backward()
class D(nn.Module):
    def forward(self, x): return {'a': x * 2}
d = D()
h = d.register_backward_hook(lambda m, gi, go: log.append((gi, go)))
d(x)['a'].sum().backward()
class Two(nn.Module):
    def forward(self, x): return x * 2, x.exp()
d = Two()
h = d.register_backward_hook(lambda m, gi, go: log.append((gi, go)))
d(x)[0].sum().backward()
log
r = nn.ReLU()
h = r.register_backward_hook(lambda m, gi, go: (gi[0] * 7,))
t.autograd.grad(r(x).sum(), x)
""",
    "global hooks": """
mm, log = nn.modules.module, []
s = nn.Sequential(nn.ReLU(), nn.Tanh())
x = t.zeros(1, requires_grad=True)
hs = [mm.register_module_forward_pre_hook(lambda m, a: log.append(('pre', type(m).__name__, len(a))))]
hs += [mm.register_module_forward_hook(lambda m, a, o: log.append(('post', type(m).__name__)))]
hs += [mm.register_module_full_backward_hook(lambda m, gi, go: log.append(('back', type(m).__name__, gi, go)))]
hs += [mm.register_module_full_backward_pre_hook(lambda m, go: log.append(('before back', type(m).__name__)))]
hs += [s[0].register_forward_hook(lambda m, a, o: log.append('local post'))]
hs += [s[0].register_forward_pre_hook(lambda m, a: log.append('local pre'))]
hs += [s[0].register_full_backward_hook(lambda *a: log.append('local back'))]
s(x).sum().backward()
mm.register_module_backward_hook(lambda *a: None)
for h in hs: h.remove()
s(x).sum().backward()
log
h = mm.register_module_forward_hook(lambda m, a, kw, o: log.append(kw), with_kwargs=True)
nn.Identity()(3)
h.remove()
h = mm.register_module_forward_hook(lambda m, a, o: log.append(('always', o)), always_call=True)
nn.Module()(3)
h.remove()
log
""",
    "hooks on registration": """
mm, log = nn.modules.module, []
with mm.register_module_parameter_registration_hook(lambda m, n, p: log.append(n)): l = nn.Linear(1, 1)
with mm.register_module_buffer_registration_hook(lambda m, n, p: log.append((n, p))):
    l.register_buffer('q', t.ones(1))
    l.q = t.zeros(1)
with mm.register_module_module_registration_hook(lambda m, n, p: log.append(n) or nn.Tanh()):
    l.q1 = nn.ReLU()
    l.add_module('q2', nn.ReLU())
log, l
""",
    "hooks on saving": """
l, log = fixed(nn.Linear(1, 1)), []
a = l.register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(('pre', prefix, keep)))
b = l.register_state_dict_post_hook(lambda mod, sd, prefix, meta: log.append(('post', list(sd), prefix, meta)))
c = l._register_state_dict_hook(lambda mod, sd, prefix, meta: {'new': 1})
l.state_dict(), nn.Sequential(l).state_dict(prefix='p.', keep_vars=True).keys(), log
c.remove()
def bad(mod, sd, prefix, meta): return sd
d = l.register_state_dict_post_hook(bad)
l.state_dict()
l._register_state_dict_hook(bad)
""",
    "hooks on loading": """
l, log = nn.Linear(2, 2), []
hs = [l.register_load_state_dict_pre_hook(lambda mod, sd, *rest: log.append((type(mod).__name__, dict(sd), rest)))]
hs += [l._register_load_state_dict_pre_hook(lambda sd, *rest: sd.update({'bias': t.ones(2)}))]
hs += [l.register_load_state_dict_post_hook(lambda mod, found: log.append(found))]
l.load_state_dict({'weight': t.ones(2, 2)})
log, l.bias
hs += [l.register_load_state_dict_post_hook(lambda mod, found: found.unexpected_keys.clear())]
l.load_state_dict({'weight': t.ones(2, 2), 'zz': 1})
for h in hs: h.remove()
h = l.register_load_state_dict_post_hook(lambda mod, found: 3)
l.load_state_dict(l.state_dict())
""",
    "copies of modules with hooks": """
log = []
class Hook:
    def __call__(self, m, *args): log.append(id(m))
s = nn.Sequential(nn.Identity())
h = s.register_forward_hook(Hook())
s2 = pickle.loads(pickle.dumps(copy.deepcopy(s)))
s2(1), log == [], len(s2._forward_hooks)
s2._forward_hooks[next(iter(s2._forward_hooks))] = Hook()
s2(1), log == [id(s2)]
pair = copy.deepcopy((s, h))
pair[1].remove()
len(pair[0]._forward_hooks), len(s._forward_hooks)
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_hooks_do_what_pytorchs_do(name: str, torch: Any) -> None:
    assert_same_outcomes(SCRIPTS[name], torch)
    registries = [getattr(global_hooks, name) for name in dir(global_hooks) if name.startswith("_global")]
    assert not any(registries)
