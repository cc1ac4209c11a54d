"""``grad_fn=<MulBackward0>``: what a result's text says made it, and the nodes' own names, as PyTorch has them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import distrt

REDUCTIONS = (
    "x.sum() x.sum(0) x.mean() x.mean((0,1)) x.prod() x.prod(0) x.max() x.max(0)[0] x.min() x.min(1)[0]"
)
REDUCTIONS += " x.amax(0) x.median() x.median(0)[0] x.std() x.var(0) x.norm() x.logsumexp(0) x.cumsum(0)"
ARITHMETIC = (
    "x+1 1-x x-1 2*x x/2 x**2 2**x x**x -x x.clamp(0,1) x.clamp(min=0) x.clamp(x,x) x.relu() x.log2()"
)
ARITHMETIC += " x.exp() x.sigmoid() t.where(x>0,x,x) x.abs() x.log1p() x.expm1() x.atan2(x)"
SHAPES = "x.t() x.T x.mT x.transpose(0,1) x.view(6) x.reshape(3,2) x[None] x[:,None] x[...,None] x[None,1:] x[1:,None]"
SHAPES += (
    " x[0] x[:,1:2] x[None,0] x.squeeze() x.squeeze(0) x[None].squeeze(0) x.squeeze((0,1)) x.unsqueeze(1)"
)
SHAPES += (
    " x.split(1)[0] x.chunk(2)[1] x.unbind()[0] x.split([1,1])[1] x.expand(2,2,3) x.flatten() t.cat([x,x])"
)
PRODUCTS = "x@x.T b@m b[None]@m b.bmm(b.mT) F.linear(x,m) F.linear(x,m,v) F.linear(b,m) F.linear(b,m,v)"
PRODUCTS += (
    " x@v b@v t.mv(x,v) v@v nn.Linear(3,2)(x) nn.Linear(3,2)(b) nn.Linear(3,2,bias=False)(b) nn.Softmax(1)(x)"
)


def _tensors(library: Any) -> dict[str, Any]:
    def leaf(*shape: int) -> Any:
        values = np.linspace(0.1, 0.9, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        return library.from_numpy(values).requires_grad_()

    names = {"x": leaf(2, 3), "m": leaf(3, 3), "b": leaf(2, 2, 3), "v": leaf(3)}
    return {**names, "t": library, "nn": library.nn, "F": library.nn.functional}


@pytest.mark.parametrize("text", " ".join((REDUCTIONS, ARITHMETIC, SHAPES, PRODUCTS)).split())
def test_the_text_names_what_made_a_tensor(torch: Any, text: str) -> None:
    said = [re.search(r"grad_fn=<(\w+)>", repr(eval(text, _tensors(library)))) for library in (distrt, torch)]
    assert said[0] and said[1] and said[0][1] == said[1][1]


def test_names_stay_where_nothing_was_kept(torch: Any) -> None:
    """After backward, which lets go of what the name may depend on."""
    for library in (distrt, torch):
        names = _tensors(library)
        results = [
            eval(text, names) for text in ("x.sum(0)", "x.mean(1)", "x**x", "1-x", "x[None].squeeze(0)")
        ]
        sum(each.sum() for each in results).backward()
        assert [each.grad_fn.name() for each in results] == [
            "SumBackward1",
            "MeanBackward1",
            "PowBackward1",
            "RsubBackward1",
            "SqueezeBackward1",
        ]


def test_the_inputs_of_a_linear_layer_are_in_pytorchs_order(torch: Any) -> None:
    """The bias comes first, to who follows the graph and to hooks; PyTorch's weight goes through a transposition."""
    seen = []
    for library in (distrt, torch):
        layer, own = library.nn.Linear(3, 2), library.nn.Linear(3, 3, bias=False)
        leaf, hooked = library.ones(4, 3), []
        out = layer(own(leaf).relu())
        bias, input, _ = (node for node, _ in out.grad_fn.next_functions)
        assert bias.variable is layer.bias
        out.grad_fn.register_hook(
            lambda given, _, hooked=hooked: hooked.append([tuple(each.shape) for each in given[:2]])
        )
        out.grad_fn.register_hook(lambda given, _: (given[0] * 2, *given[1:]))
        out.sum().backward()
        behind = input.next_functions[0][0].next_functions
        seen.append((input.name(), len(behind), behind[0], hooked, layer.bias.grad.tolist()))
    assert seen[0] == seen[1]
