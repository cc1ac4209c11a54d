"""The tensor as an object: attributes, conversions, Python's protocols, copies and pickles, against PyTorch."""

from __future__ import annotations

import copy
import operator
import pickle
import warnings
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
    BufferError,
    RuntimeError,
    AssertionError,
)

x23 = lambda t: t.arange(6.0).reshape(2, 3)
graph = lambda t: t.ones(2, requires_grad=True) * 2
leaf = lambda t: t.ones(2, requires_grad=True)
again = lambda value: pickle.loads(pickle.dumps(value))

#: Each is run on both libraries; what it gives, or the class of what it raises, must be the same.
SAME: dict[str, Callable[[Any], Any]] = {
    # sizes
    "shape": lambda t: x23(t).shape,
    "shape plus a tuple": lambda t: operator.add(x23(t).shape, (1,)),
    "a tuple plus shape": lambda t: operator.add((1,), x23(t).shape),
    "shape plus a list": lambda t: operator.add(x23(t).shape, [1]),
    "shape times 2": lambda t: (x23(t).shape * 2, 2 * x23(t).shape),
    "slice of a shape": lambda t: (x23(t).shape[:1], x23(t).shape[-1]),
    "shape out of range": lambda t: x23(t).shape[5],
    "Size of a float": lambda t: t.Size([1, 2.5]),
    "Size of a tensor": lambda t: t.Size([t.tensor(2)]),
    "Size of an int": lambda t: t.Size(3),
    "Size of text": lambda t: t.Size("ab"),
    "Size of nothing": lambda t: t.Size(),
    "Size numel": lambda t: (x23(t).shape.numel(), t.Size([]).numel()),
    "Size pickled": lambda t: again(x23(t).shape),
    "Size equals a tuple": lambda t: (x23(t).shape == (2, 3), x23(t).shape == [2, 3]),
    "Size hashes as a tuple": lambda t: hash(x23(t).shape) == hash((2, 3)),
    "size of a dim": lambda t: (x23(t).size(0), x23(t).size(-1), x23(t).size(dim=1)),
    "size out of range": lambda t: x23(t).size(5),
    "size by text": lambda t: x23(t).size("x"),
    "size of 0-d": lambda t: t.tensor(1).size(0),
    "stride": lambda t: (x23(t).stride(), x23(t).stride(-1), x23(t).t().stride()),
    "stride out of range": lambda t: x23(t).stride(5),
    "stride of new dims": lambda t: (
        x23(t)[None].stride(),
        x23(t)[:, None].stride(),
        x23(t)[..., None].stride(),
    ),
    "stride of unsqueeze": lambda t: (x23(t).unsqueeze(0).stride(), x23(t).unsqueeze(-1).stride()),
    "stride of nothing": lambda t: (t.zeros(2, 0, 3).stride(), t.zeros(0).stride(), t.tensor(1).stride()),
    "stride of expand": lambda t: (x23(t).expand(4, 2, 3).stride(), t.ones(3, 1).expand(3, 4).stride()),
    "counts": lambda t: (x23(t).numel(), x23(t).nelement(), x23(t).dim(), x23(t).ndim, x23(t).ndimension()),
    "bytes": lambda t: (x23(t).itemsize, x23(t).element_size(), x23(t).nbytes, t.ones(3).bfloat16().nbytes),
    "is_same_size": lambda t: (x23(t).is_same_size(t.ones(2, 3)), x23(t).is_same_size(t.ones(3))),
    # memory
    "is_contiguous": lambda t: (
        x23(t).is_contiguous(),
        x23(t).t().is_contiguous(),
        x23(t)[:, :1].is_contiguous(),
    ),
    "is_contiguous of size 1": lambda t: t.zeros(2, 1, 3).transpose(0, 1).is_contiguous(),
    "is_contiguous of expand": lambda t: x23(t).expand(3, 2, 3).is_contiguous(),
    "copies in an order of dims": lambda t: [
        copied.stride()
        for last in [t.ones(2, 3, 4, 5).to(memory_format=t.channels_last)]
        for copied in [
            last,
            last.clone(),
            t.clone(last, memory_format=t.contiguous_format),
            last.clone(memory_format=t.preserve_format),
            last.to(memory_format=t.contiguous_format),
            last.to(t.float64),
            last.to(t.float64, memory_format=t.contiguous_format),
            last.contiguous(),
            last + 1,
            t.ones(3, 4).t().clone(),
            t.ones(3, 4).t().clone(memory_format=t.contiguous_format),
            t.ones(1, 4).expand(3, 4).clone(),
            t.ones(6, 4)[::2].t().clone(),
        ]
    ],
    "is_contiguous in a format": lambda t: (
        t.ones(1, 2, 3, 4).is_contiguous(memory_format=t.channels_last),
        t.ones(1, 1, 3, 4).is_contiguous(memory_format=t.channels_last),
        x23(t).is_contiguous(memory_format=t.channels_last),
        t.ones(2, 3, 4, 5).permute(0, 3, 1, 2).is_contiguous(memory_format=t.channels_last),
        x23(t).is_contiguous(memory_format=t.contiguous_format),
    ),
    "to channels_last": lambda t: t.ones(1, 2, 3, 4).to(memory_format=t.channels_last).stride(),
    "to channels_last of 2-d": lambda t: x23(t).to(memory_format=t.channels_last),
    "contiguous in channels_last": lambda t: (
        t.ones(2, 3, 2, 2).contiguous(memory_format=t.channels_last).stride()
    ),
    "contiguous in channels_last_3d": lambda t: (
        t.ones(2, 3, 2, 2, 2).contiguous(memory_format=t.channels_last_3d).stride()
    ),
    "contiguous back": lambda t: (
        t.arange(24).reshape(1, 2, 3, 4).contiguous(memory_format=t.channels_last).contiguous()
    ),
    "to preserve_format": lambda t: (lambda a: a.to(memory_format=t.preserve_format) is a)(x23(t)),
    "a cast keeps the order": lambda t: t.ones(2, 3).t().double().stride(),
    "storage_offset": lambda t: (
        x23(t).storage_offset(),
        x23(t)[1, 1:].storage_offset(),
        x23(t).t().storage_offset(),
    ),
    "data_ptr": lambda t: (lambda a: (a.data_ptr() == a[0].data_ptr(), a[1].data_ptr() - a.data_ptr()))(
        x23(t)
    ),
    "data_ptr of nothing": lambda t: t.ones(0).data_ptr(),
    "is_set_to": lambda t: (lambda a: (a.is_set_to(a), a.is_set_to(a[:]), a.is_set_to(a[0])))(x23(t)),
    "is_view": lambda t: (x23(t).clone()._is_view(), x23(t)[0]._is_view()),
    "dim_order": lambda t: (x23(t).dim_order(), x23(t).t().dim_order()),
    "shared": lambda t: (x23(t).is_shared(), x23(t).share_memory_().is_shared()),
    "set_": lambda t: x23(t).set_(t.ones(2)),
    "strided": lambda t: (
        x23(t).layout,
        t.strided,
        t.sparse_coo,
        t.channels_last,
        again(t.strided) is t.strided,
    ),
    # what it is
    "flags": lambda t: [
        getattr(x23(t), f"is_{name}")
        for name in "cpu cuda sparse sparse_csr quantized meta mkldnn mps xpu xla nested leaf".split()
    ],
    "questions": lambda t: [
        getattr(x23(t), f"is_{name}")()
        for name in "floating_point complex signed inference conj neg pinned distributed".split()
    ],
    "questions as functions": lambda t: [
        getattr(t, f"is_{name}")(x23(t))
        for name in "floating_point complex signed inference conj neg distributed tensor storage".split()
    ],
    "a question about a number": lambda t: t.is_floating_point(1),
    "is_nonzero": lambda t: (t.is_nonzero(t.tensor(1)), t.tensor([0.0]).is_nonzero()),
    "numel": lambda t: t.numel(x23(t)),
    "numel of a number": lambda t: t.numel(1),
    "get_device": lambda t: (x23(t).get_device(), t.get_device(x23(t))),
    "typename": lambda t: (t.typename(x23(t)), t.typename(1), t.typename(int)),
    "an unknown attribute": lambda t: x23(t).nothing,
    "shape cannot be set": lambda t: setattr(x23(t), "shape", (1,)),
    "grad_fn cannot be set": lambda t: setattr(x23(t), "grad_fn", None),
    "requires_grad is a bool": lambda t: setattr(x23(t), "requires_grad", 1),
    "requires_grad_ takes a bool": lambda t: x23(t).requires_grad_("yes"),
    "data is a tensor": lambda t: setattr(x23(t), "data", 3),
    "retains_grad": lambda t: (graph(t).retains_grad, leaf(t).retains_grad),
    "imag of real numbers": lambda t: x23(t).imag,
    "real of real numbers": lambda t: x23(t).real,
    "parts": lambda t: (t.tensor([1 + 2j]).real, t.tensor([1 + 2j]).imag),
    "parts that are set": lambda t: (lambda a: (setattr(a, "real", 5), setattr(a, "imag", t.ones(1)), a))(
        t.tensor([1 + 2j])
    ),
    "T": lambda t: (x23(t).T, t.ones(3).T, t.tensor(1.0).T, t.ones(2, 1, 3).T.shape),
    "mT": lambda t: (x23(t).mT, t.ones(2, 1, 3).mT.shape, t.tensor(1.0).mT),
    "mT of 1-d": lambda t: t.ones(3).mT,
    "H": lambda t: (x23(t).H, t.tensor([[1 + 2j]]).H, t.tensor(1.0).H),
    "H of 1-d": lambda t: t.ones(3).H,
    "H of 3-d": lambda t: t.ones(3, 1, 1).H,
    "mH": lambda t: (t.tensor([[[1 + 2j, 1j]]]).mH, t.tensor(1.0).mH),
    "mH of 1-d": lambda t: t.ones(3).mH,
    "+": lambda t: +x23(t),
    # devices
    "device": lambda t: (x23(t).device, str(x23(t).device), x23(t).device.type, x23(t).device.index),
    "device cuda:0": lambda t: t.device("cuda:0"),
    "device cuda, 1": lambda t: (
        t.device("cuda", 1),
        str(t.device("cuda", 1)),
        t.device(type="cuda", index=1),
    ),
    "device of a device": lambda t: t.device(t.device("cpu")),
    "device of others": lambda t: (t.device("meta"), t.device("mps"), t.device("xpu:2"), t.device("cpu:0")),
    "device comparison": lambda t: (
        t.device("cpu") == "cpu",
        t.device("cpu") != "cpu",
        t.device("cpu") == t.device("cpu"),
        t.device("cpu") == t.device("cpu:0"),
    ),
    "device hash": lambda t: hash(t.device("cuda:1")) == hash(t.device("cuda", 1)),
    "device pickled": lambda t: again(t.device("cuda:1")),
    **{
        f"device {text!r}": lambda t, text=text: t.device(text)
        for text in ("tpux", "cuda:a", "cuda:", "cuda:-1", "cuda:01", "", None, 1.5, True, -1)
    },
    "device without arguments": lambda t: t.device(),
    "device with two indices": lambda t: t.device("cuda:0", 1),
    "device with text for an index": lambda t: t.device("cpu", "x"),
    "to cuda": lambda t: x23(t).to("cuda"),
    "to 0": lambda t: x23(t).to(0),
    "cuda()": lambda t: x23(t).cuda(),
    "zeros on cuda": lambda t: t.zeros(2, device="cuda"),
    "pin_memory": lambda t: x23(t).pin_memory(),
    # conversion
    "to nothing": lambda t: (lambda a: a.to() is a)(x23(t)) if t is distrt else True,
    "to its own dtype": lambda t: (lambda a: a.to(t.float32) is a and a.to("cpu") is a and a.cpu() is a)(
        x23(t)
    ),
    "to a device and a dtype": lambda t: x23(t).to("cpu", t.float64),
    "to a dtype and a device": lambda t: x23(t).to(t.float64, "cpu"),
    "to with keywords": lambda t: x23(t).to(device=t.device("cpu"), dtype=t.int32, non_blocking=True),
    "to with copy": lambda t: (lambda a: a.to(t.float32, copy=True) is a)(x23(t)),
    "to with positional copy": lambda t: (lambda a: a.to(t.float32, False, True) is a)(x23(t)),
    "to with everything": lambda t: x23(t).to("cpu", t.float64, True, True),
    "to like another": lambda t: x23(t).to(t.ones(1).bfloat16()),
    "to of types": lambda t: (x23(t).to(float), x23(t).to(int), x23(t).to(bool)),
    "to of text": lambda t: x23(t).to("bad"),
    "to of a dtype by name": lambda t: x23(t).to(dtype="float32"),
    "to None": lambda t: x23(t).to(None),
    "to copies within the graph": lambda t: leaf(t).to(t.float32, copy=True),
    "casts": lambda t: [
        getattr(x23(t), name)()
        for name in "bfloat16 bool byte cdouble cfloat char double float half int long short".split()
    ],
    "type": lambda t: [
        getattr(x23(t), name)().type()
        for name in "bfloat16 bool byte cdouble cfloat char double float half int long short".split()
    ],
    "type by name": lambda t: x23(t).type("torch.DoubleTensor"),
    "type by dtype": lambda t: (x23(t).type(t.float16), (lambda a: a.type(a.dtype) is a)(x23(t))),
    "type by type": lambda t: x23(t).type(t.LongTensor),
    "type by a bad name": lambda t: x23(t).type("bad"),
    "type by a number": lambda t: x23(t).type(3),
    "type_as": lambda t: x23(t).type_as(t.ones(1).int()),
    "type_as a number": lambda t: x23(t).type_as(1),
    "new": lambda t: (x23(t).new([1, 2]), x23(t).new(), x23(t).new(2, 3).shape, t.arange(3).new([1, 2])),
    "new of a Size": lambda t: x23(t).new(t.Size([2])).shape,
    "apply_": lambda t: x23(t).apply_(lambda v: v + 1),
    "apply_ in a graph": lambda t: leaf(t).apply_(lambda v: v),
    "map_": lambda t: x23(t).map_(t.ones(3), lambda a, b: a + 2 * b),
    # old constructors
    "Tensor of sizes": lambda t: (t.Tensor(2, 3).shape, t.Tensor(3).shape, t.Tensor(t.Size([2])).shape),
    "Tensor of data": lambda t: (
        t.Tensor([1, 2]),
        t.Tensor((2, 3)),
        t.Tensor(np.arange(3)),
        t.Tensor(range(3)),
    ),
    "Tensor of nothing": lambda t: (t.Tensor(), t.Tensor(device="cpu")),
    "Tensor of a float": lambda t: t.Tensor(2.5),
    "Tensor of a bool": lambda t: t.Tensor(True),
    "Tensor of text": lambda t: t.Tensor("a"),
    "Tensor of a negative size": lambda t: t.Tensor(-1),
    "Tensor of a tensor": lambda t: (lambda a: t.Tensor(a).data_ptr() == a.data_ptr())(x23(t)),
    "LongTensor": lambda t: (t.LongTensor([1, 2]), t.LongTensor([1.5, 2]), t.LongTensor(2).dtype),
    "FloatTensor of another type": lambda t: t.FloatTensor(t.arange(3)),
    "BoolTensor": lambda t: t.BoolTensor([1, 0]),
    "isinstance of a type": lambda t: (isinstance(x23(t), t.FloatTensor), isinstance(x23(t), t.LongTensor)),
    "FloatTensor shown": lambda t: (repr(t.FloatTensor), t.FloatTensor.dtype),
    # numbers
    "item": lambda t: [t.tensor(v).item() for v in (1, 2.5, True, 1 + 2j)],
    "item of bfloat16": lambda t: (t.tensor([1.5]).bfloat16().item(), t.tensor([1.5]).bfloat16().tolist()),
    "item of many": lambda t: x23(t).item(),
    "tolist": lambda t: (
        x23(t).tolist(),
        t.tensor(3).tolist(),
        t.tensor([1 + 2j]).tolist(),
        t.ones(0, 2).tolist(),
    ),
    "int": lambda t: (int(t.tensor(2.7)), int(t.tensor([[-2.7]])), int(t.tensor(True))),
    "int of nan": lambda t: int(t.tensor(float("nan"))),
    "int of inf": lambda t: int(t.tensor(float("inf"))),
    "int of many": lambda t: int(x23(t)),
    "int of complex": lambda t: int(t.tensor(1 + 2j)),
    "float of complex": lambda t: float(t.tensor(1 + 2j)),
    "float of real complex": lambda t: float(t.tensor(1 + 0j)),
    "float of half": lambda t: (float(t.tensor(1.5).half()), float(t.tensor(1.5).bfloat16())),
    "complex": lambda t: (complex(t.tensor(2.0)), complex(t.tensor(1 + 2j))),
    "complex of many": lambda t: complex(x23(t)),
    "bool": lambda t: (bool(t.tensor([[0.0]])), bool(t.tensor(2)), bool(t.tensor(0j))),
    "bool of nothing": lambda t: bool(t.ones(0)),
    "index of a list": lambda t: (
        [1, 2, 3][t.tensor(1)],
        [1, 2, 3][t.tensor([1])],
        [1, 2, 3][t.tensor(True)],
    ),
    "index by a float": lambda t: [1, 2, 3][t.tensor(1.0)],
    "index by many": lambda t: [1, 2, 3][t.tensor([1, 2])],
    "range": lambda t: range(t.tensor(3)),
    # containers
    "len": lambda t: len(x23(t)),
    "iteration": lambda t: list(x23(t)),
    "iteration in a graph": lambda t: [(each.item(), each.requires_grad) for each in graph(t)],
    "contains": lambda t: (2.0 in x23(t), 7 in x23(t), t.tensor(2.0) in x23(t), x23(t)[0] in x23(t)),
    "contains text": lambda t: "x" in x23(t),
    "contains None": lambda t: None in x23(t),
    "contains a list": lambda t: [1.0] in x23(t),
    "reversed": lambda t: (list(reversed(x23(t))), reversed(t.tensor(1))),
    "format": lambda t: (f"{t.tensor(1.5):.2f}", f"{t.tensor(3):5d}", f"{t.tensor(1.5)}", f"{x23(t)}"),
    "format of many": lambda t: f"{x23(t):.2f}",
    "format of one in a row": lambda t: f"{t.tensor([1.5]):.2f}",
    "format in a graph": lambda t: f"{leaf(t).sum():.1f}",
    "hash": lambda t: (lambda a: (len({a, a}), a in {a: 1}))(x23(t)),
    # copies
    "copy": lambda t: (lambda a: (copy.copy(a) is a, copy.copy(a).data_ptr() == a.data_ptr()))(x23(t)),
    "copy of a leaf": lambda t: copy.copy(leaf(t)),
    "copy of a result": lambda t: copy.copy(graph(t)),
    "deepcopy of a result": lambda t: copy.deepcopy(graph(t)),
    "deepcopy of a leaf": lambda t: copy.deepcopy(leaf(t)),
    "deepcopy of a parameter": lambda t: copy.deepcopy(t.nn.Parameter(t.ones(2))),
    "pickle of a result": lambda t: again(graph(t)),
    "pickle of a parameter": lambda t: again(t.nn.Parameter(t.ones(2))),
    "pickle of a dtype": lambda t: [again(d) is d for d in (t.float32, t.bfloat16, t.int64, t.bool)],
    "pickle of dtypes of tensors": lambda t: [
        again(x23(t).to(d)) for d in (t.float16, t.bfloat16, t.float64, t.int8, t.bool, t.complex64)
    ],
    "pickle of strides": lambda t: [
        again(v).stride() for v in (x23(t).t(), x23(t)[:, ::2], x23(t).expand(2, 2, 3))
    ],
    "pickle of a generator": lambda t: again(t.Generator().manual_seed(3)).initial_seed(),
    "deepcopy of a generator": lambda t: copy.deepcopy(t.Generator().manual_seed(3)).initial_seed(),
    # what is not there
    "to_dense": lambda t: (lambda a: a.to_dense() is a)(x23(t)) if t is distrt else True,
    "coalesce": lambda t: x23(t).coalesce(),
    "is_coalesced": lambda t: x23(t).is_coalesced(),
    "make_subclass": lambda t: t.Tensor._make_subclass(t.nn.Parameter, x23(t), True),
    "make_subclass of integers": lambda t: t.Tensor._make_subclass(t.nn.Parameter, t.arange(2), True),
    "constants": lambda t: (t.pi, t.e, t.inf, t.nan, t.newaxis),
}


