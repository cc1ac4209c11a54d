"""What lies in an order of the kernels' own looks like any other tensor, and becomes one when somebody looks."""

import copy
import io
import pickle

import numpy as np
import pytest

import distrt as torch
from distrt.core.tensor import wrap_unseen

SHAPE = (2, 6, 4, 5)
ROW_MAJOR = (120, 20, 5, 1)


def values(seed=0):
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def unseen(seed=0, requires_grad=False):
    """A tensor whose channels lie side by side, though nobody has asked for that."""
    array = torch.tensor(values(seed)).numpy()
    made = wrap_unseen(np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    assert made._inner is not None
    if not requires_grad:
        return made
    leaf = torch.tensor(array, requires_grad=True)
    through = leaf * 1  # a node between the leaf and the tensor
    made._edge = through._edge
    return made, leaf


LOOKS = {
    "stride": lambda x: x.stride() == ROW_MAJOR,
    "view": lambda x: x.view(2, -1).shape == (2, 120),
    "numpy": lambda x: np.array_equal(x.numpy(), values()),
    "data": lambda x: x.data.stride() == ROW_MAJOR,
    "detach": lambda x: x.detach().stride() == ROW_MAJOR,
    "storage": lambda x: len(x.untyped_storage()) == 960,
    "data_ptr": lambda x: x.data_ptr() == x.data_ptr() != 0,
    "tolist": lambda x: x.tolist() == values().tolist(),
    "repr": lambda x: repr(x) == repr(torch.tensor(values())),
    "item": lambda x: x[1, 2, 3, 4].item() == values()[1, 2, 3, 4],
    "pickle": lambda x: pickle.loads(pickle.dumps(x)).stride() == ROW_MAJOR,
    "deepcopy": lambda x: copy.deepcopy(x).stride() == ROW_MAJOR,
    "dlpack": lambda x: np.array_equal(np.from_dlpack(x), values()),
    "flatten": lambda x: torch.equal(x.flatten(), torch.tensor(values()).flatten()),
}


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_sees_row_major_order(look):
    tensor = unseen()
    assert LOOKS[look](tensor)
    assert tensor._inner is None, "one memory only"


def test_files_hold_row_major_order():
    file = io.BytesIO()
    torch.save({"image": unseen()}, file)
    file.seek(0)
    loaded = torch.load(file)["image"]
    assert loaded.stride() == ROW_MAJOR and torch.equal(loaded, torch.tensor(values()))


def test_other_data_takes_the_place_of_what_nobody_has_seen():
    tensor = unseen()
    tensor.data = torch.ones(2)
    assert torch.equal(torch.relu(tensor), torch.ones(2)) and tensor.shape == (2,)


def test_sizes_and_dtype_are_known_without_looking():
    tensor = unseen()
    assert tensor.shape == SHAPE and tensor.size(1) == 6 and tensor.ndim == tensor.dim() == 4
    assert tensor.numel() == 240 and tensor.dtype is torch.float32 and tensor.is_contiguous()
    assert tensor.requires_grad is False and tensor.is_leaf and tensor._inner is not None


FOLLOWING = {
    "relu": lambda x, y: torch.relu(x),
    "sigmoid": lambda x, y: torch.sigmoid(x),
    "add": lambda x, y: x + y,
    "mul": lambda x, y: x * y,
    "a number": lambda x, y: 2 * x - 1,
}


@pytest.mark.parametrize("name", FOLLOWING)
def test_elementwise_operations_hand_the_order_on(name):
    made = FOLLOWING[name](unseen(1), unseen(2))
    plain = FOLLOWING[name](torch.tensor(values(1)), torch.tensor(values(2)))
    assert made._inner is not None
    assert made.stride() == plain.stride() and torch.equal(made, plain)


def test_beside_an_order_that_is_seen_everything_becomes_plain():
    hidden, turned = unseen(1), torch.tensor(values(2)).to(memory_format=torch.channels_last)
    plain = torch.tensor(values(1))
    for first, second, expected in [(hidden, turned, plain + turned), (turned, hidden, turned + plain)]:
        made = first + second
        assert made.stride() == expected.stride() and torch.equal(made, expected)


def test_a_change_in_place_reaches_views_and_counts():
    tensor = unseen()
    tensor.add_(1)
    assert tensor._version == 1 and tensor._inner is not None
    view = tensor.view(-1)
    tensor.relu_()
    assert tensor._version == 2
    assert torch.equal(view, tensor.flatten()) and view.data_ptr() == tensor.data_ptr()
    assert np.array_equal(tensor.numpy(), np.maximum(values() + 1, 0))


@pytest.mark.parametrize("is_hidden", [True, False])
def test_changing_what_backward_needs_is_refused(is_hidden):
    tensor, _ = unseen(requires_grad=True)
    if not is_hidden:
        tensor.stride()
    squared = tensor * tensor
    tensor.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squared.sum().backward()


def test_a_kept_output_may_be_made_in_place():
    tensor, leaf = unseen(requires_grad=True)
    tensor.relu_()
    tensor.sum().backward()
    assert np.array_equal(leaf.grad.numpy(), (values() > 0).astype(np.float32))


def test_hooks_see_gradients_in_row_major_order():
    tensor, leaf = unseen(requires_grad=True)
    seen = []
    tensor.register_hook(lambda g: seen.append(g.stride()))
    tensor.retain_grad()
    out = torch.relu(tensor) * unseen(3)
    (out * out).sum().backward()
    assert seen == [ROW_MAJOR] and tensor.grad.stride() == leaf.grad.stride() == ROW_MAJOR


def test_two_threads_that_look_at_once_see_one_memory():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            tensor = unseen()
            found = list(pool.map(lambda _, tensor=tensor: tensor.data_ptr(), range(4)))
            assert len(set(found)) == 1
