"""Runs an update rule on parameters: as one compiled loop, in blocks of NumPy's, or on recorded tensors.

The first two give the same bits. On GPUs the loop is one kernel for all parameters that are alike.
"""

from __future__ import annotations

import functools
from array import array as packed
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import ml_dtypes
import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, dim_order, is_on_gpu, row_major
from distrt.core.errors import NoKernelError, ShapeError, UnsupportedError
from distrt.core.gpu.capturing import capturing, refuse
from distrt.core.gpu.places import device_of
from distrt.core.kernels import on_gpu
from distrt.core.kernels.loops import (
    Loop,
    Run,
    address,
    can_compile,
    compiled,
    is_worth_compiling,
    note_effort,
)
from distrt.core.modes import used
from distrt.core.sparse.array import is_sparse
from distrt.core.tensor import Tensor
from distrt.core.tensors.history import require_writeable
from distrt.core.tensors.versions import note_change
from distrt.optim.operands import BLOCK, Block, Recorded, Scratch
from distrt.optim.rules import Group, Rule, State, require_step
from distrt.optim.sparse_updates import update_by_sparse
from distrt.optim.traced import trace

if TYPE_CHECKING:
    from distrt.core.gpu.capturing import Capture
    from distrt.optim.captured import CapturedStep

__all__ = ["RepeatedUpdate", "apply"]

Numbers = dict[str, Any]

#: Sets of arrays of one dtype, number and device, and the numbers of each.
_Together = dict[tuple[Any, ...], tuple[list[list[Array]], list[Numbers]]]

#: How a compiled loop takes a dtype: its own name for it, that of the constants, and elements in one.
_LOOPED = {
    np.dtype(np.float32): ("float32", "f", 1),
    np.dtype(np.float64): ("float64", "d", 1),
    np.dtype(np.float16): ("float16", "f", 1),
    np.dtype(ml_dtypes.bfloat16): ("bfloat16", "f", 1),
    np.dtype(np.complex64): ("float32", "f", 2),  # an update treats a complex number as a pair
    np.dtype(np.complex128): ("float64", "d", 2),
}
_PARAMETER_COST = 10_000  # what a parameter costs beside its elements, in elements


def apply(
    rule: Rule,
    params: Sequence[Tensor],
    states: Sequence[State],
    group: Group,
    targets: Sequence[Array] | None = None,
    gradients: Sequence[Tensor] | None = None,
) -> None:
    """Runs a rule on parameters that have gradients; with the option ``differentiable``, gradients flow through it.

    Args:
        rule: the rule.
        params: the parameters.
        states: their states.
        group: the options.
        targets: where the parameters' new values go, which then keep their own; contiguous arrays like theirs. Not with
            ``differentiable``.
        gradients: the parameters' ``.grad`` where not given.

    Raises:
        NoKernelError: for a parameter of integers or bools.
        ShapeError: for a gradient or state of another size, and for parameters that share elements, as expanded ones
            do. Nothing has been changed then.
    """
    is_recorded = bool(group.get("differentiable"))
    names = rule.state_names(group)
    if gradients is None:
        gradients = _gradients(params)
    if used.sparse:
        params, states, gradients = _without_sparse(rule, params, states, group, gradients, targets)
    for param, gradient, state in zip(params, gradients, states, strict=True):
        _require_updatable(rule, param, gradient, state, names, is_recorded)
    changed: list[tuple[list[Array], Numbers]] = []
    step = None if capturing.now is None else _captured(capturing.now, rule, params, states, group)
    for place, (param, gradient, state) in enumerate(zip(params, gradients, states, strict=True)):
        # After all checks, since this changes the state.
        numbers = rule.numbers(param, state, group) if step is None else step.numbers[place]
        if is_recorded:
            _run_recorded(rule.update, [param, gradient, *(state[name] for name in names)], numbers)
            continue
        target = None if targets is None else targets[place]
        changed.append((_arrays(param, gradient, state, names, target), numbers))
        note_change(param._counter)
        for name in names:
            note_change(state[name]._counter)
    if changed:
        _run(_Update(rule.update, targets is not None), changed)


