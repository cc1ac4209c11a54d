"""Sealed memory: nothing changes it through a tensor, and a tensor that is changed in place becomes an ordinary one."""

import copy
import gc
import pickle

import numpy as np
import pytest

import distrt as torch
from distrt.core.storage import copying, sealed
from distrt.core.storage.sealed import ReleaseToCopy, seal
from distrt.core.tensor import wrap


def make(values=6):
    """Memory, and a tensor that shows it."""
    memory = np.arange(float(values)).reshape(2, -1)
    tensor = wrap(memory)
    tensor._array = seal(memory, ReleaseToCopy(tensor))
    return memory, tensor


CHANGES = {
    "mul_": lambda t: t.mul_(2),
    "+=": lambda t: t.__iadd__(1),
    "copy_": lambda t: t.copy_(torch.ones(2, 3)),
    "zero_": lambda t: t.zero_(),
    "item": lambda t: t.__setitem__((0, 1), 7.0),
    "out": lambda t: torch.add(t, 1, out=t),
    "normal_": lambda t: t.normal_(),
    "clamp_ of data": lambda t: t.data.clamp_(1, 2),
    "row": lambda t: t[1].fill_(5.0),
    "column": lambda t: t[:, 1].zero_(),
    "transposed": lambda t: t.t().detach().mul_(3),
    "expanded": lambda t: t[:1, :1].expand(2, 3).fill_(9.0),
    "flat": lambda t: t.view(-1)[1:4].neg_(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_place_leaves_the_memory_alone(change):
    memory, tensor = make()
    ordinary = wrap(memory.copy())
    before = memory.copy()
    torch.manual_seed(0)
    CHANGES[change](ordinary)
    torch.manual_seed(0)
    CHANGES[change](tensor)
    assert np.array_equal(memory, before)
    assert torch.equal(tensor, ordinary)
    assert not torch.equal(tensor, wrap(before))
    CHANGES[change](tensor)  # it is ordinary now
    assert tensor._array.flags.writeable


def test_another_name_goes_along_or_is_refused_but_not_where_the_memory_was_exchanged():
    _, tensor = make()
    named, row = tensor.detach(), tensor[1]
    named.add_(1)
    assert tensor.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    with pytest.raises(RuntimeError, match="take the name anew"):
        row.mul_(2)  # it has the old values
    assert tensor[1].tolist() == [4.0, 5.0, 6.0]
    _, tensor = make()
    named = tensor.data
    tensor.data = torch.ones(2, 3, dtype=torch.float64)
    named.zero_()
    assert tensor.tolist() == [[1.0] * 3] * 2


def test_numpy_sees_the_memory_and_cannot_write_to_it():
    memory, tensor = make()
    array = tensor.numpy()
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1.0
    memory[0, 0] = 5.0
    assert array[0, 0] == tensor[0, 0].item() == 5.0


def test_a_gradient_is_added_to_in_memory_of_its_own():
    memory = np.ones(3)
    leaf = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    leaf.grad = wrap(memory)
    leaf.grad._array = seal(memory, ReleaseToCopy(leaf.grad))
    (leaf * 2).sum().backward()
    assert leaf.grad.tolist() == [3.0] * 3
    assert memory.tolist() == [1.0] * 3


def test_copies_are_ordinary():
    _, tensor = make()
    pickled = [
        pickle.loads(pickle.dumps(tensor, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    for other in (copy.deepcopy(tensor), tensor.clone(), *pickled):
        other.mul_(2)
        assert other.sum().item() == 2 * tensor.sum().item()
    assert not tensor._array.flags.writeable


def test_tensors_that_share_sealed_memory_share_what_is_unpickled():
    _, tensor = make()
    whole, row = pickle.loads(pickle.dumps([tensor, tensor[1]], 5))
    whole.mul_(2)
    assert row.tolist() == whole[1].tolist() == [6, 8, 10]
    gc.collect()
    assert not copying._in_place_of


def test_nothing_is_remembered_of_memory_that_is_gone():
    gc.collect()
    before = len(sealed._sealed)
    kept = [make(size) for size in (2, 4, 6)]
    empty = wrap(np.zeros((0, 2)))
    empty._array = seal(empty._array, ReleaseToCopy(empty))
    assert len(sealed._sealed) == before + 4
    empty.add_(1)
    kept[0][1].add_(1)
    del kept, empty
    gc.collect()
    assert len(sealed._sealed) == before
