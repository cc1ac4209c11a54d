"""``nn.Module`` against PyTorch, line by line: registration, the tree, conversion, text, copies."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from tests.oracle.scripts import assert_same_outcomes

MODEL = """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.p = nn.Parameter(t.ones(2))
        self.register_buffer('b', t.zeros(3))
        self.register_buffer('scratch', t.zeros(3), persistent=False)
        self.register_parameter('none', None)
        self.x = 5
    def forward(self, x):
        return self.fc(x) + self.b
m = fixed(M())
"""

SCRIPTS = {
    "assignments that are refused": """
setattr(m, 'p', t.ones(2))
setattr(m, 'p', 3)
setattr(m, 'p', nn.ReLU())
setattr(m, 'fc', 3)
setattr(m, 'fc', t.ones(2))
setattr(m, 'b', 'three')
m.get_buffer('b')
""",
    "names that are refused": """
m.register_buffer('x', t.ones(1))
m.register_buffer('a.b', t.ones(1))
m.register_buffer('', t.ones(1))
m.register_buffer(3, t.ones(1))
m.register_buffer('q', 3)
m.register_parameter('x', None)
m.register_parameter('a.b', None)
m.register_parameter('', None)
m.register_parameter(3, None)
m.register_parameter('q', t.ones(2))
m.register_parameter('q', m.p * 2)
m.add_module('x', nn.ReLU())
m.add_module('a.b', nn.ReLU())
m.register_module('', nn.ReLU())
m.add_module(3, nn.ReLU())
m.add_module('q', 3)
m.add_module('q', t.ones(1))
m.nope
delattr(m, 'nope')
""",
    "attributes that change their kind": """
m.b = None
list(m.state_dict())
m.b = t.ones(3)
m.p = None
m.fc = nn.Identity()
m.scratch = nn.Parameter(t.ones(1))
m.x = nn.Parameter(t.zeros(1))
[n for n, _ in m.named_parameters()], [n for n, _ in m.named_buffers()], list(m.state_dict())
m.x = nn.Tanh()
m.q = nn.Buffer(t.ones(1))
m.q2 = nn.Buffer(t.ones(1), persistent=False)
m.q2 = t.zeros(1)
m.x = nn.Buffer(t.ones(1))
[n for n, _ in m.named_buffers()], list(m.state_dict()), m
del m.q
del m.fc
del m.scratch
m
""",
    "dotted names": """
m.get_submodule('')
m.get_submodule('fc')
m.get_submodule('fc.x')
m.get_submodule('p')
m.get_submodule('nope')
m.get_parameter('fc.weight').shape
m.get_parameter('b')
m.get_parameter('fc.foo')
m.get_buffer('b')
m.get_buffer('p')
m.get_buffer('zz')
m.set_submodule('', nn.ReLU())
m.set_submodule('fc', 3)
m.set_submodule('new', nn.ReLU(), strict=True)
m.set_submodule('new', nn.ReLU())
m.set_submodule('new', nn.Tanh(), strict=True)
m.set_submodule('p', nn.ReLU())
m.set_submodule('new.inner', nn.ReLU())
m
""",
    "the tree": """
s = nn.Sequential(m, nn.Sequential(m, nn.ReLU()), m.fc)
[n for n, _ in s.named_modules()]
[n for n, _ in s.named_modules(prefix='a', remove_duplicate=False)]
len(list(s.modules())), len(list(s.modules(remove_duplicate=False)))
[n for n, _ in s.named_children()], len(list(s.children()))
[n for n, _ in s.named_parameters()]
[n for n, _ in s.named_parameters('a', remove_duplicate=False)]
[n for n, _ in m.named_parameters(recurse=False)], [n for n, _ in m.named_buffers(recurse=False)]
[n for n, _ in s.named_buffers(prefix='z', remove_duplicate=False)]
type(s.parameters()).__name__, type(s.buffers()).__name__, type(s.named_parameters()).__name__
seen = []
s.apply(lambda each: seen.append(each._get_name())) is s
seen
s.train(False) is s, [each.training for each in s.modules()]
s.train(1)
s.requires_grad_(False) is s, [p.requires_grad for p in s.parameters()]
""",
    "before init": """
class Early(nn.Module):
    def __init__(self, value):
        self.e = value
class Late(nn.Module):
    def __init__(self, call):
        call(self)