def _outcome(run: Callable[[Any], Any], library: Any) -> Any:
    try:
        return _plain(run(library))
    except Exception as fault:
        return next(each for each in BUILTINS if isinstance(fault, each))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        return type(value)(_plain(each) for each in value)
    return value if isinstance(value, str) else repr(value)


@pytest.mark.parametrize("name", SAME)
@pytest.mark.filterwarnings("ignore")
def test_the_same_as_in_pytorch(name: str, torch: Any) -> None:
    expected, found = (_outcome(SAME[name], library) for library in (torch, distrt))
    # PyTorch raises this where it was built without CUDA, and RuntimeError elsewhere.
    if expected is AssertionError:
        assert found in (AssertionError, RuntimeError)
    else:
        assert found == expected


def test_a_missing_gpu_is_caught_as_either_of_pytorchs_classes() -> None:
    for builtin in (AssertionError, RuntimeError):
        with pytest.raises(builtin, match="CUDA"):
            distrt.ones(2).cuda()


def test_with_device_and_default_device() -> None:
    assert distrt.get_default_device() == distrt.device("cpu")
    with distrt.device("cuda"):
        assert distrt.get_default_device() == distrt.device("cuda")
        with pytest.raises(RuntimeError):
            distrt.zeros(2)
        with distrt.device("cpu"):
            assert distrt.zeros(2).device.type == "cpu"
    assert distrt.get_default_device() == distrt.device("cpu")
    distrt.set_default_device("cuda:0")
    try:
        assert distrt.get_default_device() == distrt.device("cuda", 0)
    finally:
        distrt.set_default_device(None)
    assert distrt.zeros(2).device == distrt.device("cpu")


