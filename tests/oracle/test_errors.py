"""Wrong arguments: the class that PyTorch raises, in words of tensors and dims, never NumPy's."""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt

BUILTINS = (
    NotImplementedError,
    OverflowError,
    IndexError,
    KeyError,
    AttributeError,
    TypeError,
    ValueError,
    RuntimeError,
)

#: Words of the library underneath that a user of tensors should not meet.
FOREIGN = re.compile(
    r"numpy(?!\(\))|ufunc|axis|axes|operands could not|(?<!tensors could not be )broadcast together"
    r"|array\(|_UFunc|casting|gufunc"
    r"|setting an array|'(?:str|list|int|float|tuple|NoneType)' object has no attribute"
    r"|unsupported operand type\(s\) for \S+ '(?!Tensor)|between instances of '(?!Tensor)|is not iterable"
    r"|could not convert|cannot be interpreted|inhomogeneous"
)

x23 = lambda t: t.ones(2, 3)
x34 = lambda t: t.ones(3, 4)

WRONG: dict[str, Callable[[Any], Any]] = {
    "add of shapes": lambda t: x23(t) + x34(t),
    "mul of shapes": lambda t: x23(t).mul(t.ones(2)),
    "where of shapes": lambda t: t.where(x23(t) > 0, x34(t), x23(t)),
    "compare of shapes": lambda t: x23(t) == x34(t),
    "logical of shapes": lambda t: t.logical_and(x23(t) > 0, x34(t) > 0),
    "maximum of shapes": lambda t: t.maximum(x23(t), x34(t)),
    "add of a string": lambda t: x23(t) + "a",
    "add of None": lambda t: x23(t) + None,
    "add of a list": lambda t: operator.add(x23(t), [1, 2, 3]),
    "add function of a string": lambda t: t.add(x23(t), "a"),
    "sub of two bools": lambda t: t.sub(True, False),
    "floor_divide of a number by 0": lambda t: t.floor_divide(2, 0),
    "mul of a number beyond int64": lambda t: t.mul(2**70, 1),
    "div of a number and None": lambda t: t.div(2, None),
    "pow of two numbers": lambda t: t.pow(2, 3),
    "rsub of two numbers": lambda t: t.rsub(2, 3),
    "remainder of two numbers": lambda t: t.remainder(2, 3),
    "eq of two numbers": lambda t: t.eq(2, 3),
    "histogramdd of a vector": lambda t: t.histogramdd(t.ones(3), [2]),
    "histogramdd of integers": lambda t: t.histogramdd(t.ones(3, 2).long(), [1, 1]),
    "histogramdd of too many bins": lambda t: t.histogramdd(x23(t), [2, 2]),
    "histogramdd of no bins": lambda t: t.histogramdd(x23(t), [2, 0, 1]),
    "histogramdd of a short range": lambda t: t.histogramdd(x23(t), [2, 2, 2], range=[0.0, 1.0]),
    "histogramdd of other weights": lambda t: t.histogramdd(x23(t), 2, weight=t.ones(3)),
    "exp of a list": lambda t: t.exp([1.0]),
    "subtraction of bools": lambda t: t.tensor([True]) - t.tensor([True]),
    "matmul of sizes": lambda t: x23(t) @ x23(t),
    "matmul of batches": lambda t: t.ones(2, 3, 4) @ t.ones(3, 4, 5),
    "matmul of 0-d": lambda t: t.ones(()) @ x23(t),
    "matmul of vectors": lambda t: t.ones(3) @ t.ones(4),
    "matmul of dtypes": lambda t: x23(t) @ x34(t).double(),
    "mm of 3-d": lambda t: t.mm(t.ones(2, 3, 4), x34(t)),
    "bmm of 2-d": lambda t: t.bmm(x23(t), x34(t)),
    "dot of 2-d": lambda t: t.dot(x23(t), x23(t)),
    "linear of sizes": lambda t: t.nn.functional.linear(x23(t), t.ones(4, 5)),
    "linear of dtypes": lambda t: t.nn.functional.linear(x23(t), t.ones(4, 3).double()),
    "linear of a wrong bias": lambda t: t.nn.functional.linear(x23(t), t.ones(4, 3), t.ones(5)),
    "reshape to another size": lambda t: x23(t).reshape(4),
    "reshape with two unknowns": lambda t: x23(t).reshape(-1, -1),
    "reshape that does not divide": lambda t: x23(t).reshape(4, -1),
    "view of what is not contiguous": lambda t: x23(t).t().view(6),
    "permute with too few": lambda t: x23(t).permute(0),
    "permute twice the same": lambda t: x23(t).permute(0, 0),
    "transpose out of range": lambda t: x23(t).transpose(0, 2),
    "t of 3-d": lambda t: t.ones(2, 3, 4).t(),
    "expand to fewer dims": lambda t: x23(t).expand(3),
    "expand of a size": lambda t: x23(t).expand(2, 4),
    "unsqueeze out of range": lambda t: x23(t).unsqueeze(4),
    "squeeze out of range": lambda t: x23(t).squeeze(2),
    "flatten out of range": lambda t: x23(t).flatten(0, 2),
    "flatten backwards": lambda t: t.ones(2, 3, 4).flatten(2, 1),
    "cat of nothing": lambda t: t.cat([]),
    "cat of sizes": lambda t: t.cat([x23(t), x34(t)]),
    "cat of ranks": lambda t: t.cat([x23(t), t.ones(2)]),
    "cat out of range": lambda t: t.cat([x23(t)], 2),
    "cat of numbers": lambda t: t.cat([1, 2]),
    "cat of a tensor": lambda t: t.cat(x23(t)),
    "stack of sizes": lambda t: t.stack([x23(t), x34(t)]),
    "stack of nothing": lambda t: t.stack([]),
    "split by 0": lambda t: x23(t).split(0),
    "split that does not sum": lambda t: x23(t).split([1, 3]),
    "chunk by 0": lambda t: x23(t).chunk(0),
    "unbind out of range": lambda t: x23(t).unbind(2),
    "sum out of range": lambda t: x23(t).sum(2),
    "sum of a dim twice": lambda t: x23(t).sum((0, 0)),
    "mean of integers": lambda t: t.ones(2, dtype=t.int64).mean(),
    "mean out of range": lambda t: x23(t).mean(-3),
    "var of integers": lambda t: t.ones(2, dtype=t.int64).var(),
    "max out of range": lambda t: x23(t).max(2),
    "max of nothing": lambda t: t.ones(0).max(),
    "max of nothing along": lambda t: t.ones(2, 0).max(1),
    "argmax of nothing": lambda t: t.ones(0).argmax(),
    "argmax out of range": lambda t: x23(t).argmax(5),
    "amax of nothing": lambda t: t.ones(2, 0).amax(1),
    "softmax out of range": lambda t: t.softmax(x23(t), 2),
    "index out of range": lambda t: x23(t)[2],
    "index out of range behind": lambda t: x23(t)[:, -4],
    "index too many": lambda t: x23(t)[0, 0, 0],
    "index of 0-d": lambda t: t.ones(())[0],
    "index by list out of range": lambda t: x23(t)[[0, 5]],
    "index by tensor out of range": lambda t: x23(t)[:, t.tensor([3])],
    "index by mask of a size": lambda t: x23(t)[t.tensor([True, False, True])],
    "index by lists of sizes": lambda t: x23(t)[[0, 1], [0, 1, 2]],
    "index by a float": lambda t: x23(t)[0.5],
    "index by a string": lambda t: x23(t)["a"],
    "index by a float tensor": lambda t: x23(t)[t.tensor([0.5])],
    "index by a negative step": lambda t: x23(t)[::-1],
    "set item of shapes": lambda t: x23(t).__setitem__(0, t.ones(2)),
    "set item out of range": lambda t: x23(t).__setitem__(3, 1.0),
    "set item to a string": lambda t: x23(t).__setitem__(0, "a"),
    "in-place to a bigger shape": lambda t: t.ones(3).add_(x23(t)),
    "in-place to another category": lambda t: t.ones(3, dtype=t.int64).mul_(0.5),
    "in-place of shapes": lambda t: x23(t).add_(t.ones(4)),
    "copy_ of shapes": lambda t: x23(t).copy_(t.ones(2)),
    "item of many": lambda t: x23(t).item(),
    "bool of many": lambda t: bool(x23(t)),
    "bool of none": lambda t: bool(t.ones(0)),
    "float of many": lambda t: float(x23(t)),
    "len of 0-d": lambda t: len(t.ones(())),
    "iteration over 0-d": lambda t: list(t.ones(())),
    "int index of a float": lambda t: [1, 2][t.ones(())],
    "numpy of what requires grad": lambda t: t.ones(2, requires_grad=True).numpy(),
    "clamp without bounds": lambda t: x23(t).clamp(),
    "div by an unknown rounding": lambda t: t.div(x23(t), 2, rounding_mode="up"),
    "norm by a name": lambda t: t.norm(x23(t), "bad"),
    "negative of bools": lambda t: -t.tensor([True]),
    "integer to a negative power": lambda t: t.tensor([2]) ** -1,
    "integer division by 0": lambda t: t.tensor([2]) // t.tensor([0]),
    "remainder by 0": lambda t: t.tensor([2]) % t.tensor([0]),
    "ragged lists": lambda t: t.tensor([[1, 2], [3]]),
    "tensor of strings": lambda t: t.tensor(["a"]),
    "tensor of numbers and strings": lambda t: t.tensor([1, "a"]),
    "tensor of bytes": lambda t: t.tensor([b"a"]),
    "tensor of an object": lambda t: t.tensor(object()),
    "negative size": lambda t: t.zeros(-1),
    "size that is a float": lambda t: t.zeros(1.5),
    "randint without a range": lambda t: t.randint(3, 3, (2,)),
    "arange without a step": lambda t: t.arange(0, 3, 0),
    "arange of strings": lambda t: t.arange("a"),
    "from_numpy of a list": lambda t: t.from_numpy([1]),
    "dtype by name": lambda t: t.zeros(2, dtype="float32"),
    "device unknown": lambda t: t.zeros(2, device="tpux"),
    "view to another size": lambda t: x23(t).view(7),
    "grad of another shape": lambda t: setattr(t.ones(2, requires_grad=True), "grad", t.ones(3)),
    "grad of another dtype": lambda t: setattr(t.ones(2, requires_grad=True), "grad", t.ones(2).double()),
    "grad that is no tensor": lambda t: setattr(t.ones(2, requires_grad=True), "grad", 3),
    "requires_grad of integers": lambda t: t.ones(2, dtype=t.int64).requires_grad_(),
    "requires_grad off for what was computed": lambda t: (t.ones(2, requires_grad=True) * 2).requires_grad_(
        False
    ),
    # kinds of arguments
    "sum of a list": lambda t: t.sum([1.0]),
    "sum of None": lambda t: t.sum(None),
    "sum by text": lambda t: x23(t).sum("a"),
    "sum by a float": lambda t: x23(t).sum(0.5),
    "max of text": lambda t: t.max("a"),
    "argmax of a list": lambda t: t.argmax([1.0, 2.0]),
    "all of None": lambda t: t.all(None),
    "isnan of a list": lambda t: t.isnan([1.0]),
    "matmul of a number": lambda t: x23(t) @ 2,
    "matmul with a list": lambda t: t.matmul(x23(t), [1.0]),
    "mm of text": lambda t: t.mm(x23(t), "a"),
    "where of text": lambda t: t.where("a", x23(t), x23(t)),
    "reshape by text": lambda t: x23(t).reshape("a"),
    "reshape by floats": lambda t: x23(t).reshape(2.0, 3.0),
    "view by None": lambda t: x23(t).view(None),
    "permute by text": lambda t: x23(t).permute("a", "b"),
    "transpose by text": lambda t: x23(t).transpose("a", 0),
    "unsqueeze by a float": lambda t: x23(t).unsqueeze(0.5),
    "flatten by text": lambda t: x23(t).flatten("a"),
    "expand by text": lambda t: x23(t).expand("a"),
    "chunk by text": lambda t: x23(t).chunk("a"),
    "split by text": lambda t: x23(t).split("a"),
    "cat of None": lambda t: t.cat(None),
    "cat of a tensor and a number": lambda t: t.cat([x23(t), 1]),
    "cat by text": lambda t: t.cat([x23(t)], "a"),
    "stack of numbers": lambda t: t.stack([1, 2]),
    "softmax by text": lambda t: t.softmax(x23(t), "a"),
    "clamp by text": lambda t: x23(t).clamp("a"),
    "pow of text": lambda t: x23(t).pow("a"),
    "comparison with text": lambda t: x23(t) < "a",
    "logical_and of a number": lambda t: t.logical_and(x23(t), 1),
    "bool of text as keepdim": lambda t: x23(t).sum(0, keepdim="a"),
    "unknown keyword": lambda t: x23(t).sum(nothing=1),
    "too many arguments": lambda t: t.exp(x23(t), 1, 2),
    "too few arguments": lambda t: t.exp(),
    "copy_ of text": lambda t: x23(t).copy_("a"),
    "fill_ with text": lambda t: x23(t).fill_("a"),
    "fill_ with many": lambda t: x23(t).fill_(t.ones(2)),
    "is_set_to a number": lambda t: x23(t).is_set_to(1),
    "is_same_size as a list": lambda t: x23(t).is_same_size([1]),
    # conversion
    "to text": lambda t: x23(t).to("nowhere"),
    "to a list": lambda t: x23(t).to([1]),
    "to a dtype by name": lambda t: x23(t).to(dtype="float64"),
    "type by a wrong name": lambda t: x23(t).type("FloatTensor"),
    "type by a list": lambda t: x23(t).type([1]),
    "type_as None": lambda t: x23(t).type_as(None),
    "int of nothing": lambda t: int(t.ones(0)),
    "item of nothing": lambda t: t.ones(0).item(),
    "float of an imaginary number": lambda t: float(t.tensor(1j)),
    "a number too big for int8": lambda t: t.tensor(300, dtype=t.int8),
    "a number too big for int64": lambda t: t.tensor(2**64),
    "numbers too big in a list": lambda t: t.tensor([1, 2**70]),
    "a negative number for uint8": lambda t: t.full((2,), -300, dtype=t.uint8),
    "a number too big to fill with": lambda t: t.ones(2, dtype=t.int8).fill_(300),
    "a number too big to set": lambda t: t.ones(2, dtype=t.int8).__setitem__(0, 300),
    "an object in a list": lambda t: t.tensor([object()]),
    "None in a list": lambda t: t.tensor([None]),
    "None as data": lambda t: t.tensor(None),
    "a dict as data": lambda t: t.tensor({"a": 1}),
    "ragged deeper": lambda t: t.tensor([[[1], [2]], [[3], [4, 5]]]),
    "a list beside a number": lambda t: t.tensor([1, [2]]),
    "an array of text": lambda t: t.from_numpy(np.array(["a"])),
    "an array of objects": lambda t: t.tensor(np.array([object()])),
    "as_tensor of text": lambda t: t.as_tensor("a"),
    "Tensor of ragged lists": lambda t: t.Tensor([[1.0], [1.0, 2.0]]),
    # creation
    "zeros of text": lambda t: t.zeros("a"),
    "zeros of None": lambda t: t.zeros(None),
    "ones of a negative size": lambda t: t.ones(2, -3),
    "full without a value": lambda t: t.full((2,)),
    "full of text": lambda t: t.full((2,), "a"),
    "eye of a negative size": lambda t: t.eye(-1),
    "eye of a float": lambda t: t.eye(2.5),
    "linspace of negative steps": lambda t: t.linspace(0, 1, -1),
    "arange in the wrong direction": lambda t: t.arange(0, 3, -1),
    "arange to infinity": lambda t: t.arange(float("inf")),
    "rand of integers": lambda t: t.rand(2, dtype=t.int64),
    "randn of bools": lambda t: t.randn(2, dtype=t.bool),
    "randperm of a negative number": lambda t: t.randperm(-1),
    "requires_grad for integers": lambda t: t.zeros(2, dtype=t.int64, requires_grad=True),
    "zeros_like of a list": lambda t: t.zeros_like([1.0]),
    "device of a wrong kind": lambda t: t.zeros(2, device=1.5),
    "device with a wrong index": lambda t: t.zeros(2, device="cuda:x"),
    "dtype of a wrong kind": lambda t: t.zeros(2, dtype=3),
    # matrices and reductions
    "dot of sizes": lambda t: t.dot(t.ones(2), t.ones(3)),
    "dot of dtypes": lambda t: t.dot(t.ones(2), t.ones(2).double()),
    "mm of sizes": lambda t: t.mm(x23(t), x23(t)),
    "bmm of batches": lambda t: t.bmm(t.ones(2, 3, 4), t.ones(3, 4, 5)),
    "mean of bools": lambda t: (x23(t) > 0).mean(),
    "std of integers": lambda t: t.ones(2, dtype=t.int64).std(),
    "min of nothing": lambda t: t.ones(0).min(),
    "argmin of nothing along": lambda t: t.ones(2, 0).argmin(1),
    "max of complex": lambda t: t.tensor([1j]).max(),
    "order of complex": lambda t: t.tensor([1j]) < t.tensor([1j]),
    "sum along text": lambda t: x23(t).sum(dim="rows"),
    "norm of integers": lambda t: t.ones(2, dtype=t.int64).norm(),
    # autograd
    "backward of many": lambda t: (t.ones(2, requires_grad=True) * 2).backward(),
    "backward without a graph": lambda t: t.ones(()).backward(),
    "backward with a gradient of another shape": lambda t: (t.ones(2, requires_grad=True) * 2).backward(
        t.ones(3)
    ),
    "backward twice": lambda t: [
        each.backward() for each in [(t.ones(2, requires_grad=True) ** 2).sum()] for _ in range(2)
    ],
    "grad of what is not used": lambda t: t.autograd.grad(
        (t.ones(2, requires_grad=True) * 2).sum(), t.ones(2, requires_grad=True)
    ),
    "grad of what needs none": lambda t: t.autograd.grad(t.ones(2, requires_grad=True).sum(), t.ones(2)),
    "an in-place change of a leaf": lambda t: t.ones(2, requires_grad=True).add_(1),
    "an in-place change of a view of a leaf": lambda t: t.ones(2, requires_grad=True)[0].add_(1),
    "an in-place change of expanded memory": lambda t: t.ones(3).expand(2, 3).add_(1),
    "out= in a graph": lambda t: t.add(t.ones(2, requires_grad=True), 1, out=t.ones(2)),
    "out= that is no tensor": lambda t: t.add(t.ones(2), 1, out=[1]),
    "out= of another category": lambda t: t.add(t.ones(2), 1.5, out=t.ones(2, dtype=t.int64)),
    "a hook on what needs no gradient": lambda t: t.ones(2).register_hook(lambda g: g),
    "retain_grad of what needs no gradient": lambda t: t.ones(2).retain_grad(),
    "deepcopy of a result": lambda t: copy.deepcopy(t.ones(2, requires_grad=True) * 2),
    "requires_grad by text": lambda t: t.ones(2).requires_grad_("a"),
    "detach_ of a view": lambda t: t.ones(2, requires_grad=True)[:1].detach_(),
    "data that is no tensor": lambda t: setattr(t.ones(2), "data", [1]),
    "array of what requires grad": lambda t: np.asarray(t.ones(2, requires_grad=True)),
    "in-place change after saving": lambda t: (lambda a: [(b := a.exp()), b.add_(1), b.sum().backward()])(
        t.ones(2, requires_grad=True)
    ),
    # layers and losses
    "Conv2d groups": lambda t: t.nn.Conv2d(3, 4, 3, groups=2),
    "Conv2d out groups": lambda t: t.nn.Conv2d(4, 3, 3, groups=2),
    "Conv2d no groups": lambda t: t.nn.Conv2d(4, 4, 3, groups=0),
    "Conv2d padding name": lambda t: t.nn.Conv2d(4, 4, 3, padding="some"),
    "Conv2d same with stride": lambda t: t.nn.Conv2d(4, 4, 3, padding="same", stride=2),
    "Conv2d padding mode": lambda t: t.nn.Conv2d(4, 4, 3, padding_mode="bad"),
    "conv of channels": lambda t: t.nn.Conv2d(3, 4, 3)(t.ones(1, 2, 5, 5)),
    "conv of rank": lambda t: t.nn.Conv2d(3, 4, 3)(t.ones(5, 5)),
    "conv of a small input": lambda t: t.nn.Conv2d(1, 1, 5)(t.ones(1, 1, 3, 3)),
    "conv of dtypes": lambda t: t.nn.Conv2d(1, 1, 3)(t.ones(1, 1, 3, 3).double()),
    "conv of a wrong bias": lambda t: t.nn.functional.conv2d(
        t.ones(1, 1, 3, 3), t.ones(2, 1, 1, 1), t.ones(3)
    ),
    "conv stride 0": lambda t: t.nn.functional.conv2d(t.ones(1, 1, 3, 3), t.ones(2, 1, 1, 1), stride=0),
    "conv negative padding": lambda t: t.nn.functional.conv2d(
        t.ones(1, 1, 3, 3), t.ones(2, 1, 1, 1), padding=-1
    ),
    "pool of a small input": lambda t: t.nn.MaxPool2d(4)(t.ones(1, 1, 3, 3)),
    "pool of rank": lambda t: t.nn.MaxPool2d(2)(t.ones(3)),
    "pool of padding": lambda t: t.nn.MaxPool2d(2, padding=2)(t.ones(1, 1, 3, 3)),
    "BatchNorm2d of rank": lambda t: t.nn.BatchNorm2d(3)(t.ones(2, 3)),
    "BatchNorm1d of rank": lambda t: t.nn.BatchNorm1d(3)(t.ones(2, 3, 4, 5)),
    "BatchNorm of channels": lambda t: t.nn.BatchNorm2d(3)(t.ones(2, 4, 2, 2)),
    "BatchNorm of one value": lambda t: t.nn.BatchNorm1d(3)(t.ones(1, 3)),
    "Dropout p": lambda t: t.nn.Dropout(1.5),
    "Linear of sizes": lambda t: t.nn.Linear(3, 2)(t.ones(2, 4)),
    "Linear of integers": lambda t: t.nn.Linear(3, 2)(t.ones(2, 3, dtype=t.int64)),
    "Flatten out of range": lambda t: t.nn.Flatten(3)(t.ones(2, 3)),
    "cross entropy of batch": lambda t: t.nn.CrossEntropyLoss()(t.ones(3, 2), t.tensor([0, 1])),
    "cross entropy of a class": lambda t: t.nn.CrossEntropyLoss()(t.ones(2, 2), t.tensor([0, 2])),
    "cross entropy of float classes": lambda t: t.nn.CrossEntropyLoss()(t.ones(2, 2), t.tensor([0.0, 1.0])),
    "cross entropy of int32 classes": lambda t: t.nn.CrossEntropyLoss()(
        t.ones(2, 2), t.tensor([0, 1], dtype=t.int32)
    ),
    "cross entropy smoothing": lambda t: t.nn.CrossEntropyLoss(label_smoothing=1.5)(
        t.ones(2, 2), t.tensor([0, 1])
    ),
    "cross entropy reduction": lambda t: t.nn.CrossEntropyLoss(reduction="max")(
        t.ones(2, 2), t.tensor([0, 1])
    ),
    "cross entropy weight": lambda t: t.nn.CrossEntropyLoss(weight=t.ones(3))(t.ones(2, 2), t.tensor([0, 1])),
    "mse reduction": lambda t: t.nn.MSELoss(reduction="max")(t.ones(2), t.ones(2)),
    "kaiming of 1-d": lambda t: t.nn.init.kaiming_uniform_(t.ones(3)),
    "gain of an unknown name": lambda t: t.nn.init.calculate_gain("bad"),
    "unknown attribute": lambda t: t.nn.Linear(1, 1).nothing,
    "unknown method": lambda t: t.ones(1).nothing(),
}


