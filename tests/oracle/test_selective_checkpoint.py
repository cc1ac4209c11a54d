"""Selective activation checkpointing, beside PyTorch's; and ``torch.ops.aten``."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import distrt
from tests.oracle.scripts import assert_same_outcomes

POLICIES = """
from functools import partial
ck = t.utils.checkpoint
aten, keep = t.ops.aten, ck.create_selective_checkpoint_contexts
x = (t.arange(9.0).view(3, 3) / 8).requires_grad_()
part = lambda x: t.relu(x @ x).sigmoid() @ x
def run(policy):
    x.grad = None
    ck.checkpoint(part, x, use_reentrant=False, context_fn=partial(keep, policy)).sum().backward()
    return x.grad
seen = []
def policy(context, op, *args, **kwargs):
    seen.append((context.is_recompute, str(op), len(args)))
    return ck.CheckpointPolicy.MUST_SAVE if op == aten.mm.default else ck.CheckpointPolicy.PREFER_RECOMPUTE
run(policy), seen
run([aten.mm.default]), run([aten.relu.default, aten.sigmoid.default]), run([]), run(lambda ctx, op, *args, **kw: True)
y = ck.checkpoint(part, x, use_reentrant=False, context_fn=partial(keep, [aten.mm.default])).sum()
y.backward(retain_graph=True)
y.backward()
keep([1])
keep(5)
list(ck.CheckpointPolicy)
drop = lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 1))
m = fixed(drop())
_ = t.manual_seed(3)
ck.checkpoint(m, x.detach(), use_reentrant=False, context_fn=partial(keep, [aten.addmm.default])).sum().backward()
[p.grad for p in m.parameters()]
aten.mm.default, str(aten.mm.default), aten.mm, str(aten.mm), aten.add.Tensor.name(), aten.mm.default.name()
aten.mm.default.__name__, aten.mm.__name__, aten.add.Tensor.overloadpacket is aten.add, aten.mm is t.ops.aten.mm
aten.add(x, 1), aten.add.Tensor(x, x), aten.addmm.default(x[0], x, x), aten.relu.default(x), aten.gelu(x)
aten.nonsense
t.ops.somewhere.nonsense
"""


def test_policies_and_names_are_as_in_pytorch(torch: Any) -> None:
    import torch.utils.checkpoint

    assert_same_outcomes(POLICIES, torch)


#: Operations whose kernels PyTorch's policies see by these very names: what a policy names is kept here, too.
NAMED = """
x * 2; x - w; x / 2; x ** 2; x ** w; x == 1; x < w; x % 2; x.softmax(1); x.log_softmax(1); x.sum();
x.sum(1); x.mean(1); x.max(); x.min(1); x[0]; x.transpose(0, 1); x.permute(1, 0); x.where(w > 0, w);
x.var(1); x.std(); x.norm(); x.gather(1, x.long()); x @ w; t.cat([x, x]); x.abs();
nn.functional.layer_norm(x, (3,)); nn.functional.group_norm(x, 1);
nn.functional.batch_norm(x, None, None, training=True); nn.functional.gelu(x);
nn.functional.max_pool2d(x.view(1, 1, 3, 3), 2); x.clone(); x.exp(); x.topk(1); x.cumsum(0); x @ w[0]; x[0, 0] - 1;
x[[0, 1]]; x[w > 0]; x.masked_fill(w > 0, 0); 1 - x; t.lerp(x, w, 0.5); t.lerp(x, w, w)
"""


@pytest.mark.parametrize("called", [each.strip() for each in NAMED.split(";")])
def test_policies_see_pytorchs_names(called: str, torch: Any) -> None:
    import torch.utils.checkpoint

    assert _last_seen(called, distrt) == _last_seen(called, torch)


def _last_seen(called: str, t: Any) -> str:
    seen: list[str] = []

    def policy(context: Any, op: Any, *args: Any, **kwargs: Any) -> bool:
        seen.append(str(op))
        return False

    x, w = t.full((3, 3), 0.5, requires_grad=True), t.full((3, 3), 2.0)
    contexts = partial(t.utils.checkpoint.create_selective_checkpoint_contexts, policy)
    t.utils.checkpoint.checkpoint(
        lambda x: eval(called, {"t": t, "nn": t.nn, "x": x, "w": w}),
        x,
        use_reentrant=False,
        context_fn=contexts,
    )
    return [each for each in seen if each not in ("aten.detach.default", "aten.empty.memory_format")][-1]


@pytest.mark.parametrize("kept", [True, False])
def test_a_kernel_whose_result_is_kept_does_not_run_again(kept: bool) -> None:
    from distrt.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
    from distrt.utils.flop_counter import FlopCounterMode

    x = distrt.ones(3, 3).requires_grad_()
    policy = [distrt.ops.aten.mm.default] if kept else []
    around = partial(create_selective_checkpoint_contexts, policy)
    with FlopCounterMode(display=False) as counter:
        y = checkpoint(lambda x: (x @ x).exp().sin(), x, use_reentrant=False, context_fn=around)
        forward = counter.get_total_flops()
        y.sum().backward()
    product = 2 * 3 * 3 * 3
    assert forward == product
    assert counter.get_total_flops() == product * (3 if kept else 4)


def test_a_change_in_place_does_not_reach_what_is_kept() -> None:
    from distrt.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

    x = distrt.tensor([[-1.0, 2.0], [0.5, -3.0]]).requires_grad_()

    def part(x: Any) -> Any:
        return (x @ x).relu_() @ x

    part(x).sum().backward()
    expected = x.grad.clone()
    x.grad = None
    around = partial(create_selective_checkpoint_contexts, [distrt.ops.aten.mm.default])
    checkpoint(part, x, use_reentrant=False, context_fn=around).sum().backward()
    assert x.grad.equal(expected)