def test_deepcopy_keeps_shared_memory_shared() -> None:
    whole = distrt.arange(6.0).reshape(2, 3)
    copied, part = copy.deepcopy([whole, whole[1]])
    part[0] = 100
    assert copied[1, 0] == 100
    assert whole[1, 0] == 3


def test_deepcopy_copies_gradients_attributes_and_strides_once() -> None:
    x = distrt.ones(2, 3).t().requires_grad_()
    x.grad = distrt.ones(3, 2)
    x.note = ["a"]
    a, b = copy.deepcopy((x, x))
    assert a is b
    assert a.stride() == x.stride()
    assert a.note == ["a"] and a.note is not x.note
    a.grad.zero_()
    assert x.grad.sum() == 6


def test_deepcopy_of_a_parameter_leaves_its_gradient(torch: Any) -> None:
    for library in (distrt, torch):
        parameter = library.nn.Parameter(library.ones(2))
        parameter.grad = library.ones(2)
        assert copy.deepcopy(parameter).grad is None


def test_views_share_memory_after_pickling() -> None:
    whole = distrt.arange(6.0).reshape(2, 3)
    loaded, part = pickle.loads(pickle.dumps([whole, whole[1, 1:]]))
    part.fill_(9)
    assert loaded.tolist() == [[0, 1, 2], [3, 9, 9]]
    assert part.storage_offset() == 4


