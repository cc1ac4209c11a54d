"""The meta device beside PyTorch's: what tensors, modules and files do there, and the whole op table."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.errors import NoDataError
from tests.oracle.compare import is_floating, outputs_of, to_distrt, to_torch
from tests.oracle.table import CASES, Case
from tests.oracles import require_torch

torch = require_torch()
PARTS = 8

#: Rows that work here, and not in PyTorch, which has no rule for them.
ONLY_HERE = (
    "attention.fused, masked and causal",
    "bincount",
    "binomial",
    "combinations",
    "corrcoef",
    "corrcoef of complex",
    "cov",
    "cov of integers",
    "geqrf",
    "istft",
    "linalg_lstsq, smooth",
    "linalg_lstsq.None",
    "linalg_lstsq.gels",
    "linalg_lstsq.gelsd",
    "nearest-exact",
    "resample",
    "to_device",
)


def _x(t: Any, *sizes: int, **options: Any) -> Any:
    return t.empty(*(sizes or (2, 3)), device="meta", **options)


def _saved(t: Any, value: Any, **options: Any) -> Any:
    file = io.BytesIO()
    t.save(value, file)
    file.seek(0)
    return t.load(file, **options)


def _in_block(t: Any, make: Callable[[], Any]) -> Any:
    with t.device("meta"):
        return make()


def _loaded(t: Any, assign: bool) -> Any:
    model = t.nn.Linear(2, 3, device="meta")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = model.load_state_dict(t.nn.Linear(2, 3).state_dict(), assign=assign)
    return [
        str(result),
        [str(each.message) for each in said],
        model.weight.device,
        model.weight.requires_grad,
    ]


HABITS: dict[str, Callable[[Any], Any]] = {
    "text": lambda t: [repr(_x(t)), repr(_x(t, 0)), repr(t.zeros((), device="meta")), repr(_x(t, dtype=t.int64))],
    "text of a graph": lambda t: [repr(_x(t, requires_grad=True)), repr(_x(t, requires_grad=True) * 2)],
    "text of a parameter": lambda t: repr(t.nn.Parameter(_x(t))),
    "made": lambda t: [
        t.ones(2, device="meta"), t.full((2, 3), 7, device="meta"), t.arange(1, 9, 2, device="meta"),
        t.tensor([[1, 2]], device="meta"), t.as_tensor([1.0], device="meta"), t.randn(2, 3, device="meta"),
        t.rand(3, dtype=t.float64, device="meta"), t.randint(3, (4,), device="meta"), t.randperm(5, device="meta"),
        t.linspace(0, 1, 5, device="meta"), t.eye(3, 4, device="meta"), t.empty_strided((2, 3), (1, 2), device="meta"),
        t.zeros(2, device="meta:1"), t.tril_indices(3, 3, device="meta"),
    ],
    "made like another": lambda t: [
        t.ones_like(_x(t)), t.empty_like(_x(t).t()), t.rand_like(_x(t)), t.zeros_like(t.ones(2), device="meta"),
        t.ones_like(_x(t, 3, 2).t(), device="cpu"), _x(t).new_zeros(4), _x(t).new_tensor([1]), _x(t).clone(),
    ],
    "made in the block": lambda t: _in_block(
        t, lambda: [t.ones(2), t.tensor([1]), t.rand(2), t.nn.Linear(2, 3).weight, t.Tensor(2, 3).device,
                    t.from_numpy(np.ones(2)).device]
    ),
    "storages": lambda t: [repr(_x(t).untyped_storage()), t.empty(2, device="meta").resize_(3, 4), _x(t).set_()],
    "place": lambda t: [
        _x(t).device, _x(t).is_meta, t.ones(1).is_meta, _x(t).is_cpu, _x(t).is_cuda, _x(t).get_device(),
        _x(t).data_ptr(),
        _x(t).type(), _x(t).is_pinned(), _x(t).is_shared(), _x(t).nbytes, _x(t)[1:].storage_offset(),
        _x(t).untyped_storage().nbytes(), str(_x(t).untyped_storage().device),
    ],
    "moved there": lambda t: [t.ones(2, 3).t().to("meta"), t.ones(3).expand(2, 3).to("meta"), t.ones(2).type_as(_x(t))],
    "moved away": lambda t: _x(t).cpu(),
    "moved to a device": lambda t: _x(t).to("cpu"),
    "a number of Python's": lambda t: float(t.zeros((), device="meta")),
    "a truth": lambda t: bool(_x(t, 1)),
    "an item": lambda t: _x(t, 1).item(),
    "a list": lambda t: _x(t).tolist(),
    "an array": lambda t: _x(t).numpy(),
    "a capsule": lambda t: _x(t).__dlpack__(),
    "a generator": lambda t: t.Generator("meta"),
    "beside data": lambda t: _x(t) + t.ones(2, 3),
    "beside a number with data": lambda t: _x(t) + t.ones(()),
    "stacked with data": lambda t: t.stack([_x(t), t.ones(2, 3)]),
    "multiplied with data": lambda t: t.dot(_x(t, 3), t.ones(3)),
    "a gradient with data": lambda t: _x(t, requires_grad=True).mul(2).backward(t.ones(2, 3)),
    "a gradient without data": lambda t: t.ones(3, requires_grad=True).mul(2).backward(_x(t, 3)),
    "a gradient without data that is set": lambda t: setattr(t.ones(3), "grad", _x(t, 3)),
    "a number with data for a gradient": lambda t: t.autograd.grad(
        (x := _x(t, requires_grad=True)).sum(), x, t.ones(())
    ),
    "copied over data": lambda t: t.ones(2, 3).copy_(_x(t)),
    "copied from data": lambda t: _x(t).copy_(t.ones(2, 3)),
    "sizes that do not fit": lambda t: _x(t) + _x(t, 4),
    "products that do not fit": lambda t: _x(t) @ _x(t),
    "set from data": lambda t: _x(t).__setitem__(0, t.ones(3)),
    "set by mask": lambda t: _x(t).__setitem__(_x(t) > 0, 1.0),
    "data set from it": lambda t: t.ones(3).__setitem__(0, t.zeros((), device="meta")),
    "nonzero": lambda t: _x(t).nonzero(),
    "masked_select": lambda t: _x(t).masked_select(_x(t) > 0),
    "unique": lambda t: t.unique(_x(t)),
    "equal": lambda t: t.equal(_x(t), _x(t)),
    "allclose": lambda t: t.allclose(_x(t), _x(t)),
    "indexed by data": lambda t: _x(t)[t.tensor([0, 1, 1])],
    "indexed": lambda t: [_x(t)[0], _x(t)[:, 1:], _x(t)[None, ..., 0], _x(t)[_x(t, 4, dtype=t.int64)], _x(t)[0, 0]],
    "in place": lambda t: [_x(t).zero_(), _x(t).random_(5), _x(t).normal_(), _x(t).bernoulli_(0.5), _x(t).add_(1)],
    "iterated": lambda t: [len(_x(t)), *_x(t)],
    "copied": lambda t: [copy.deepcopy(_x(t, 3, 2).t()), pickle.loads(pickle.dumps(_x(t)))],
    "saved": lambda t: _saved(t, [_x(t), _x(t, 3, 2, requires_grad=True).t().detach()]),
    "saved, for the CPU": lambda t: _saved(t, _x(t), map_location="cpu"),
    "loaded there": lambda t: list(_saved(t, t.nn.Linear(2, 3).state_dict(), map_location="meta").values()),
    "a module moved away": lambda t: t.nn.Linear(2, 3, device="meta").to("cpu"),
    "a module to the CPU": lambda t: t.nn.Linear(2, 3, device="meta").cpu(),
    "a module in another dtype": lambda t: t.nn.Linear(2, 3, device="meta").double().weight,
    "a module moved there": lambda t: list(t.nn.BatchNorm1d(3).to("meta").state_dict().values()),
    "a module with memory": lambda t: t.nn.Linear(2, 3, device="meta").to_empty(device="cpu").weight.device,
    "skip_init": lambda t: [
        t.nn.utils.skip_init(t.nn.Linear, 2, 3).weight.device,
        t.nn.utils.skip_init(t.nn.Linear, 2, 3, device="meta").weight,
    ],
    "a state": lambda t: _loaded(t, False),
    "a state that is assigned": lambda t: _loaded(t, True),
    "a state without data": lambda t: t.nn.Linear(2, 3).load_state_dict(t.nn.Linear(2, 3, device="meta").state_dict()),
    "initialized": lambda t: [
        t.nn.init.uniform_(_x(t)), t.nn.init.trunc_normal_(_x(t)), t.nn.init.orthogonal_(_x(t)),
        t.nn.init.dirac_(_x(t, 3, 3, 2)), t.nn.init.kaiming_uniform_(_x(t)),
    ],
    "clipped": lambda t: t.nn.utils.clip_grad_norm_(_with_gradient(t), 1.0),
}  # fmt: skip


def _with_gradient(t: Any) -> Any:
    model = t.nn.Linear(2, 3, device="meta")
    model(_x(t, 5, 2)).sum().backward()
    return list(model.parameters())


def _told(t: Any, value: Any) -> Any:
    if isinstance(value, t.Tensor):
        return tuple(value.shape), str(value.dtype), value.stride(), str(value.device), value.requires_grad
    if isinstance(value, list | tuple):
        return [_told(t, each) for each in value]
    return str(value)


def _tried(t: Any, habit: Callable[[Any], Any]) -> Any:
    try:
        return _told(t, habit(t))
    except Exception as fault:
        return fault


@pytest.mark.parametrize("name", HABITS)
def test_habits_are_those_of_pytorch(name: str) -> None:
    theirs, ours = _tried(torch, HABITS[name]), _tried(distrt, HABITS[name])
    if not isinstance(theirs, Exception):
        assert ours == theirs
        return
    assert isinstance(ours, Exception), f"{ours}, and in PyTorch {theirs!r}"
    assert isinstance(ours, RuntimeError if isinstance(theirs, RuntimeError) else type(theirs))
    if name not in _OTHER_WORDS:
        assert str(ours)[:40] == str(theirs)[:40]


#: PyTorch speaks of its registries, or of sizes in other words.
_OTHER_WORDS = (
    "nonzero",
    "masked_select",
    "unique",
    "equal",
    "beside data",
    "data set from it",
    "products that do not fit",
    "sizes that do not fit",
)


# The op table


def _of_distrt(array: Any, grad: bool) -> Any:
    plain = to_distrt(array)
    made = distrt.empty_strided(tuple(plain.shape), plain.stride(), dtype=plain.dtype, device="meta")
    return made.requires_grad_(grad)


def _of_torch(array: Any, grad: bool) -> Any:
    plain = to_torch(torch, array)
    made = torch.empty_strided(tuple(plain.shape), plain.stride(), dtype=plain.dtype, device="meta")
    return made.requires_grad_(grad)


def _looks(t: Any, case: Case, dtype: str, make: Callable[..., Any]) -> Any:
    arrays = case.arrays(0, dtype)
    inputs = [
        make(array, spec.grad and is_floating(array)) for spec, array in zip(case.inputs, arrays, strict=True)
    ]
    try:
        with t.device("meta"):
            outputs = outputs_of(case.run(t, *inputs))
    except Exception as fault:
        return fault
    return [
        (tuple(each.shape), str(each.dtype), each.requires_grad)
        for each in outputs
        if isinstance(each, t.Tensor) and each.is_meta
    ]


def _differences(cases: list[Case], dtypes: int) -> list[str]:
    found = []
    for case in cases:
        for dtype in case.dtypes[:dtypes]:
            theirs, ours = _looks(torch, case, dtype, _of_torch), _looks(distrt, case, dtype, _of_distrt)
            if isinstance(theirs, Exception):
                is_alike = isinstance(ours, Exception) or case.row in ONLY_HERE
                is_alike = is_alike and (not isinstance(ours, Exception) or isinstance(ours, NoDataError))
            else:
                is_alike = ours == theirs
            if not is_alike:
                found.append(f"{case} {dtype}: {ours!r}, and in PyTorch {theirs!r}"[:300])
    return found


@pytest.mark.filterwarnings("ignore")
def test_a_few_operations_look_as_in_pytorch() -> None:
    assert not _differences(CASES[::197], 1)


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(0, PARTS, 4))
def test_a_part_of_the_op_table_looks_as_in_pytorch(part: int) -> None:
    assert not _differences(CASES[part::PARTS], 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(PARTS))
def test_the_op_table_looks_as_in_pytorch(part: int) -> None:
    assert not _differences(CASES[part::PARTS], 99)