def _without_sparse(
    rule: Rule,
    params: Sequence[Tensor],
    states: Sequence[State],
    group: Group,
    gradients: Sequence[Tensor],
    targets: Sequence[Array] | None,
) -> tuple[Sequence[Tensor], Sequence[State], Sequence[Tensor]]:
    """What is left to be updated when the parameters with sparse gradients have been."""
    sparse = [is_sparse(gradient._array) for gradient in gradients]
    if not any(sparse):
        return params, states, gradients
    if targets is not None:
        raise UnsupportedError(f"{rule.name}: a sharded optimizer takes no sparse gradients")
    left: tuple[list[Any], ...] = ([], [], [])
    for param, gradient, state, one in zip(params, gradients, states, sparse, strict=True):
        if one:
            update_by_sparse(rule.name, param, gradient, state, group)
        else:
            for each, value in zip(left, (param, state, gradient), strict=True):
                each.append(value)
    return left  # type: ignore[return-value]


def _captured(capture: Capture, *call: Any) -> CapturedStep:
    from distrt.optim.captured import CapturedStep  # for CUDA graphs only

    return CapturedStep(capture, *call)


class RepeatedUpdate:
    """`apply` to parameters whose arrays stay where they are: what there is to know about them is found out once.

    It is for who has made these arrays, and knows that they are still there. Their versions are not counted.
    """

    def __init__(self, rule: Rule, places: Sequence[tuple[_Places, Sequence[int]]]) -> None:
        self._rule, self._places = rule, places

    @classmethod
    def prepare(
        cls,
        rule: Rule,
        params: Sequence[Tensor],
        states: Sequence[State],
        group: Group,
        targets: Sequence[Array],
    ) -> RepeatedUpdate | None:
        """After an `apply` with the same arguments; None where, so far, it takes no compiled loop."""
        if group.get("differentiable") or not is_worth_compiling():
            return None
        names = rule.state_names(group)
        together: dict[tuple[Any, int], tuple[list[list[Array]], list[int]]] = {}
        sets_of_all = zip(params, _gradients(params), states, targets, strict=True)
        for place, (param, gradient, state, target) in enumerate(sets_of_all):
            rows = _in_rows(_arrays(param, gradient, state, names, target))
            if rows is None or is_on_gpu(rows[0]) or not can_compile(_LOOPED[rows[0].dtype][0]):
                return None
            if rows[0].size:
                sets, which = together.setdefault((rows[0].dtype, len(rows)), ([], []))
                sets.append(rows)
                which.append(place)
        update = _Update(rule.update, has_target=True)
        return cls(rule, [(_Places(update, sets), which) for sets, which in together.values()])

    def run(self, params: Sequence[Tensor], states: Sequence[State], group: Group) -> None:
        """Take another step with these parameters, whose gradients have been written anew."""
        numbers = [
            self._rule.numbers(param, state, group) for param, state in zip(params, states, strict=True)
        ]
        for places, which in self._places:
            own = [numbers[place] for place in which]
            for start, end in _stretches(own):
                has_run = places.run(start, end, own[start])
                assert has_run, "there is a compiler for these dtypes"


def _gradients(params: Sequence[Tensor]) -> list[Tensor]:
    """Theirs: whoever calls has left out those without."""
    return cast("list[Tensor]", [param.grad for param in params])


def _arrays(
    param: Tensor, gradient: Tensor, state: State, names: Sequence[str], target: Array | None
) -> list[Array]:
    """A set of arrays as an update takes it."""
    arrays = [param._array, gradient._array, *[state[name]._array for name in names]]
    return arrays if target is None else [*arrays, target]


def _require_updatable(
    rule: Rule, param: Tensor, gradient: Tensor, state: State, names: Sequence[str], is_recorded: bool
) -> None:
    if param._array.dtype not in _LOOPED:
        raise NoKernelError(
            f"{rule.name}: an optimizer changes floating point and complex parameters only; this one is {param.dtype}"
        )
    if not is_recorded:
        require_writeable(param)
    # They differ where `.data` was replaced since; a compiled loop would read beyond the end.
    if gradient._array.shape != param._array.shape:
        raise ShapeError(
            f"{rule.name}: the gradient has size {list(gradient.shape)}, its parameter {list(param.shape)}: one of "
            "them was replaced after the backward pass"
        )
    require_step(state)
    for name in names:
        tensor = state.get(name)
        if tensor is None:  # the rule makes it
            continue
        if tensor._array.shape != param._array.shape:
            raise ShapeError(
                f"the state {name!r} has size {list(tensor.shape)}, its parameter {list(param.shape)}: it was saved "
                "for another model"
            )
        require_writeable(tensor)