def test_pickles_carry_attributes_and_not_the_gradient() -> None:
    x = distrt.ones(2, requires_grad=True)
    x.grad = distrt.ones(2)
    x.note = 3
    loaded = pickle.loads(pickle.dumps(x))
    assert (loaded.note, loaded.grad, loaded.requires_grad) == (3, None, True)


class Marked(distrt.Tensor):
    """A subclass that a user writes."""


def test_subclasses_keep_their_class_where_it_can_be_kept() -> None:
    marked = Marked([1.0, 2.0])
    assert repr(marked) == "Marked([1., 2.])"
    assert (marked + 1).tolist() == [2, 3]
    assert isinstance(marked, distrt.Tensor)
    assert type(copy.deepcopy(marked)) is Marked
    assert type(pickle.loads(pickle.dumps(marked))) is Marked
    plain = distrt.ones(2, requires_grad=True)
    seen = plain.as_subclass(Marked)
    assert type(seen) is Marked and seen.data_ptr() == plain.data_ptr()
    (seen * 3).sum().backward()
    assert plain.grad.tolist() == [3, 3]


def test_reading_grad_of_what_is_no_leaf_warns(torch: Any) -> None:
    for library in (distrt, torch):
        y = library.ones(2, requires_grad=True) * 2
        with pytest.warns(UserWarning, match="not a leaf"):
            assert y.grad is None
        y.retain_grad()
        assert y.grad is None and y.retains_grad


