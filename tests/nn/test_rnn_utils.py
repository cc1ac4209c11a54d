"""Packed sequences: what they hold, and what recurrent layers make of them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import distrt
from distrt import nn
from distrt.nn.utils.rnn import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)
from tests.oracle.compare import assert_same

LENGTHS = [2, 5, 1, 5]
LAYERS = (
    "nn.RNN(3, 4, 2, bidirectional=True, batch_first=True)",
    "nn.GRU(3, 4, 2, bidirectional=True)",
    "nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)",
    "nn.LSTM(3, 4, batch_first=True)",
)


def _of_both(torch: Any, text: str) -> tuple[Any, Any]:
    """A layer in both libraries, with the same weights, in float64."""
    theirs = eval(text, {"nn": torch.nn}).double()
    ours = eval(text, {"nn": nn}).double()
    ours.load_state_dict({name: distrt.tensor(value.numpy()) for name, value in theirs.state_dict().items()})
    return ours, theirs


def _run(library: Any, layer: Any, data: Any, state: Any, sort: bool) -> tuple[list[Any], list[Any]]:
    """What a layer makes of packed sequences: outputs, states, and the gradients of all that goes in."""
    x = library.tensor(data).requires_grad_()
    lengths = LENGTHS if sort else sorted(LENGTHS, reverse=True)
    rnn = library.nn.utils.rnn
    packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=not sort)
    given = [] if state is None else [library.tensor(each).requires_grad_() for each in state]
    hx = {0: None, 1: given[0] if given else None, 2: tuple(given)}[len(given)]
    output, last = layer(packed, hx)
    assert type(output) is rnn.PackedSequence
    padded, counts = rnn.pad_packed_sequence(output)
    states = list(last) if isinstance(last, tuple) else [last]
    total = (padded * padded).sum() + sum((each**3).sum() for each in states)
    return [padded, counts, *states], list(library.autograd.grad(total, [x, *given, *layer.parameters()]))


@pytest.mark.parametrize("sort", [False, True], ids=["sorted", "unsorted"])
@pytest.mark.parametrize("with_state", [False, True], ids=["zeros", "states"])
@pytest.mark.parametrize("text", LAYERS)
def test_layers_take_packed_sequences(text: str, with_state: bool, sort: bool, torch: Any, rng: Any) -> None:
    ours, theirs = _of_both(torch, text)
    data = rng.standard_normal((5, 4, 3))
    state = None
    if with_state:
        rows = ours.num_layers * (2 if ours.bidirectional else 1)
        sizes = [ours.proj_size or 4, 4] if ours.mode == "LSTM" else [4]
        state = [rng.standard_normal((rows, 4, size)) for size in sizes]
    found, expected = _run(distrt, ours, data, state, sort), _run(torch, theirs, data, state, sort)
    for mine, reference in zip(found, expected, strict=True):
        for number, (one, other) in enumerate(zip(mine, reference, strict=True)):
            assert_same(one, other, str(number), 10)


@pytest.mark.parametrize("text", LAYERS)
def test_a_packed_sequence_is_each_sequence_by_itself(text: str, rng: Any) -> None:
    layer = eval(text, {"nn": nn}).double()
    sequences = [distrt.tensor(rng.standard_normal((length, 3))) for length in LENGTHS]
    output, _ = layer(pack_sequence(sequences, enforce_sorted=False))
    for sequence, found in zip(sequences, unpack_sequence(output), strict=True):
        distrt.testing.assert_close(found, layer(sequence)[0])


def test_packing_and_padding_undo_each_other() -> None:
    padded = distrt.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    packed = pack_padded_sequence(padded, [2, 1, 3], batch_first=True, enforce_sorted=False)
    assert repr(packed) == (
        "PackedSequence(data=tensor([4, 1, 3, 5, 2, 6]), batch_sizes=tensor([3, 2, 1]), "
        "sorted_indices=tensor([2, 0, 1]), unsorted_indices=tensor([1, 2, 0]))"
    )
    again, lengths = pad_packed_sequence(packed, batch_first=True)
    assert again.tolist() == padded.tolist() and lengths.tolist() == [2, 1, 3]
    longer, _ = pad_packed_sequence(packed, batch_first=True, padding_value=-1, total_length=4)
    assert longer.tolist() == [[1, 2, -1, -1], [3, -1, -1, -1], [4, 5, 6, -1]]
    assert [each.tolist() for each in unpack_sequence(packed)] == [[1, 2], [3], [4, 5, 6]]
    with pytest.raises(ValueError, match="total_length=2 and max sequence length being 3"):
        pad_packed_sequence(packed, total_length=2)
    with pytest.raises(RuntimeError, match="at most the input's 3 steps, but the longest is 4"):
        pack_padded_sequence(padded, [4, 1, 3], enforce_sorted=False)


def test_a_packed_sequence_converts_as_its_data_does() -> None:
    packed = pack_sequence([distrt.tensor([1, 2, 3]), distrt.tensor([4])])
    assert packed.to(distrt.int64) is packed and packed.cpu() is packed and packed.long() is packed
    for name in "double float half int short char byte".split():
        changed = getattr(packed, name)()
        assert (
            changed.data.dtype == getattr(packed.data, name)().dtype if name not in ("char", "byte") else True
        )
        assert changed.batch_sizes is packed.batch_sizes and changed.data.tolist() == [1, 4, 2, 3]
    assert packed.char().data.dtype == distrt.int8 and packed.byte().data.dtype == distrt.uint8
    assert packed._fields == ("data", "batch_sizes", "sorted_indices", "unsorted_indices")
    assert packed[0] is packed.data and not packed.is_cuda and not packed.is_pinned()
    data, sizes, order, back = packed
    assert order is None and back is None and sizes.tolist() == [2, 1, 1]
    assert PackedSequence((data, sizes)).batch_sizes is sizes
    for copied in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert type(copied) is PackedSequence and copied.data.tolist() == data.tolist()


def test_padding_takes_the_first_sequences_dtype_and_either_side() -> None:
    a, b = distrt.tensor([1, 2, 3]), distrt.tensor([4.5])
    assert pad_sequence([a, b], batch_first=True, padding_value=9.5).tolist() == [[1, 2, 3], [4, 9, 9]]
    assert pad_sequence([b, a], padding_side="left").tolist() == [[0.0, 1.0], [0.0, 2.0], [4.5, 3.0]]
    assert pad_sequence(distrt.ones(2, 3)).shape == (3, 2)
    assert pad_sequence(iter([a, a])).shape == (3, 2)


def test_unpadding_turns_its_argument_as_in_pytorch() -> None:
    x = distrt.arange(6).reshape(3, 2)
    assert [each.tolist() for each in unpad_sequence(x, distrt.tensor([1, 3]))] == [[0], [1, 3, 5]]
    assert x.shape == (2, 3)


def test_invert_permutation() -> None:
    found = invert_permutation(distrt.tensor([2, 0, 1]))
    assert found is not None and found.tolist() == [1, 2, 0]
    assert invert_permutation(None) is None