class _Update(NamedTuple):
    """What is done with each set of arrays: values, gradient, state, and perhaps where the new values go."""

    rule: Callable[..., None]
    has_target: bool


def _run_recorded(update: Callable[..., None], tensors: Sequence[Any], numbers: Numbers) -> None:
    """Runs the update on copies, which the graph may keep while the next step changes values and state again."""
    is_complex = tensors[0].is_complex()
    before = [ops.view_as_real(tensor.clone()) if is_complex else tensor.clone() for tensor in tensors]
    operands = [Recorded(tensor) for tensor in before]
    update(*operands, **numbers)
    for tensor, operand, old in zip(tensors, operands, before, strict=True):
        if operand.tensor is not old:
            tensor.copy_(ops.view_as_complex(operand.tensor) if is_complex else operand.tensor)


def _run(update: _Update, changed: Sequence[tuple[list[Array], Numbers]]) -> None:
    """Runs the update on each set of arrays, those that are alike together.

    In the given order where sets have elements in common, which only those of one dtype can.
    """
    is_worth_it = is_worth_compiling()
    together: _Together = {}
    scratches: dict[Any, Scratch] = {}
    for arrays, numbers in changed:
        rows = _in_rows(arrays) if is_worth_it or (used.gpu and is_on_gpu(arrays[0])) else None
        if rows is None:
            if used.gpu:
                refuse(
                    "the step of a parameter whose gradient or state lies otherwise",
                    "it has numbers in its kernels",
                )
            _run_compiled(update, together, scratches)
            _run_in_blocks(update, arrays, numbers, scratches)
        elif rows[0].size:
            sets, own = together.setdefault((rows[0].dtype, len(rows), _place(rows[0])), ([], []))
            sets.append(rows)
            own.append(numbers)
    _run_compiled(update, together, scratches)


def _run_compiled(update: _Update, together: _Together, scratches: dict[Any, Scratch]) -> None:
    """Runs the update on sets that have been put together, and forgets them."""
    for sets, numbers in together.values():
        run = (_OnGpu if used.gpu and is_on_gpu(sets[0][0]) else _Places)(update, sets).run
        for start, end in _stretches(numbers):
            if not run(start, end, numbers[start]):
                for place in range(start, end):
                    _run_in_blocks(update, sets[place], numbers[place], scratches)
    together.clear()


def _place(array: Array) -> Any:
    """What tells devices apart."""
    return device_of(array) if used.gpu else None


def _in_rows(arrays: list[Array]) -> list[Array] | None:
    """The arrays, each with its elements in a row, all in one order; None where they do not lie so."""
    dtype, kind = arrays[0].dtype, arrays[0].__class__
    if kind is not np.ndarray and not is_on_gpu(arrays[0]):
        return None
    arrays = _in_memory_order(arrays)
    for array in arrays:
        if array.__class__ is not kind or array.dtype != dtype or not array.flags.c_contiguous:
            return None
    return arrays


class _Sets:
    """Sets of arrays that a compiled loop goes through: those of `_in_rows`, all of one dtype, number and device."""

    def __init__(self, update: _Update, sets: Sequence[Sequence[Array]]) -> None:
        self._update, self._arrays = update, len(sets[0])
        self._dtype, self._constants_code, self._parts = _LOOPED[sets[0][0].dtype]

    def _loop(self, numbers: Numbers) -> tuple[Loop, list[float]]:
        return _traced(self._update, self._dtype, self._arrays, tuple(numbers.items()))

    def run(self, start: int, end: int, numbers: Numbers) -> bool:
        """Updates the sets from start to end with the same numbers in one call; False where there is no compiler."""
        raise NotImplementedError


