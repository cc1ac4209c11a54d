"""``FlopCounterMode``'s counts, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from distrt.utils.flop_counter import FlopCounterMode


def _leaf(t: Any, *sizes: int) -> Any:
    return t.ones(*sizes).requires_grad_()


def _layers(t: Any) -> Any:
    nn = t.nn
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))
    return model(t.ones(2, 3, 8, 8)).sum()


F = "functional"
CASES: dict[str, Any] = {
    "matmul": lambda t, x: (x(2, 3) @ x(3, 4)).sum().backward(),
    "bmm": lambda t, x: t.bmm(x(2, 3, 4), x(2, 4, 6)).sum().backward(),
    "broadcast": lambda t, x: t.ones(2, 1, 3, 4) @ t.ones(5, 4, 6),
    "einsum": lambda t, x: t.einsum("bij,bjk->bik", x(2, 3, 4), x(2, 4, 5)).sum().backward(),
    "linear": lambda t, x: t.nn.functional.linear(x(2, 3, 4), x(5, 4), x(5)).sum().backward(),
    "linear, input without grad": lambda t, x: t.nn.functional.linear(t.ones(2, 4), x(5, 4)).sum().backward(),
    "addmm": lambda t, x: t.addmm(t.ones(2, 5), x(2, 4), x(4, 5)).sum().backward(),
    "baddbmm": lambda t, x: t.baddbmm(t.ones(1, 2, 5), x(1, 2, 4), x(1, 4, 5)).sum().backward(),
    "conv1d in groups": lambda t, x: (
        t.nn.functional.conv1d(x(2, 4, 9), x(6, 2, 3), x(6), stride=2, padding=1, groups=2).sum().backward()
    ),
    "conv3d": lambda t, x: t.nn.functional.conv3d(t.ones(1, 2, 4, 4, 4), x(3, 2, 2, 2, 2)).sum().backward(),
    "transposed": lambda t, x: (
        t.nn.functional.conv_transpose2d(x(2, 4, 5, 5), x(4, 3, 3, 3), x(3), stride=2).sum().backward()
    ),
    "no grad": lambda t, x: t.nn.Linear(3, 4).requires_grad_(False)(t.ones(2, 3)),
    "attention with weights": lambda t, x: (
        t.nn.MultiheadAttention(8, 2)(x(3, 2, 8), x(3, 2, 8), x(3, 2, 8))[0].sum().backward()
    ),
    "twice": lambda t, x: t.autograd.grad(
        t.autograd.grad((a := x(4, 4)).mm(a).pow(2).sum(), a, create_graph=True)[0].sum(), a
    ),
    "layers": lambda t, x: _layers(t).backward(),
    "recurrent, two ways": lambda t, x: (
        t.nn.GRU(5, 6, num_layers=2, bidirectional=True)(x(3, 4, 5), x(4, 4, 6))[0].sum().backward()
    ),
    "recurrent without bias": lambda t, x: t.nn.RNN(5, 6, bias=False)(t.ones(3, 4, 5))[0].sum().backward(),
    "recurrent, its last state": lambda t, x: t.nn.GRU(5, 6)(x(3, 4, 5))[1].sum().backward(),
    "recurrent and frozen": lambda t, x: (
        t.nn.LSTM(5, 6).double().requires_grad_(False)(x(3, 4, 5).double())[0].sum().backward()
    ),
    "a recurrent cell": lambda t, x: t.nn.LSTMCell(5, 6)(x(4, 5))[0].sum().backward(),
    "vectors": lambda t, x: (
        (x(3, 4) @ x(4) + t.mv(x(3, 4), x(4)) + x(4) @ x(4) + t.outer(x(3), x(3))).sum().backward()
    ),
    "batch and vector": lambda t, x: (x(2, 3, 4) @ x(4)).sum().backward(),
    "vector and matrix": lambda t, x: (x(4) @ x(4, 3)).sum().backward(),
    "element-wise": lambda t, x: (x(3) * 2).exp().sum().backward(),
}


def _counted(t: Any, mode: Any, case: str) -> dict[str, int]:
    with mode(display=False) as counter:
        CASES[case](t, lambda *sizes: _leaf(t, *sizes))
    counts = counter.get_flop_counts().get("Global", {})
    assert counter.get_total_flops() == sum(counts.values())
    return {str(op): count for op, count in counts.items()}


@pytest.mark.parametrize("case", CASES)
def test_counts_are_pytorchs(case: str, torch: Any) -> None:
    from torch.utils.flop_counter import FlopCounterMode as Theirs

    assert _counted(distrt, FlopCounterMode, case) == _counted(torch, Theirs, case)


def test_a_projected_layer_counts_as_much_as_pytorchs(torch: Any) -> None:
    """Of one name, where PyTorch has two: the projection has no bias."""
    from torch.utils.flop_counter import FlopCounterMode as Theirs

    totals = []
    for t, mode in ((distrt, FlopCounterMode), (torch, Theirs)):
        with mode(display=False) as counter:
            t.nn.LSTM(5, 6, proj_size=2).double()(_leaf(t, 3, 4, 5).double())[0].sum().backward()
        totals.append(counter.get_total_flops())
    assert totals[0] == totals[1]


def test_fused_attention_counts_as_on_pytorchs_gpus() -> None:
    """PyTorch's kernel for CPUs has no formula; the one for GPUs: two products forward, five backward."""
    q, k, v = (_leaf(distrt, 2, 3, length, 8) for length in (4, 6, 6))
    with FlopCounterMode(display=False) as counter:
        distrt.nn.functional.scaled_dot_product_attention(q, k, v).sum().backward()
    name = "aten._scaled_dot_product_flash_attention_for_cpu"
    product = 2 * 2 * 3 * 4 * 6 * 8
    found = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    assert found == {name: 2 * product, f"{name}_backward": 5 * product}


def test_modules_have_their_own_counts(capsys: Any) -> None:
    nn = distrt.nn
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 5)))
    with FlopCounterMode(depth=2) as counter:
        model(distrt.ones(2, 3)).sum().backward()
    totals = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    first, second = 2 * 2 * 3 * 4 * 2, 2 * 2 * 4 * 5 * 3  # the first layer's input has no gradient
    both = first + second
    assert totals == {
        "Global": both,
        "Sequential": both,
        "Sequential.0": first,
        "Sequential.1": second,
        "Sequential.1.0": second,
    }
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["Module", "FLOP", "%", "Total"]
    assert printed[2].split() == ["Global", str(both), "100.00%"]
    assert any(line.startswith("- aten.addmm") for line in printed)
    assert not any(line.startswith("Sequential.1.0") for line in printed)


def test_what_follows_a_backward_pass_is_of_no_module() -> None:
    model, x = distrt.nn.Linear(3, 4), distrt.ones(2, 3)
    with FlopCounterMode(display=False) as counter:
        model(x).sum().backward()
        before = sum(counter.get_flop_counts()["Linear"].values())
        distrt.mm(x, distrt.ones(3, 3))
    assert sum(counter.get_flop_counts()["Linear"].values()) == before
    assert counter.get_total_flops() == before + 2 * 2 * 3 * 3


def test_nothing_is_counted_after_the_block() -> None:
    x = _leaf(distrt, 3, 3)
    with FlopCounterMode(display=False) as counter:
        y = distrt.nn.functional.linear(x, x).sum()
    before = counter.get_total_flops()
    y.backward()
    distrt.mm(x, x)
    assert counter.get_total_flops() == before == 2 * 3 * 3 * 3