Early(nn.Parameter(t.ones(1)))
Early(nn.ReLU())
Early(nn.Buffer(t.ones(1)))
Early(t.ones(1)).e
Early(3)(1)
Late(lambda self: self.register_buffer('a', None))
Late(lambda self: self.register_parameter('a', None))
Late(lambda self: self.add_module('a', nn.ReLU()))
Early(3).state_dict()
Early(3).train()
Early(3).to('cpu')
list(Early(3).parameters())
repr(Early(3))
""",
    "making modules": """
nn.Module(3)
nn.Module(a=3)
nn.Module()(3)
class Old(nn.Module):
    def __init__(self):
        super(Old, self).__init__()
        self.fc = nn.Linear(1, 1)
Old()
class Sup(nn.Module):
    call_super_init = True
    def __init__(self, a):
        super().__init__(a, b=3)
class Other:
    def __init__(self, a, b):
        self.a, self.b = a, b
class Both(Sup, Other):
    pass
vars(Both(1))['a'], Both(1).b
list(vars(nn.Module()))
nn.Module.dump_patches, nn.Module.call_super_init, nn.Module._version, nn.Module.T_destination
sorted(set(dir(m)) - set(dir(type(m))))
[name for name in dir(nn.Sequential(nn.ReLU())) if name.isdigit()]
""",
    "text": """
class R(nn.Module):
    def extra_repr(self):
        return 'a\\nb'
