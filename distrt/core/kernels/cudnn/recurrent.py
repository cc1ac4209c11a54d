"""One layer of a recurrent network, in one direction, over all its steps, by cuDNN: a call in each direction of time.

The rows of a step lie together and sequences are sorted, longest first, which is cuDNN's packed layout. cuDNN goes
backwards in time only together with forwards, so for that direction each sequence is turned round before and after.
Dropout between layers, and what lies between directions, are the caller's.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from ctypes import byref, c_float, c_size_t, c_void_p
from typing import Any, NamedTuple

import numpy as np

from distrt.core import gpu
from distrt.core.arrays import Array, address_of, is_on_gpu, row_major
from distrt.core.gpu import library as gpus
from distrt.core.gpu.switches import is_deterministic, switches
from distrt.core.kernels.cudnn.convolution import COMPUTED, DTYPES, ints, math_of
from distrt.core.kernels.cudnn.library import CuDNN, CuDNNError, library
from distrt.core.modes import modes

__all__ = ["Case", "Walked", "backward", "forward", "network_of", "rows_of"]

_log = logging.getLogger(__name__)

Sizes = tuple[int, ...]

#: cuDNN's numbers of cells, and how many matrices each has for the input; as many follow for the state.
_CELLS = {"relu": (0, 1), "tanh": (1, 1), "lstm": (2, 4), "gru": (3, 3)}
_STANDARD, _ONE_DIRECTION, _LINEAR_INPUT = 0, 0, 0
_NO_BIAS, _TWO_BIASES = 0, 2
_PACKED, _PADDED_IO = 1, 0
_INFERENCE, _TRAINING = 0, 1
_ADD = 0


class Case(NamedTuple):
    """What cuDNN's description of a layer follows from."""

    cell: str
    dtype: Any
    features: int
    hidden: int
    has_biases: bool
    tf32: bool


class Walked(NamedTuple):
    """What backward needs. The rows are as cuDNN has them: those of a step together, forwards in time."""

    plan: _Plan
    sizes: Sizes
    reverse: bool
    input: Array
    output: Array
    weights: Array
    reserve: Array


def forward(
    cell: str,
    input: Array,
    states: Sequence[Array],
    parameters: Sequence[Array | None],
    sizes: Sizes,
    reverse: bool,
) -> tuple[Array, list[Array], Walked] | None:
    """Outputs and last states, and what backward needs; None where cuDNN is not there, switched off, or refuses.

    Args:
        cell: "lstm", "gru", "tanh" or "relu".
        input: rows, those of a step together.
        states: the first ones, (batch, hidden); two of an LSTM.
        parameters: weight_ih, weight_hh, bias_ih, bias_hh, gates in PyTorch's order, which is cuDNN's.
        sizes: how many rows each step has.
        reverse: backwards in time.
    """
    plan = _plan_for(cell, input, states[0], parameters, sizes)
    if plan is None:
        return None
    rows = _turned(input, sizes) if reverse else row_major(input)
    first = [row_major(each) for each in states]
    output = np.empty((len(rows), plan.layer.case.hidden), input.dtype, like=input)
    last = [np.empty_like(each) for each in first]
    weights = plan.layer.gathered(parameters, input)
    try:
        reserve = plan.run_forward(rows, output, first, last, weights)
    except CuDNNError as fault:
        plan.layer.is_refused = True
        _tell(plan.layer.case, fault)
        return None
    walked = Walked(plan, sizes, reverse, rows, output, weights, reserve)
    # Users may change what they get.
    return _turned(output, sizes) if reverse else output.copy(), last, walked


