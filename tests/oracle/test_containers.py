"""Containers of modules and of parameters against PyTorch, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.scripts import assert_same_outcomes

SCRIPTS = {
    "Sequential": """
s = fixed(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)))
s[0], s[-1], s[:2], s[::2], s[t.tensor(1)], len(s), list(reversed(s)), s[1] in s, nn.ReLU() in s
s[5]
s['a']
s[1.5]
s + s, s * 2, 2 * s
s + [1]
s * 0
s * 1.5
s(t.ones(1, 2))
s(1, 2)
q = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
q[:1], q.append(nn.Sigmoid())
q.insert(1, nn.Sigmoid())
q.insert(9, nn.ReLU())
q.insert(0, 3)
q.extend([nn.ReLU()]), q.pop(0), q
del q[1:]
q
del q[0]
q.pop(0)
q = nn.Sequential(nn.ReLU())
q += nn.Sequential(nn.Tanh())
q *= 3
q, q.insert(0, nn.Sigmoid()), q.insert(-1, nn.Identity())
q[-1] = nn.Sigmoid()
q[1] = nn.Identity()
q, [name for name, _ in q.named_children()]
q[10] = nn.ReLU()
q[0] = 3
nn.Sequential(3)
nn.Sequential([nn.ReLU()])
nn.Sequential(None), nn.Sequential(OrderedDict())
class Mine(nn.Sequential): pass
type(Mine(nn.ReLU())[:1]).__name__, type(Mine(nn.ReLU()) + Mine()).__name__
""",
    "ModuleList": """
l = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)] + [nn.ReLU()] + [nn.Sequential(nn.ReLU(), nn.Tanh())] * 2)
l, nn.ModuleList(), nn.Sequential(l, nn.ModuleList([nn.ReLU()]))
l[0], l[-1], l[1:3], l + [nn.ReLU()], len(l), [type(each).__name__ for each in l]
l[9]
l['a']
l.pop(0), l.pop(-1), l.pop(slice(0, 2)), l
l.insert(0, nn.Tanh())
l.insert(-1, nn.Tanh())
l.extend(nn.Sigmoid() for _ in range(2)), l.append(nn.ReLU())
l.extend(3)
l.append(3)
l.append(None)
l = nn.ModuleList([nn.ReLU()])
l += [nn.Tanh()]
l
l(3)
del l[0]
l[0] = nn.Sigmoid()
l, [name for name, _ in l.named_children()]
nn.ModuleList(3)
nn.ModuleList(nn.ReLU())
list(fixed(nn.ModuleList([nn.Linear(1, 1)])).state_dict())
""",
    "ModuleDict": """
d = nn.ModuleDict({'b': nn.ReLU(), 'a': nn.Linear(1, 1)})
d, list(d), list(d.keys()), d.items(), list(d.values()), len(d), 'a' in d, d['a'], d.b
d['zz']
d.pop('zz')
d.pop('a')
d.update([('c', nn.Tanh())])
d.update(3)
d.update([3])
d.update([(1, 2, 3)])
d.update({'e': 3})
d['x.y'] = nn.ReLU()
d['keys'] = nn.ReLU()
d[3] = nn.ReLU()
d['c'] = nn.Sigmoid()
d
del d['c']
del d['q']
d(3)
d.clear()
d, nn.ModuleDict([['a', nn.ReLU()]]), nn.ModuleDict(nn.ModuleDict({'z': nn.ReLU()}))
""",
    "ParameterList": """
p = nn.ParameterList([nn.Parameter(t.ones(2, 3)), t.zeros(1), 5, 'a', None, t.tensor(1.0)])
p, p[0], p[1], p[2], p[1:3], len(p), [name for name, _ in p.named_parameters()]
p[9]
p.append(t.ones(1)) is p
p.extend(t.ones(1))
p.extend(3)
p += [t.ones(1)]
p[0] = t.zeros(1)
p[2] = t.ones(1)
p[0] = 3
p()
p.state_dict(), list(p), nn.ParameterList(), nn.Sequential(nn.ParameterList([t.ones(1)]))
copy.deepcopy(p), pickle.loads(pickle.dumps(p))
p.load_state_dict(p.state_dict())
nn.ParameterList(t.ones(1))
""",
    "ParameterDict": """
d = nn.ParameterDict({'b': t.ones(1), 'a': nn.Parameter(t.zeros(2, 2)), 'c': 3})
d, list(d), list(d.items()), list(d.values()), d.keys()
len(d), 'a' in d, d.get('zz'), d.get('zz', 4), list(reversed(d))
d['zz']
d.pop('c'), d.popitem(), d.setdefault('q', t.ones(1)), d.setdefault('q', 3)
d | nn.ParameterDict({'n': t.ones(1)}), nn.ParameterDict({'n': t.ones(1)}) | d, d.copy()
d |= {'w': t.ones(1)}
d.fromkeys(['u', 'v'], t.ones(1)), d.state_dict()
d.update(3)
d.update([3])
d.update([(1, 2, 3)])
d(3)
del d['nope']
nn.ParameterDict([('z', t.ones(1)), ('y', 1)]), nn.ParameterDict(OrderedDict(z=t.ones(1), y=t.ones(1)))
d.clear()
d, len(d)
d.popitem()
nn.ParameterDict({'a.b': t.ones(1)})
nn.ParameterDict({'keys': t.ones(1)})
d[3] = 4
""",
    "Container": """
nn.Container(a=nn.ReLU())
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_containers_do_what_pytorchs_do(name: str, torch: Any) -> None:
    assert_same_outcomes(SCRIPTS[name], torch)