class One(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = R()
    def extra_repr(self):
        return 'one'
class Named(nn.Module):
    def _get_name(self):
        return 'Other'
R(), One(), nn.Sequential(R(), One(), Named()), nn.Sequential(nn.Sequential())
""",
    "to": """
m.to(t.float64) is m, m.p.dtype, m.b.dtype, m.fc.weight.dtype
m.to('cpu', t.float16).p.dtype
m.to('cpu', t.float32, True).p.dtype
m.to(t.ones(1, dtype=t.float64)).p.dtype
m.to(dtype=t.float32, device='cpu', non_blocking=True).p.dtype
m.to(tensor=t.ones(1, dtype=t.float64)).p.dtype
m.to(device=t.device('cpu')).p.dtype
m.to(float).p.dtype
m.to() is m, m.to(None) is m
m.to(t.int)
m.to(t.ones(1, dtype=t.int32))
m.to(t.float, copy=True)
m.to(foo=3)
m.to(t.float, 'cpu')
m.to(other=t.ones(1))
m.to('bla')
""",
    "other conversions": """
m.register_buffer('n', t.tensor(3))
p, b = m.p, m.b
m(t.ones(1, 2)).sum().backward()
m.double() is m, p is m.p, p.dtype, m.fc.weight.grad.dtype, m.n.dtype, b is m.b, b.dtype
m.half().p.dtype, m.bfloat16().p.dtype, m.float().p.dtype
m.type(t.float64).n.dtype, m.type('torch.FloatTensor').n.dtype
m.cpu() is m
m.to_empty(device='cpu').p.shape
m.to(t.complex64).p.dtype
m.float().p.dtype
c = nn.Conv2d(4, 3, 3).to(memory_format=t.channels_last)
c.weight.is_contiguous(memory_format=t.channels_last), c.weight.stride(), c.bias.stride()
""",
    "gradients": """
m.zero_grad()
m(t.ones(1, 2)).sum().backward()
g = m.fc.weight.grad
m.zero_grad(set_to_none=False)
m.fc.weight.grad is g, g
m.zero_grad()
m.fc.weight.grad
""",
    "copies": """
m(t.ones(1, 2)).sum().backward()
c = copy.deepcopy(m)
c.p, c.fc.weight.grad, c.p is m.p, type(c.p).__name__, c.x
d = pickle.loads(pickle.dumps(nn.Sequential(m.fc, nn.ReLU())))
d, d[0].weight, d[0].weight.grad, type(d[0].weight).__name__
tied = nn.Linear(2, 2)
tied.other = tied.weight
tied = copy.deepcopy(tied)
tied.other is tied.weight
copy.copy(m).p is m.p
class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.cached = t.ones(2)
copy.deepcopy(Plain()).cached
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_modules_do_what_pytorchs_do(name: str, torch: Any) -> None:
    assert_same_outcomes(MODEL + SCRIPTS[name], torch)


PARAMETERS = {
    "parameters": """
class P(nn.Parameter): pass
class S(t.Tensor): pass
nn.Parameter(t.ones(2)), nn.Parameter(), nn.Parameter(data=t.ones(1), requires_grad=False)
nn.Parameter(t.tensor([1]), requires_grad=False)
nn.Parameter(t.ones(1, requires_grad=True) * 2).is_leaf
nn.Parameter([1.0])
nn.Parameter(3)
nn.Parameter(P(t.ones(2)))
P(t.ones(2)), type(P(t.ones(2))).__name__
s = nn.Parameter(t.ones(2).as_subclass(S))
type(s).__name__, s.requires_grad, isinstance(s, nn.Parameter), isinstance(s, P), isinstance(t.ones(1), nn.Parameter)
data = t.zeros(2)
p = nn.Parameter(data)
data.add_(1)
p.tag, p.grad = 'a', t.ones(2)
q = copy.deepcopy(p)
q, q.grad, hasattr(q, 'tag'), type(q).__name__
q = pickle.loads(pickle.dumps(p))
q, q.grad, q.tag, type(q).__name__
p * 2, p.data, p.detach(), p.clone(), p.view(2, 1), p.cpu() is p
""",
    "buffers": """
b = nn.Buffer(t.ones(2))
b, type(b).__name__, isinstance(b, nn.Buffer), isinstance(b, nn.Parameter), isinstance(t.ones(1), nn.Buffer)
b.persistent, nn.Buffer(t.ones(1), persistent=False).persistent, nn.Buffer().shape
nn.Buffer(t.ones(1), False)
isinstance(nn.Parameter(b), nn.Buffer), isinstance(copy.deepcopy(b), nn.Buffer)
nn.Buffer(t.ones(2, requires_grad=True)), nn.Buffer(nn.Parameter(t.ones(2)))
""",
    "uninitialised ones": """
u, v = nn.UninitializedParameter(), nn.UninitializedBuffer(dtype=t.float64)
u, v, u.requires_grad, v.requires_grad, u.dtype, v.dtype, u.device, u.size(), v.persistent
u.shape
v.shape
u.share_memory_()
t.nn.parameter.is_lazy(u), t.nn.parameter.is_lazy(v), t.nn.parameter.is_lazy(t.ones(1))
isinstance(u, nn.Parameter), isinstance(v, nn.Buffer)
copy.deepcopy(u), pickle.loads(pickle.dumps(u))
u.is_leaf, u.grad, u.is_floating_point(), u.half().dtype, u.to(t.float64).dtype, u.float() is u
u.materialize((2, 3))
v.materialize((4,), dtype=t.float16)
type(u).__name__, u.shape, u.dtype, u.requires_grad, type(v).__name__, v.shape, v.dtype, isinstance(v, nn.Buffer)
(u.detach().fill_(2) * u).sum().backward()
u.grad
""",
}


PARAMETERS["factory_kwargs"] = """
nn.factory_kwargs(None), nn.factory_kwargs({}), nn.factory_kwargs({'dtype': t.float64})
sorted(nn.factory_kwargs({'dtype': t.float64, 'factory_kwargs': {'device': 'cpu'}}))
nn.factory_kwargs({'other': 1})
nn.factory_kwargs({'dtype': t.float64, 'factory_kwargs': {'dtype': t.float32}})
"""


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_buffers_are_what_pytorchs_are(name: str, torch: Any) -> None:
    assert_same_outcomes(PARAMETERS[name], torch)


@pytest.mark.parametrize(
    "use", ["u + 1", "u.sum()", "u.clone()", "u.abs()", "u.numel()", "t.zeros_like(u)", "len(u)"]
)
def test_an_uninitialised_parameter_can_be_computed_with_nowhere(use: str, torch: Any) -> None:
    """PyTorch's message names the function that was called."""
    for library in (distrt, torch):
        with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
            eval(use, {"t": library, "u": library.nn.UninitializedParameter()})


@pytest.mark.parametrize(
    "move", ["m.cuda()", "m.to('cuda')", "m.xpu()", "m.ipu()", "m.to('cuda:0', t.float64)"]
)
def test_devices_that_are_missing_are_refused(move: str, torch: Any) -> None:
    for library in (distrt, torch):
        with pytest.raises((RuntimeError, AssertionError)):
            eval(move, {"t": library, "m": library.nn.Linear(1, 1)})


def test_compile_leaves_the_module_as_it_is() -> None:
    layer = distrt.nn.Linear(2, 1)
    assert layer.compile(fullgraph=True) is None
    assert layer(distrt.ones(3, 2)).shape == (3, 1)
    with pytest.raises(RuntimeError, match="Either mode or options"):
        layer.compile(mode="default", options={"a": 1})


def test_modules_have_no_attribute_that_pytorch_does_not_have(torch: Any) -> None:
    assert set(dir(distrt.nn.Module())) - set(dir(torch.nn.Module())) == set()