def backward(
    walked: Walked,
    states: Sequence[Array],
    g_output: Array | None,
    g_last: Sequence[Array | None],
    needs: Sequence[bool],
) -> tuple[Array, list[Array], list[Array | None]]:
    """The gradients of the input, of the first states, and of the parameters that are needed."""
    plan, sizes, rows = walked.plan, walked.sizes, walked.output
    if g_output is None:
        g_rows = np.zeros(rows.shape, rows.dtype, like=rows)
    else:
        g_rows = _turned(g_output, sizes) if walked.reverse else row_major(g_output)
    g_input = np.empty_like(walked.input)
    first = [row_major(each) for each in states]
    g_first = [np.empty_like(each) for each in first]
    slopes = [None if each is None else row_major(each) for each in g_last]
    # The reserved memory is changed, and another pass may come.
    reserve = walked.reserve.copy()
    plan.run_backward(walked, first, g_rows, slopes, g_input, g_first, reserve)
    found: list[Array | None] = [None] * len(needs)
    if any(needs):
        found = plan.layer.taken_apart(plan.run_weights(walked, first, reserve), needs)
    return _turned(g_input, sizes) if walked.reverse else g_input, g_first, found


def _plan_for(
    cell: str, input: Array, state: Array, parameters: Sequence[Array | None], sizes: Sizes
) -> _Plan | None:
    has_biases = parameters[2] is not None
    if not is_on_gpu(input) or input.dtype not in DTYPES or not switches.cudnn.enabled or is_deterministic():
        return None
    # A cell's single step is not worth a plan.
    if len(sizes) < 2 or not sizes[-1] or not input.size or not state.size:
        return None
    if has_biases != (parameters[3] is not None) or state.shape[0] != sizes[0]:
        return None
    case = Case(
        *(cell, input.dtype, input.shape[1], state.shape[1]), has_biases, bool(switches.cudnn.allow_tf32)
    )
    layer = _layer(gpus.current(), case)
    if layer is None or layer.is_refused:
        return None
    return _plan(layer, _lengths(sizes), bool(modes.grad))


@functools.lru_cache(maxsize=256)
def _layer(number: int, case: Case) -> _Layer | None:
    cudnn = library()
    if cudnn is None:
        return None
    try:
        return _Layer(cudnn, case)
    except CuDNNError as fault:
        _tell(case, fault)
        return None


@functools.lru_cache(maxsize=256)
def _plan(layer: _Layer, lengths: Sizes, is_training: bool) -> _Plan | None:
    try:
        return _Plan(layer, lengths, is_training)
    except CuDNNError as fault:
        _tell(layer.case, fault)
        return None


def _tell(case: Case, fault: CuDNNError) -> None:
    _log.warning("layers of %s in %s go step by step: %s", case.cell, case.dtype, fault)


@functools.lru_cache(maxsize=256)
def _lengths(sizes: Sizes) -> Sizes:
    """How long each sequence is."""
    return tuple(sum(size > number for size in sizes) for number in range(sizes[0]))


def _turned(rows: Array, sizes: Sizes) -> Array:
    """The rows of each sequence in the other order."""
    if sizes[0] == sizes[-1]:
        return row_major(rows.reshape(len(sizes), sizes[0], -1)[::-1]).reshape(rows.shape)
    return rows[gpu.tables.kept_beside(_places(sizes), rows)]


@functools.lru_cache(maxsize=64)
def _places(sizes: Sizes) -> Any:
    """For each row that of its sequence which has as many behind it as this one has before it."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    lengths = _lengths(sizes)
    return np.array(
        [starts[lengths[n] - 1 - step] + n for step, size in enumerate(sizes) for n in range(size)]
    )


class _Piece(NamedTuple):
    """Rows of a parameter, and where they begin among cuDNN's weights; in elements."""

    parameter: int
    first: int
    rows: int
    width: int
    at: int


def network_of(cudnn: CuDNN, case: Case, dropout: c_void_p) -> c_void_p:
    """cuDNN's description of a layer."""
    made, kind = cudnn.made("RNN"), DTYPES[case.dtype]
    biases = _TWO_BIASES if case.has_biases else _NO_BIAS
    cudnn.call(
        "cudnnSetRNNDescriptor_v8",
        *(made, _STANDARD, _CELLS[case.cell][0], biases, _ONE_DIRECTION, _LINEAR_INPUT),
        *(kind, COMPUTED[kind], math_of(kind, case.tf32)),
        *(case.features, case.hidden, case.hidden, 1, dropout, _PADDED_IO),
    )
    return made


