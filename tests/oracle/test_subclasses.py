"""Subclasses of ``Tensor``, and classes and modes that take functions over, beside PyTorch's: line by line."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.oracle.scripts import assert_same_outcomes

KINDS = """
class S(t.Tensor): pass
F = t.nn.functional
def kind(r): return [kind(each) for each in r] if isinstance(r, (tuple, list)) else type(r).__name__
def s(*sizes): return (t.arange(24.0)[:t.Size(sizes).numel()] / 24 + 0.1).view(sizes).as_subclass(S)
x = s(2, 3)
kind([x + 1, 1 - x, x @ x.T, x[0], x[x > 0.2], x.sum(), x.detach(), x.to(t.float64), x.cpu(), x.data, x.mT, -x, x == x])
kind([t.add(t.ones(3), x), t.ones(3) + x, t.ones(2, 3).add_(x), t.cat([t.ones(1, 3), x]), t.stack([x, x]), x.numpy()])
kind([t.where(x > 0, 1.0, 0.0), t.zeros_like(x), x.new_tensor([1]), t.tensor([1.0]) * x.sum(), x.split(1), x.max(0)])
kind([F.relu(x), F.softmax(x, -1), F.cross_entropy(x, t.tensor([0, 1])), F.linear(x, x)])
kind([F.pad(x, (1, 1)), F.normalize(x)])
kind([nn.Linear(3, 2)(x), nn.LayerNorm(3)(x), nn.Conv1d(2, 2, 1)(s(1, 2, 3))])
kind([nn.MultiheadAttention(4, 2)(*3 * [s(3, 2, 4)])])
kind([nn.LSTM(3, 2)(s(2, 1, 3)), nn.GRUCell(3, 2)(x), nn.Sequential(nn.Linear(3, 3), nn.ReLU())(x)])
kind(nn.BatchNorm1d(3)(x))
kind([t.linalg.svd(x), t.fft.fft(x), t.special.expit(x), t.einsum("ij->ji", x), t.func.vmap(lambda x: x * 2)(x)])
kind([t.as_tensor(x), t.tensor(x.tolist()), x.as_subclass(t.Tensor), x.shape, x.tolist(), len(x), copy.copy(x)])
x.requires_grad_()
y = (x * 2).sum()
y.grad_fn.name(), y
y.backward()
kind(x.grad), x.grad.tolist()
kind([nn.Parameter(s(2)), nn.Parameter(s(2)) * 2, nn.Parameter(t.ones(2)) * 2])
repr(s(2)), S([1, 2]), S(t.ones(2, dtype=t.int64)), S(2, 3).shape
a = t.ones(2)
S(a).data_ptr() == a.data_ptr()
class P(nn.Parameter): pass
kind(P(t.ones(2)) + 1)
class Off(t.Tensor): __torch_function__ = t._C._disabled_torch_function_impl
kind(t.ones(2).as_subclass(Off) + 1)
class SS(S): pass
class Other(t.Tensor): pass
kind([s(2) + s(2).as_subclass(SS), s(2).as_subclass(SS) + s(2), t.add(s(2), s(2).as_subclass(SS))])
s(2) + s(2).as_subclass(Other)
class M(t.Tensor):
    def __new__(cls, values, extra, *args): return super().__new__(cls, values, *args)
    def __init__(self, values, extra): self.extra = extra
    def sum(self, *args): return super().sum(*args) * 10