def _raised(run: Callable[[Any], Any], library: Any) -> BaseException | None:
    try:
        run(library)
    except Exception as fault:
        return fault
    return None


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore")
def test_wrong_arguments_raise_the_class_that_pytorch_raises(name: str, torch: Any) -> None:
    expected = _raised(WRONG[name], torch)
    assert expected is not None, "PyTorch does not refuse this"
    found = _raised(WRONG[name], distrt)
    assert found is not None, f"nothing was raised; PyTorch: {expected!r}"
    wanted = next(each for each in BUILTINS if isinstance(expected, each))
    assert isinstance(found, wanted), f"{found!r} instead of {expected!r}"


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore")
def test_messages_speak_of_tensors(name: str) -> None:
    found = _raised(WRONG[name], distrt)
    assert str(found).strip()
    assert not FOREIGN.search(str(found)), found


#: Texts that scripts search for, or that people look up.
SAID: dict[str, Callable[[Any], Any]] = {
    "an item of another size": lambda t: operator.setitem(x34(t), 0, t.ones(5)),
    "an item of more dims": lambda t: operator.setitem(x34(t), 0, x23(t)),
    "a slice between floats": lambda t: t.arange(10)[2.0:5],
    "a float slice of rows": lambda t: x34(t)[:1.5, 0],
    "where by floats": lambda t: t.where(t.ones(2), t.ones(2), 0),
    "where by floats, of numbers": lambda t: t.where(t.ones(2), 1, 0),
    "where by integers, of numbers": lambda t: t.where(t.tensor([1, 0]), 1, 0),
    "masked_fill by floats": lambda t: x23(t).masked_fill(x23(t), 0),
    "add of a number and an array": lambda t: t.add(2, np.ones(2)),
    "div of an array": lambda t: t.div(np.ones(2), 2),
    "fft of an array": lambda t: t.fft.fft(np.ones(2)),
    "slogdet of an array": lambda t: t.linalg.slogdet(np.ones((2, 2))),
    "cov of an array": lambda t: t.cov(np.ones((2, 2))),
    "allclose of dtypes": lambda t: t.allclose(t.ones(2), t.ones(2).double()),
}


@pytest.mark.parametrize("name", SAID)
def test_a_message_holds_pytorchs_text(name: str, torch: Any) -> None:
    expected, found = _raised(SAID[name], torch), _raised(SAID[name], distrt)
    wanted = next(each for each in BUILTINS if isinstance(expected, each))
    assert isinstance(found, wanted), f"{found!r} instead of {expected!r}"
    assert str(expected) in str(found)