def rows_of(cudnn: CuDNN, dtype: Any, lengths: Sizes, width: int) -> c_void_p:
    """cuDNN's description of the rows of sequences."""
    made = cudnn.made("RNNData")
    cudnn.call(
        "cudnnSetRNNDataDescriptor",
        *(made, DTYPES[dtype], _PACKED, lengths[0], len(lengths), width, ints(lengths), None),
    )
    return made


class _Layer:
    """A layer of any number of steps and sequences, and how cuDNN has its weights.

    Attributes:
        is_refused: cuDNN has not run it.
    """

    def __init__(self, cudnn: CuDNN, case: Case) -> None:
        self.cudnn, self.case, self.is_refused = cudnn, case, False
        self._dropout = cudnn.made("Dropout")
        cudnn.call("cudnnSetDropoutDescriptor", self._dropout, cudnn.handle(), c_float(0), None, 0, 0)
        self.network = network_of(cudnn, case, self._dropout)
        size = c_size_t()
        cudnn.call("cudnnGetRNNWeightSpaceSize", cudnn.handle(), self.network, byref(size))
        self._bytes = size.value
        self._pieces = _joined(self._places())

    def _places(self) -> list[_Piece]:
        """Each gate's matrices and biases, as cuDNN says where they are."""
        cudnn, case = self.cudnn, self.case
        gates, size = _CELLS[case.cell][1], int(case.dtype.itemsize)
        room = np.empty(self._bytes, np.uint8, like=gpus.find().empty(0))
        base, found = address_of(room), []
        described = cudnn.made("Tensor"), cudnn.made("Tensor")
        for number in range(2 * gates):
            matrix, bias = c_void_p(), c_void_p()
            cudnn.call(
                "cudnnGetRNNWeightParams",
                *(cudnn.handle(), self.network, 0, c_size_t(self._bytes), c_void_p(base), number),
                *(described[0], byref(matrix), described[1], byref(bias)),
            )
            width = case.features if number < gates else case.hidden
            for place, columns, parameter in ((matrix, width, 0), (bias, 1, 2)):
                if place.value:
                    first, at = number % gates * case.hidden, (place.value - base) // size
                    found.append(_Piece(parameter + number // gates, first, case.hidden, columns, at))
        expected = 4 * gates if case.has_biases else 2 * gates
        if len(found) != expected:
            raise CuDNNError(f"cuDNN has {len(found)} weights for a layer, {expected} were expected")
        return found

    def gathered(self, parameters: Sequence[Array | None], like: Array) -> Array:
        """The parameters as cuDNN has them, in one array."""
        made = np.empty(self._bytes // int(self.case.dtype.itemsize), self.case.dtype, like=like)
        for each in self._pieces:
            given: Any = parameters[each.parameter]
            rows = given[each.first : each.first + each.rows]
            made[each.at : each.at + each.rows * each.width].reshape(rows.shape)[...] = rows
        return made

    def taken_apart(self, weights: Array, needs: Sequence[bool]) -> list[Array | None]:
        """The gradients of parameters from that of all weights."""
        gates, hidden = _CELLS[self.case.cell][1], self.case.hidden
        shapes = [(gates * hidden, self.case.features), (gates * hidden, hidden), *[(gates * hidden,)] * 2]
        made = [
            np.empty(shape, weights.dtype, like=weights) if need else None
            for shape, need in zip(shapes, needs, strict=True)
        ]
        for each in self._pieces:
            target = made[each.parameter]
            if target is not None:
                part = target[each.first : each.first + each.rows]
                part[...] = weights[each.at : each.at + each.rows * each.width].reshape(part.shape)
        return made


class _Plan:
    """A layer with sequences of known lengths, longest first: the calls, and the memory that they take."""

    def __init__(self, layer: _Layer, lengths: Sizes, is_training: bool) -> None:
        self.layer, case = layer, layer.case
        self._cudnn, self._network = cudnn, network = layer.cudnn, layer.network
        self._input, self._output = (
            rows_of(cudnn, case.dtype, lengths, width) for width in (case.features, case.hidden)
        )
        self._state, batch, hidden = cudnn.made("Tensor"), len(lengths), case.hidden
        shape, step = ints((1, batch, hidden)), ints((batch * hidden, hidden, 1))
        cudnn.call("cudnnSetTensorNdDescriptor", self._state, DTYPES[case.dtype], 3, shape, step)
        self._mode = _TRAINING if is_training else _INFERENCE
        work, reserve = c_size_t(), c_size_t()
        cudnn.call(
            "cudnnGetRNNTempSpaceSizes",
            *(cudnn.handle(), network, self._mode, self._input, byref(work), byref(reserve)),
        )
        self._work_bytes, self._reserve_bytes = work.value, reserve.value

    def run_forward(
        self,
        rows: Array,
        output: Array,
        first: Sequence[Array],
        last: Sequence[Array],
        weights: Array,
    ) -> Array:
        """Writes the outputs and the last states; returns the memory that backward reads."""
        work, reserve = (
            np.empty(size, np.uint8, like=rows) for size in (self._work_bytes, self._reserve_bytes)
        )
        self._cudnn.call(
            "cudnnRNNForward",
            *(self._cudnn.handle(), self._network, self._mode, None),
            *(self._input, _at(rows), self._output, _at(output)),
            *self._of_states(first, last),
            *(*_room(weights), *_room(work), *_room(reserve)),
        )
        return reserve

    def run_backward(
        self,
        walked: Walked,
        first: Sequence[Array],
        g_output: Array,
        g_last: Sequence[Array | None],
        g_input: Array,
        g_first: Sequence[Array],
        reserve: Array,
    ) -> None:
        """Writes the gradients of input and first states."""
        work = np.empty(self._work_bytes, np.uint8, like=g_input)
        self._cudnn.call(
            "cudnnRNNBackwardData_v8",
            *(self._cudnn.handle(), self._network, None),
            *(self._output, _at(walked.output), _at(g_output), self._input, _at(g_input)),
            *self._of_states(first, g_last, g_first),
            *(*_room(walked.weights), *_room(work), *_room(reserve)),
        )

    def run_weights(self, walked: Walked, first: Sequence[Array], reserve: Array) -> Array:
        """The gradient of all weights, behind `run_backward`."""
        made, work = (
            np.zeros(walked.weights.shape, walked.weights.dtype, like=reserve),
            np.empty(self._work_bytes, np.uint8, like=reserve),
        )
        self._cudnn.call(
            "cudnnRNNBackwardWeights_v8",
            *(self._cudnn.handle(), self._network, _ADD, None),
            *(self._input, _at(walked.input), self._state, _at(first[0])),
            *(self._output, _at(walked.output)),
            *(*_room(made), *_room(work), *_room(reserve)),
        )
        return made

    def _of_states(self, *arrays: Sequence[Array | None]) -> list[Any]:
        """Descriptor and addresses of the hidden states, then of the cells, which only an LSTM has."""
        hidden = [self._state, *(_at(each[0]) for each in arrays)]
        if len(arrays[0]) == 1:
            return [*hidden, None, *[None] * len(arrays)]
        return [*hidden, self._state, *(_at(each[1]) for each in arrays)]


def _joined(pieces: list[_Piece]) -> list[_Piece]:
    """Pieces that lie one behind the other here and there, as one."""
    joined: list[_Piece] = []
    for each in sorted(pieces, key=lambda piece: (piece.parameter, piece.first)):
        before = joined[-1] if joined else None
        if (
            before is not None
            and before.parameter == each.parameter
            and before.at + before.rows * before.width == each.at
        ):
            joined[-1] = before._replace(rows=before.rows + each.rows)
        else:
            joined.append(each)
    return joined


def _at(array: Array | None) -> c_void_p | None:
    return None if array is None else c_void_p(address_of(array))


def _room(array: Array) -> tuple[c_size_t, c_void_p | None]:
    return c_size_t(array.nbytes), _at(array) if array.nbytes else None