class Named(t.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        made = super().__torch_function__(func, types, args, kwargs)
        if isinstance(made, cls) and isinstance(args[0], cls): made.label = getattr(args[0], "label", None)
        return made
named = t.ones(2).as_subclass(Named)
named.label = "a"
p = nn.Parameter(named)
p.label, (p * 2).label, type(p).__name__, isinstance(p, nn.Parameter), p.requires_grad, p.data_ptr() == named.data_ptr()
p, nn.Parameter(named, requires_grad=False), nn.Parameter(t.ones(1)), P(t.ones(1))
nn.Parameter(t.ones(2).as_subclass(Off))
M([1, 2], "a").extra, M([1, 2], "a") + 1, M(t.ones(2), "b").sum(), t.sum(M([1, 2], "c"))
"""

SEEN = """
seen = []
def told(f):
    f()
    found = [(getattr(func, "__name__", ""), func) for func in seen]
    seen.clear()
    return [name if name != "__get__" else t.overrides.resolve_name(func) for name, func in found]
class L(t.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        seen.append(func)
        return super().__torch_function__(func, types, args, kwargs)
x = t.ones(2, 2).as_subclass(L)
told(lambda: (x + 1, 1 + x, x - 1, 1 - x, x * 2, x / 2, 2 / x, x // 2, x % 2, x @ x, x < 1, x == x))
told(lambda: (-x, +x, abs(x), ~(x > 0), x.int().__ilshift__(1)))
told(lambda: (x.__iadd__(1), x.__isub__(1), x.__imul__(1), x.__itruediv__(1), x.__imod__(2)))
told(lambda: (x.__ifloordiv__(1), x.__ipow__(1), (x > 0).__iand__(x > 0), (x > 0).__ior__(x > 0)))
told(lambda: (x.sum(), x.T, x[0], x.shape, x.dtype, x.device, x.size(0), x.view(4), len(x), x.numel(), x.requires_grad))
told(lambda: (t.add(x, 1), t.cat([x, x]), t.stack((x, t.ones(2, 2))), t.nn.functional.relu(x), nn.Linear(2, 2)(x)))
told(lambda: (x.add_(1), x.__iadd__(1), x.__setitem__(0, 1), x.float(), x.requires_grad_(), x.detach(), x.grad))
told(lambda: bool(x[0, 0] > 0))
with t._C.DisableTorchFunctionSubclass(): (type(x + 1), seen)
told(lambda: t.exp(x)), told(lambda: x.exp())
t.add in {t.add}, t.Tensor.shape.__get__ == t.Tensor.shape.__get__
"""

DUCKS = """
HANDLED = {}
def implements(function):
    def note(mine):
        HANDLED[function] = mine
        return mine
    return note
class Scalar:
    def __init__(self, count, value): self.count, self.value = count, value
    def __repr__(self): return f"Scalar({self.count}, {self.value})"
    def tensor(self): return self.value * t.eye(self.count)
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func not in HANDLED or not all(issubclass(each, (t.Tensor, Scalar)) for each in types): return NotImplemented
        return HANDLED[func](*args, **(kwargs or {}))
def plain(x): return x.tensor() if isinstance(x, Scalar) else x
@implements(t.mean)
def mean(input): return float(input.value) / input.count
@implements(t.add)
def add(input, other): return t.add(plain(input), plain(other))
@implements(t.Tensor.add)
def added(input, other): return t.add(plain(input), plain(other))
@implements(t.nn.functional.relu)
def relu(input, inplace=False): return ("relu", input)
@implements(t.cat)
def cat(tensors, dim=0): return t.cat([plain(each) for each in tensors], dim)
d = Scalar(2, 3)
t.mean(d), t.mean(input=d), t.add(d, d), t.add(t.ones(2, 2), d), t.nn.functional.relu(d), nn.ReLU()(d)
t.ones(2, 2) + d, d + t.ones(2, 2), t.ones(2, 2).add(d), t.cat([d, t.ones(1, 2)])
t.overrides.is_tensor_like(d), t.overrides.has_torch_function((d,)), t.overrides.has_torch_function((t.ones(1),))
t.overrides.has_torch_function_unary(d), t.overrides.has_torch_function_variadic(1, d)
def mine(x, k=1):
    if t.overrides.has_torch_function((x,)): return t.overrides.handle_torch_function(mine, (x,), x, k=k)
    return x * k
mine(t.ones(1), 2)
mine(d)
HANDLED[mine] = lambda x, k: ("mine", k)
mine(d, k=3)
@t.overrides.wrap_torch_function(lambda x: (x,))
def wrapped(x): return x
wrapped(t.ones(1)), t.ones(1) == d
wrapped(d)
t.ones(2) * d
"""

MODES = """
class Log(t.overrides.TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.seen = []
    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))
with Log() as log: y = t.nn.functional.relu(t.ones(2) + 1).sum().item()
log.seen, y
with Log() as outer:
    with Log() as inner: t.zeros(2).exp()
    t.zeros(3)
outer.seen, inner.seen
class Ones(t.overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return (t.zeros if func is t.ones else func)(*args, **(kwargs or {}))
with Ones(): x = t.ones(2)
x, t.ones(2)
class Refuses(t.overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None): return NotImplemented
try:
    with Refuses(): t.ones(2)
except TypeError as fault: refused = str(fault).split(";")[0]
refused, t.ones(1)
with t.overrides.BaseTorchFunctionMode(): x = t.ones(1) + 1
x
with Log() as log:
    with t._C.DisableTorchFunction(): x = t.ones(1)
log.seen
t.overrides.resolve_name(t.add), t.overrides.resolve_name(t.Tensor.add)
t.overrides.resolve_name(t.Tensor.shape.__get__)
t.overrides.resolve_name(t.nn.functional.relu), t.overrides.resolve_name(len)
[t.overrides.is_tensor_method_or_property(f) for f in (t.Tensor.add, t.add, t.Tensor.shape.__get__)]
t.add in t.overrides.get_overridable_functions()[t], t.is_tensor in t.overrides.get_ignored_functions()
t.Tensor.grad.__get__ in t.overrides.get_default_nowrap_functions()
"""

OWN = """
@t.library.custom_op("taken_over::sine", mutates_args=(), schema="(Tensor x) -> Tensor")
def sine(x): return t.from_numpy(__import__("numpy").sin(x.numpy()))
class S(t.Tensor): pass
x = t.ones(2).as_subclass(S)
sine(x), t.ops.taken_over.sine(x), t.ops.taken_over.sine.default(x)
class Named:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None): return str(func)
sine(Named()), t.ops.taken_over.sine(Named()), t.ops.aten.add.Tensor(t.ones(1), Named())
class Log(t.overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        seen.append(str(func))
        return func(*args, **(kwargs or {}))
seen, plain = [], t.ones(2)
with Log(): made = sine(plain), t.ops.taken_over.sine(plain), t.ops.aten.add.Tensor(plain, plain)
made, seen
"""


@pytest.mark.parametrize(
    "script", [KINDS, SEEN, DUCKS, MODES, OWN], ids=["kinds", "seen", "ducks", "modes", "own"]
)
def test_functions_are_taken_over_as_in_pytorch(script: str, torch: Any) -> None:
    import torch.overrides

    assert_same_outcomes(script, torch)


def _run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    ).stdout


@pytest.mark.ci
def test_functions_do_not_look_for_classes_that_are_not_there() -> None:
    found = _run("""
import distrt as t
def looks(): return "_door" in (t.relu.__kwdefaults__ or {})
m = t.nn.Linear(2, 2)
t.optim.SGD(m.parameters(), 0.1)
m(t.ones(2)).sum().backward()
print(looks())
from distrt import relu
add = t.Tensor.add
class S(t.Tensor): pass
print(looks(), type(relu(t.ones(2).as_subclass(S))).__name__, add is t.Tensor.add)
""")
    assert found.split() == ["False", "True", "S", "True"]


@pytest.mark.ci
def test_a_class_made_while_another_threads_class_is_noticed_takes_functions_over() -> None:
    found = _run("""
import threading, time
import distrt as t
from distrt.core.overriding import doors
begun, put_in = threading.Event(), doors._put_in
def slowly(*entry):
    if not begun.is_set():
        begun.set()
        time.sleep(0.2)
    put_in(*entry)
doors._put_in = slowly
other = threading.Thread(target=lambda: type("Other", (t.Tensor,), {}))
other.start()
begun.wait()
class S(t.Tensor): pass
print(type(t.relu(t.ones(2).as_subclass(S))).__name__, type(t.ones(2).as_subclass(S) + 1).__name__)
other.join()
""")
    assert found.split() == ["S", "S"]


@pytest.mark.ci
def test_a_foreign_class_is_seen_by_the_first_call_with_it() -> None:
    program = """
import distrt as t
class D:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return getattr(func, "__name__", "") + str(len(args)) + "".join(kwargs or {})
"""
    calls = {
        "t.add(t.ones(2), D())": "add2",
        "t.ones(2) + D()": "add2",
        "t.ones(2).mul(D())": "mul2",
        "t.ones(2).mul_(D())": "mul_2",
        "t.ones(2).__iadd__(D())": "add_2",
        "t.sum(D(), dim=0)": "sum2",
        "t.stack([D()])": "stack1",
        "t.nn.functional.gelu(D())": "gelu1",
        "t.nn.Linear(2, 2)(D())": "linear3",
        "t.fft.fft(D())": "fft_fft1",
    }
    for call, expected in calls.items():
        assert _run(f"{program}\nprint({call})").strip() == expected, call
