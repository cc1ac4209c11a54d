"""Lazy layers against PyTorch, line by line: before, during and after the first call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.scripts import assert_same_outcomes

#: A layer, and the shapes to call it with, one after the other.
LAYERS = {
    "nn.LazyLinear(3)": ("2, 4", "5, 2, 4", "2, 5"),
    "nn.LazyLinear(out_features=3, bias=False, dtype=t.float64)": ("2, 4",),
    **{
        text: shapes
        for dims, size in ((1, "9"), (2, "9, 8"), (3, "5, 4, 3"))
        for text, shapes in {
            f"nn.LazyConv{dims}d(6, 3)": (f"2, 4, {size}", f"4, {size}", "2, 3, 4, 5, 6, 7"),
            f"nn.LazyConv{dims}d(6, 3, 1, 1, groups=2, bias=False, padding_mode='circular')": (f"4, {size}",),
            f"nn.LazyConv{dims}d(6, kernel_size=1, groups=4)": (f"2, 6, {size}",),
            f"nn.LazyConvTranspose{dims}d(6, 3, stride=2, output_padding=1)": (f"2, 4, {size}",),
            f"nn.LazyConvTranspose{dims}d(6, 2, groups=3, bias=False)": (f"3, {size}",),
            f"nn.LazyBatchNorm{dims}d()": (f"2, 4, {size}", f"2, 5, {size}"),
            f"nn.LazyBatchNorm{dims}d(1e-3, None, affine=False)": (f"2, 4, {size}",),
            f"nn.LazyBatchNorm{dims}d(track_running_stats=False, bias=False)": ("3", f"2, 4, {size}"),
            f"nn.LazyInstanceNorm{dims}d()": (f"2, 4, {size}",),
            f"nn.LazyInstanceNorm{dims}d(affine=True, track_running_stats=True)": (f"2, 4, {size}",),
            f"nn.LazyInstanceNorm{dims}d(affine=False, track_running_stats=False)": (f"2, 4, {size}",),
        }.items()
    },
}


@pytest.mark.parametrize("text", LAYERS)
def test_lazy_layers_become_pytorchs_layers(text: str, torch: Any) -> None:
    call = """
x = t.ones({shape})
y = m(x.to(dtype))
y.shape, y.dtype
m, type(m).__name__, len(m._forward_pre_hooks), len(m._load_state_dict_pre_hooks)
{{k: v if t.nn.parameter.is_lazy(v) else (v.shape, v.dtype) for k, v in m.state_dict().items()}}
[(k, v.requires_grad) for k, v in m.named_parameters()], hasattr(m, '_initialize_hook')
"""
    script = f"""
m = {text}
dtype = t.float64 if 'float64' in {text!r} else t.float32
m, m.state_dict(), m.has_uninitialized_params(), [type(p).__name__ for p in m.parameters()]
""" + "".join(call.format(shape=shape) for shape in LAYERS[text])
    assert_same_outcomes(script, torch)


SCRIPTS = {
    "copies and states": """
m = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(1)).double()
state = m.state_dict()
state, state._metadata
full = copy.deepcopy(m)
full(t.ones(2, 5, dtype=t.float64)).shape
full, m
m.load_state_dict(state)
nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 1)).load_state_dict(state)
m.load_state_dict(full.state_dict())
m, m[0].has_uninitialized_params(), (m[0].weight == full[0].weight).all()
m(t.ones(2, 4, dtype=t.float64))
m(t.ones(2, 5, dtype=t.float64)).shape
m
q = pickle.loads(pickle.dumps(nn.LazyLinear(2)))
q(t.ones(1, 3)).shape
q
nn.LazyLinear(2).half()(t.ones(1, 2, dtype=t.float16)).dtype
nn.LazyLinear(2)(input=t.ones(1, 3)).shape
""",
    "what can be asked of a lazy layer": """
l = nn.LazyLinear(2)
l.share_memory()
l.reset_parameters(), l.zero_grad(), l.train().training
l.initialize_parameters(t.ones(1, 7))
l, l.has_uninitialized_params(), l.weight.shape
l(t.ones(1, 7)).shape, l
""",
    "lazy modules of users": """
lazy = nn.modules.lazy.LazyModuleMixin
class Nothing(lazy, nn.Linear): pass
Nothing(1, 1)(t.ones(1, 1))
class Forgets(lazy, nn.Module):
    cls_to_become = nn.Identity
    def __init__(self):
        super().__init__()
        self.w = nn.UninitializedParameter()
    def initialize_parameters(self, x): pass
    def forward(self, x): return x
Forgets()(t.ones(1, 1))
class Scale(lazy, nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.UninitializedParameter()
        self.seen = nn.UninitializedBuffer()
    def initialize_parameters(self, x):
        with t.no_grad():
            self.w.materialize(x.shape)
            self.w.fill_(3)
            self.seen.materialize((1,))
            self.seen.zero_()
    def forward(self, x): return x * self.w
s = Scale()
s, s.state_dict(), list(s.buffers())
s(t.ones(2)), s, s.state_dict(), type(s).__name__, type(s.seen).__name__
s.double().w.dtype
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_lazy_modules_do_what_pytorchs_do(name: str, torch: Any) -> None:
    assert_same_outcomes(SCRIPTS[name], torch)