@pytest.mark.parametrize(
    ("use", "warns"),
    [
        (lambda t, x: float(x), True),
        (lambda t, x: complex(x), True),
        (lambda t, x: t.as_tensor([x, x]), True),
        (lambda t, x: float(x.detach()), False),
        (lambda t, x: (x.item(), int(x), bool(x), f"{x:.1f}"), False),
        (lambda t, x: t.no_grad()(lambda: float(x))(), False),
    ],
)
def test_a_number_of_what_requires_grad_warns(use: Any, warns: bool, torch: Any) -> None:
    torch.set_warn_always(True)  # otherwise PyTorch says it once in a process
    try:
        for library in (distrt, torch):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                use(library, library.tensor(1.5, requires_grad=True))
            assert bool(caught) == warns
            assert all(
                "Converting a tensor with requires_grad=True to a scalar" in str(w.message) for w in caught
            )
    finally:
        torch.set_warn_always(False)


def test_casting_complex_to_real_warns() -> None:
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        assert distrt.tensor([1 + 2j]).float().tolist() == [1]


def test_memory_that_is_shared_moves_with_base_and_views() -> None:
    base = distrt.zeros(4, requires_grad=False)
    view = base[1:]
    view.share_memory_()
    assert base.is_shared() and view.is_shared()
    view[0] = 5
    assert base.tolist() == [0, 5, 0, 0]