class _Places(_Sets):
    """They lie in this process's memory; that they live is their owner's care."""

    def __init__(self, update: _Update, sets: Sequence[Sequence[Array]]) -> None:
        super().__init__(update, sets)
        self._sizes = packed("q", [self._parts * arrays[0].size for arrays in sets])
        self._pointers = packed("Q", map(address, chain.from_iterable(sets)))
        self._known: tuple[Loop | None, Run | None] = (
            None,
            None,
        )  # to look up code takes as long as to run some

    def run(self, start: int, end: int, numbers: Numbers) -> bool:
        loop, constants = self._loop(numbers)
        known, run = self._known
        if loop is not known:
            self._known = loop, (run := compiled(loop))
        if run is None:
            return False
        sizes, pointers = self._sizes, self._pointers
        given = packed(self._constants_code, constants)
        run(
            end - start,
            sizes.buffer_info()[0] + start * sizes.itemsize,
            pointers.buffer_info()[0] + start * self._arrays * pointers.itemsize,
            given.buffer_info()[0],
        )
        return True


class _OnGpu(_Sets):
    """They lie on a GPU."""

    def __init__(self, update: _Update, sets: Sequence[list[Array]]) -> None:
        super().__init__(update, sets)
        self._sets = sets

    def run(self, start: int, end: int, numbers: Numbers) -> bool:
        loop, constants = self._loop(numbers)
        far = None
        if capturing.now is not None:
            far = capturing.now.step.room(numbers, self._loop, self._sets[start][0])
        on_gpu.loops.run(loop, self._sets[start:end], constants, self._parts, far=far)
        return True


def _stretches(numbers: Sequence[Numbers]) -> Iterator[tuple[int, int]]:
    """From where to where neighbours have the same numbers."""
    start, first = 0, numbers[0]
    for end, each in enumerate(numbers):
        if each != first:
            yield start, end
            start, first = end, each
    yield start, len(numbers)


@functools.lru_cache(maxsize=64)
def _traced(
    update: _Update, dtype: str, arrays: int, numbers: tuple[tuple[str, Any], ...]
) -> tuple[Loop, list[float]]:
    return trace(update.rule, dtype, arrays, dict(numbers), has_target=update.has_target)


def _run_in_blocks(
    update: _Update, arrays: list[Array], numbers: Numbers, scratches: dict[Any, Scratch]
) -> None:
    """Runs the update over blocks of the flat arrays; what cannot be flattened in place is copied, and put back."""
    if update.has_target:
        *arrays, target = arrays
        target[...] = arrays[0]
        arrays[0] = target
    arrays = _in_memory_order(arrays)
    flat = [_flat(array) for array in arrays]
    note_effort(flat[0].size + _PARAMETER_COST)
    dtype, place = flat[0].dtype, _place(flat[0])
    is_half = dtype.itemsize == 2
    scratch = scratches.get((dtype, place))
    if scratch is None:
        scratch = Scratch(np.float32, dtype, flat[0]) if is_half else Scratch(dtype, like=flat[0])
        scratches[dtype, place] = scratch
    block = BLOCK if isinstance(flat[0], np.ndarray) else max(1, flat[0].size)
    for start in range(0, flat[0].size, block):
        pieces = [array[start : start + block] for array in flat]
        blocks = [Block(piece.astype(np.float32) if is_half else piece, scratch) for piece in pieces]
        scratch.taken = 0
        update.rule(*blocks, **numbers)
        if is_half:
            for position, (piece, block) in enumerate(zip(pieces, blocks, strict=True)):
                if position != 1:  # the gradient is only read
                    piece[...] = block.array
    for position, (array, piece) in enumerate(zip(arrays, flat, strict=True)):
        if position != 1 and not array.flags.c_contiguous:
            array[...] = piece.view(array.dtype).reshape(array.shape)


def _in_memory_order(arrays: list[Array]) -> list[Array]:
    """The arrays with their dims in the order in which the first one lies in memory, widest stride first."""
    first = arrays[0]
    if first.flags.c_contiguous:
        return arrays
    order = dim_order(first)
    return [array.transpose(order) for array in arrays]


def _flat(array: Array) -> Array:
    """The elements in a row, complex ones as pairs; a copy where they do not lie in a row."""
    flat = row_major(array).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat
