"""``DataParallel`` and its parts on a machine without GPUs: transparent, or refused as PyTorch refuses."""

import collections
import copy
import importlib
import inspect
import pickle

import pytest

import distrt as torch
from distrt import nn
from distrt.nn import parallel
from distrt.nn.parallel import comm
from distrt.nn.parallel.parallel_apply import get_a_var
from distrt.nn.parallel.scatter_gather import is_namedtuple
from tests.oracles import require_torch


class Pair(collections.namedtuple("Pair", "first second")):
    __slots__ = ()


def test_data_parallel_is_the_model_itself_wrapped():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    wrapped = nn.DataParallel(model, device_ids=[0, 1], output_device=0, dim=1)
    assert wrapped.module is model and wrapped.device_ids == []
    assert list(wrapped.state_dict()) == ["module.0.weight", "module.0.bias"]
    input = torch.randn(4, 3)
    assert torch.equal(wrapped(input), model(input))
    assert torch.equal(wrapped(input=input), model(input))
    wrapped(input).sum().backward()
    assert model[0].weight.grad is not None
    model.load_state_dict({name.removeprefix("module."): each for name, each in wrapped.state_dict().items()})
    assert wrapped.eval().module.training is False
    assert wrapped.to("cpu") is wrapped


def test_data_parallel_hands_on_what_the_model_takes_and_gives():
    class Whatever(nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    assert nn.DataParallel(Whatever())(1, [2], key={"three": 3}) == ((1, [2]), {"key": {"three": 3}})


def test_copies_and_types_of_data_parallel():
    wrapped: nn.DataParallel[nn.Linear] = nn.DataParallel(nn.Linear(2, 2))
    assert nn.DataParallel[nn.Linear].__origin__ is nn.DataParallel
    for copied in (copy.deepcopy(wrapped), pickle.loads(pickle.dumps(wrapped))):
        assert torch.equal(copied.module.weight, wrapped.module.weight)
        assert copied.module is not wrapped.module


#: What needs no GPU gives what PyTorch's gives; the rest is refused in its words. ``x`` is a tensor, ``m`` a model.
CASES = """
P.scatter(x, ['cpu'])
P.scatter([x, 1], [torch.device('cpu')])
P.scatter((1, 'a', [2, {'k': 3}], Pair(1, 2)), [0, 1])
P.scatter({'k': 3, 4: (5, [6])}, [0, 1, 2])
P.scatter((), [0, 1])
P.scatter([], [])
P.scatter(None, ['cuda:0'])
P.gather([x, x], 'cpu')
P.gather([x, x], 0)
P.gather([{'a': x}, {'a': x}], 0)
P.gather([None, None], 0)
P.gather([{'a': 1}, {'a': 1, 'b': 2}], 0)
P.gather([{'a': None}, {'a': None}], 0)
P.gather([(None, [None]), (None, [None])], 0)
P.gather([Pair(None, None), Pair(None, None)], 0)
P.gather([1, 2], 0)
P.gather([], 0)
P.replicate(m, [0, 1])
P.replicate(m, [])
P.replicate(m, ['cpu'])
P.parallel_apply([m], [x, x])
P.parallel_apply([m], [x], [{}, {}])
P.parallel_apply([m], [x], [{}], [0, 0])
P.parallel_apply([m], [x])
P.parallel_apply([m, m], [x, x], devices=[0, 1])
P.parallel_apply([m], [x], devices=['cpu'])
P.parallel_apply([], [])
P.data_parallel(m, x)
P.data_parallel(m, (x,), [0])
nn.DataParallel(m).scatter((x,), {}, [0])
nn.DataParallel(m).replicate(m, [0])
nn.DataParallel(m).gather([x], 0)
nn.DataParallel(m).parallel_apply([m], [x], None)
comm.broadcast(x)
comm.broadcast(x, [0], out=[x])
comm.broadcast(x, ['cpu'])
comm.broadcast_coalesced([x], ['cpu'])
comm.reduce_add([x, x])
comm.reduce_add([x, x], 'cpu')
comm.reduce_add([x, x], 0)
comm.reduce_add_coalesced([[x], [x]])
comm.scatter(x)
comm.scatter(x, ['cpu', 'cpu'])
comm.scatter(x, [None])
comm.scatter(x, [0], out=[x])
comm.scatter(x, None, [1], out=[x])
comm.gather([x], 0, 'cpu', out=x)
F.Broadcast.apply([0, 1])
F.Broadcast.apply([0, 1], x)
F.Gather.apply(0, 0, x, x)
F.Scatter.apply(['cpu'], None, 0, x)
F.ReduceAddCoalesced.apply(0, 1, x, x)
scatter_kwargs((1, 2), {'a': 3}, [0, 1])
scatter_kwargs((), {'a': 3}, [0, 1])
scatter_kwargs((1, 2), None, [0, 1])
scatter_kwargs((), None, [0, 1])
get_a_var([1, (2, {'a': 3})])
"""


@pytest.mark.parametrize("case", CASES.strip().splitlines())
def test_what_needs_no_gpu_works_and_the_rest_is_refused_as_in_pytorch(case):
    ours, theirs = (outcome(case, name) for name in ("distrt", "torch"))
    if not isinstance(theirs, Exception):
        assert ours == theirs
        return
    assert isinstance(ours, type(theirs)), (ours, theirs)
    assert str(theirs).rstrip(".") in str(ours) or "No available accelerator" in str(theirs)


def outcome(case, library):
    require_torch()
    used = importlib.import_module(library)
    there = importlib.import_module(f"{library}.nn.parallel")
    names = {
        "torch": used,
        "nn": used.nn,
        "P": there,
        "comm": importlib.import_module(f"{library}.nn.parallel.comm"),
        "F": importlib.import_module(f"{library}.nn.parallel._functions"),
        "scatter_kwargs": importlib.import_module(f"{library}.nn.parallel.scatter_gather").scatter_kwargs,
        "get_a_var": importlib.import_module(f"{library}.nn.parallel.parallel_apply").get_a_var,
        "Pair": Pair,
        "x": used.arange(6.0).reshape(3, 2),
        "m": used.nn.Linear(2, 2),
    }
    try:
        return eval(case, names)
    except Exception as error:
        return error


@pytest.mark.parametrize(
    "call",
    [
        lambda x: parallel.scatter(x, [0, 1]),
        lambda x: parallel.replicate(nn.BatchNorm1d(2, affine=False), [0]),
        lambda x: parallel.replicate(nn.Linear(2, 2), [0], detach=True),
        lambda x: comm.broadcast(x, [0]),
        lambda x: comm.broadcast(x, out=[x]),
        lambda x: comm.broadcast_coalesced([x], [0]),
        lambda x: comm.scatter(x, [0]),
        lambda x: comm.scatter(x, out=[x]),
        lambda x: comm.gather([x]),
        lambda x: comm.gather([x], 0, "cpu"),
    ],
)
def test_what_puts_tensors_on_gpus_says_that_there_is_none(call):
    with pytest.raises(RuntimeError, match="Cannot access accelerator device when none is available"):
        call(torch.ones(2, 2))


def test_deprecated_ways_warn():
    with pytest.warns(FutureWarning, match="Using -1 to represent CPU tensor"), pytest.raises(RuntimeError):
        comm.gather([torch.ones(2)], 0, -1)
    with pytest.warns(FutureWarning, match="is_namedtuple"):
        assert is_namedtuple(Pair(1, 2))
    with (
        pytest.warns(FutureWarning, match="DistributedDataParallelCPU` is deprecated"),
        pytest.raises(ValueError, match="Default process group has not been initialized"),
    ):
        parallel.DistributedDataParallelCPU(nn.Linear(1, 1))


def test_a_model_without_tensors_is_replicated():
    shared = nn.ReLU()
    model = nn.Sequential(shared, nn.Sequential(shared, nn.Tanh()))
    first, second = parallel.replicate(model, [0, 1])
    assert first is not second and first is not model
    assert first[0] is first[1][0] and first[0] is not shared
    assert repr(first) == repr(second) == repr(model)
    assert torch.equal(first(torch.ones(2)), model(torch.ones(2)))


def test_the_first_tensor_is_found():
    tensor = torch.ones(1)
    assert get_a_var([1, {"a": (2, tensor)}]) is tensor
    assert get_a_var(3) is None


def test_names_and_signatures_are_pytorchs():
    require_torch()
    theirs = importlib.import_module("torch.nn.parallel")
    assert sorted(theirs.__all__) == parallel.__all__
    for name in theirs.__all__:
        mine, expected = (inspect.signature(getattr(each, name)) for each in (parallel, theirs))
        if name != "DistributedDataParallel":
            assert list(mine.parameters) == list(expected.parameters), name
    for path in ("data_parallel", "distributed", "parallel_apply", "replicate", "scatter_gather", "comm"):
        importlib.import_module(f"distrt.nn.parallel.{path}")
        for name in getattr(importlib.import_module(f"torch.nn.parallel.{path}"), "__all__", ()):
            assert hasattr(importlib.import_module(f"distrt.nn.parallel.{path}"), name), (path, name)


def test_a_path_to_a_module_does_not_hide_the_function_of_its_name():
    for name in ("replicate", "parallel_apply", "data_parallel"):
        module = importlib.import_module(f"distrt.nn.parallel.{name}")
        assert getattr(parallel, name) is getattr(module, name)


def test_the_older_path_has_the_same_functions():
    require_torch()
    theirs, ours = (importlib.import_module(f"{library}.cuda.comm") for library in ("torch", "distrt"))
    assert sorted(theirs.__all__) == ours.__all__
    assert all(getattr(ours, name) is getattr(comm, name) for name in ours.__all__)
