"""Saving and loading the state of modules against PyTorch, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.scripts import assert_same_outcomes

SCRIPTS = {
    "saving": """
m = fixed(nn.Sequential(OrderedDict(a=nn.Linear(1, 2), b=nn.Sequential(nn.ReLU()))))
m.state_dict(), m.state_dict()._metadata, type(m.state_dict()).__name__
m.state_dict(prefix='x.', keep_vars=True)
m.state_dict(None, 'pre.', True).keys()
d = {}
m.state_dict(destination=d) is d, list(d)
s = copy.deepcopy(m.state_dict())
s._metadata, pickle.loads(pickle.dumps(s))._metadata
m.state_dict().copy()['a.weight'].data_ptr() == m.a.weight.data_ptr()
""",
    "loading": """
m = fixed(nn.Sequential(OrderedDict(a=nn.Linear(1, 2), b=nn.Linear(2, 1))))
m.load_state_dict([1])
m.load_state_dict({'a.weight': 3, 'a.bias': t.zeros(4), 'zz': 1, 'b.extra': 1, 'q.r': 2, '_extra_state': 2})
m.load_state_dict({'a.bias': t.zeros(2)}, strict=False)
m.load_state_dict({'a.bias': t.zeros(3), 'b.bias': t.ones(1)}, strict=False)
m.a.bias, m.b.bias
m.load_state_dict({})
m.load_state_dict(m.state_dict())
missing, unexpected = m.load_state_dict({'zz': 1}, strict=False)
missing, unexpected
str(m.load_state_dict(m.state_dict())), isinstance(m.load_state_dict(m.state_dict()), tuple)
old = m.a.weight
m.load_state_dict({k: v.double() for k, v in m.state_dict().items()})
m.a.weight is old, old.dtype
m.a.requires_grad_(False)
m.load_state_dict({k: v.double() for k, v in m.state_dict().items()}, assign=True)
m.a.weight is old, m.a.weight.dtype, m.a.weight.requires_grad, m.b.weight.requires_grad, type(m.a.weight).__name__
one = nn.Module()
one.s = nn.Parameter(t.tensor(1.0))
one.load_state_dict({'s': t.tensor([5.0])})
one.s
one.register_buffer('kept', t.zeros(1), persistent=False)
one.load_state_dict({'s': t.tensor(1.0), 'kept': t.ones(1)})
""",
    "the protocol that subclasses override": """
log = []
class E(nn.Module):
    _version = 3
    def __init__(self):
        super().__init__()
        self.n = 1
        self.w = nn.Parameter(t.ones(1))
        self.register_buffer('b', None)
    def get_extra_state(self): return {'n': self.n}
    def set_extra_state(self, state): self.n = state['n']
    def _load_from_state_dict(self, sd, prefix, meta, strict, missing, unexpected, errors):
        log.append((prefix, meta, strict, list(sd)))
        if prefix + 'old' in sd: sd[prefix + 'w'] = sd.pop(prefix + 'old')
        super()._load_from_state_dict(sd, prefix, meta, strict, missing, unexpected, errors)
    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        log.append((prefix, keep_vars))
m = fixed(nn.Sequential(E(), nn.Linear(1, 1)))
s = m.state_dict()
s, s._metadata
m[0].n = 5
m.load_state_dict(s)
m[0].n
del s['0._extra_state']
m.load_state_dict(s)
m.load_state_dict(s, strict=False)
s = m.state_dict()
s['0.old'] = s.pop('0.w') + 4
m.load_state_dict(s)
m[0].w
m.load_state_dict(dict(m.state_dict()), assign=True)
log
m[1].get_extra_state()
m[1].set_extra_state(3)
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_state_is_saved_and_loaded_as_in_pytorch(name: str, torch: Any) -> None:
    assert_same_outcomes(SCRIPTS[name], torch)
