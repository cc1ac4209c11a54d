"""``checkpoint(use_reentrant=True)``, beside PyTorch's: line by line."""

from __future__ import annotations

from typing import Any

from tests.oracle.scripts import assert_same_outcomes

SCRIPT = """
ck = t.utils.checkpoint
layer = fixed(nn.Linear(3, 3))
x = (t.arange(6.0).view(2, 3) / 8).requires_grad_()
seen = []
def part(x, *rest):
    seen.append((t.is_grad_enabled(), x.requires_grad, x is X))
    return layer(x).relu()
X = x
def clear(): x.grad = layer.weight.grad = None
y = ck.checkpoint(part, x, use_reentrant=True)
y, y.grad_fn.name(), y.requires_grad
y.sum().backward()
seen, x.grad, layer.weight.grad, layer.bias.grad
y.sum().backward()
y = ck.checkpoint(part, x, use_reentrant=True)
y.sum().backward(retain_graph=True)
y.sum().backward()
len(seen), x.grad
y = ck.checkpoint(part, x.detach(), use_reentrant=True)
y.requires_grad, seen[-1]
with t.no_grad(): y = ck.checkpoint(part, x, use_reentrant=True)
y.requires_grad
y = ck.checkpoint(part, x, use_reentrant=True).sum()
t.autograd.grad(y, x)
y.backward(inputs=[x])
ck.checkpoint(part, x, use_reentrant=True, scale=2)
ck.checkpoint(part, x, use_reentrant=True, debug=True)
ck.checkpoint(part, x, use_reentrant=True, context_fn=lambda: ck.noop_context_fn())
ck.checkpoint(part, x, use_reentrant=True, determinism_check="else").shape
clear()
inner = lambda x: ck.checkpoint(part, x * 2, use_reentrant=True)
ck.checkpoint(inner, x, use_reentrant=True).sum().backward()
x.grad, layer.weight.grad
clear()
a, word, b = ck.checkpoint(lambda x, k, names: (x * k, names[0], x.detach()), x, 3, ["n"], use_reentrant=True)
word, a.requires_grad, b.requires_grad
(a * 2).sum().backward()
x.grad
ck.checkpoint(lambda x: x.detach() * 1, x, use_reentrant=True).sum().backward()
drop = nn.Dropout(0.5)
_ = t.manual_seed(3)
y = ck.checkpoint(lambda x: drop(x) * drop(x), x, use_reentrant=True)
clear()
y.sum().backward()
y, x.grad, t.rand(2)
_ = t.manual_seed(3)
y = ck.checkpoint(lambda x: drop(x), x, use_reentrant=True, preserve_rng_state=False)
clear()
y.sum().backward()
y, x.grad, t.rand(2)
y = ck.checkpoint(lambda x: x * 2, x, use_reentrant=True)
_ = x.data.add_(1)
with t.no_grad(): _ = x.add_(1)
y.sum().backward()
clear()
model = fixed(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2)))
ck.checkpoint_sequential(model, 2, x, use_reentrant=True).sum().backward()
x.grad, [each.grad for each in model.parameters()]
z = x.detach()
z.requires_grad
d = ck.detach_variable((x, 1, z))
[each.requires_grad for each in (d[0], d[2])], d[1], d[0] is x
ck.detach_variable([x])
ck.check_backward_validity([z, 1])
ck.check_backward_validity([x])
y = ck.CheckpointFunction.apply(part, True, x)
y.grad_fn.name()
hooked = []
_ = layer.weight.register_hook(lambda g: hooked.append(g.shape))
y.sum().backward()
hooked
"""


def test_a_part_is_one_node_with_a_backward_pass_of_its_own(torch: Any) -> None:
    import torch.utils.checkpoint

    assert_same_outcomes(SCRIPT, torch)
