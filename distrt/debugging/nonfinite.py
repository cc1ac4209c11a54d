"""``find_nonfinite``: where the first infinity or NaN comes from, forward or backward.

Python itself tells of each call (``sys.setprofile``, for this thread and time only), as it tells the profiler.
"""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from distrt.comm.world import default_group, is_initialized
from distrt.core.process.users_code import users_frame
from distrt.core.tensor import Tensor
from distrt.debugging.optimizer_steps import StepWatch
from distrt.nn.modules.module import Module
from distrt.tracing import targets

__all__ = ["NonFiniteError", "find_nonfinite"]

_CALL = Module.__call__.__code__


class NonFiniteError(FloatingPointError):
    """An operation has made an infinity or NaN out of finite numbers.

    Attributes:
        operation: its name; of a backward pass, the node's.
        module: the dotted path of the module that called it; "" outside of one.
        line: ``file:line`` of the script that led there.
        rank: of the default group; 0 where there is none.
    """

    def __init__(self, operation: str, module: str, line: str, rank: int, what: str) -> None:
        self.operation, self.module, self.line, self.rank = operation, module, line, rank
        inside = f" in {module}" if module else ""
        super().__init__(
            f"rank {rank}: {operation}{inside} ({line}) gave {what}, and was given finite numbers alone"
        )


class find_nonfinite:  # noqa: N801 - used like the other blocks of its kind, ``detect_anomaly`` for one
    """A block in which every operation of this thread is looked at, which takes several times as long.

    Operations, forward and backward, and the steps of optimizers. Who asks for an infinity (``full``, ``masked_fill``
    with ``-inf``) gets it.

        with distrt.debugging.find_nonfinite(model):
            loss = criterion(model(inputs), targets)
            loss.backward()

    Args:
        model: gives modules their names.
        infinities: False to look for NaN alone.

    Raises:
        NonFiniteError: at the first operation that makes what is not finite.
        TypeError: the model is no module.
        RuntimeError: something else looks at this thread's calls, such as a profiler.
    """

    def __init__(self, model: Module | None = None, infinities: bool = True) -> None:
        if not isinstance(model, Module | None):
            raise TypeError(f"find_nonfinite: expected a module, got {type(model).__name__}")
        self._paths = {} if model is None else {id(each): path for path, each in model.named_modules()}
        self._kinds = {} if model is None else {id(each): type(each).__name__ for each in model.modules()}
        self._parameters = (
            {} if model is None else {id(each): path for path, each in model.named_parameters()}
        )
        self._fault = _not_finite if infinities else np.isnan
        self._steps = StepWatch(lambda tensor: not self._count(tensor._array), self._blame_step)
        self._scopes: list[tuple[types.FrameType | None, str]] = []
        self._frame: types.FrameType | None = None
        self._name = ""
        self._is_sound = True  # what the call that runs was given
        self._origins: dict[
            int, tuple[Any, str, str]
        ] = {}  # by a node's edges: the node, its module and line

    def __enter__(self) -> find_nonfinite:
        if sys.getprofile() is not None:
            raise RuntimeError("find_nonfinite: something looks at the calls of this thread already")
        self._steps.open()
        sys.setprofile(self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(None)
        self._steps.close()
        self._origins.clear()

    def _hear(self, frame: types.FrameType, event: str, value: Any) -> None:
        if event == "call":
            if self._frame is None:
                self._begin(frame)
        elif event == "return":
            if frame is self._frame:
                self._frame = None
                if value is not None:
                    self._end(frame, value)
            elif self._scopes and frame is self._scopes[-1][0]:
                self._scopes.pop()

    def _begin(self, frame: types.FrameType) -> None:
        code = frame.f_code
        if code is _CALL:
            module = frame.f_locals.get("self")
            path = self._paths.get(id(module))
            if path is not None:
                self._scopes.append((frame, f"{path or 'the model'} ({self._kinds[id(module)]})"))
            return
        if code.co_filename.startswith("<op ") and code.co_name == "backward":
            self._name = frame.f_globals["definition"].node_name
        elif targets.may_be_named(code) and not code.co_name.startswith("<"):
            name = targets.name_of(frame)
            if name is None:
                return
            self._name = name
        else:
            return
        self._frame = frame
        given = list(_arrays_in(tuple(frame.f_locals.values())))
        # Who makes a tensor of nothing asks for what is in it.
        self._is_sound = bool(given) and not any(self._count(array) for array in given)
        self._is_sound &= all(math.isfinite(each) for each in frame.f_locals.values() if type(each) is float)

    def _end(self, frame: types.FrameType, result: Any) -> None:
        is_backward = frame.f_code.co_name == "backward"
        if is_backward:
            _, module, line = self._origins.get(id(frame.f_locals["edges"]), (None, "", _users_line(frame)))
        else:
            module, line = self._scopes[-1][1] if self._scopes else "", _users_line(frame)
            for node in _nodes_of(result):
                self._origins[id(getattr(node, "edges", None))] = node, module, line
        if not self._is_sound:
            return
        for array in _arrays_in(result):
            count = self._count(array)
            if count:
                sys.setprofile(None)
                said = f"{self._first_of(array)}, {count} of {array.size} values that are not finite"
                raise NonFiniteError(self._name, module, line, _rank(), said)

    def _blame_step(self, optimizer: Any, parameter: Tensor, kept: str, tensor: Tensor) -> None:
        sys.setprofile(None)
        path, array = self._parameters.get(id(parameter), "a parameter"), tensor._array
        what = f"{path}'s {kept}" if kept else path
        said = f"{self._first_of(array)} of {what}, {self._count(array)} of {array.size} values that are not finite"
        name = f"{type(optimizer).__name__}.step"
        raise NonFiniteError(name, path.rpartition(".")[0], _users_line(sys._getframe()), _rank(), said)

    def _first_of(self, array: Any) -> str:
        place = tuple(np.argwhere(self._fault(array))[0].tolist())
        return f"{array[place]} at {list(place)}"

    def _count(self, array: Any) -> int:
        return int(np.count_nonzero(self._fault(array))) if array.dtype.kind in "fcV" else 0


def _not_finite(array: Any) -> Any:
    return ~np.isfinite(array)


def _arrays_in(nest: Any) -> Iterator[Any]:
    if isinstance(nest, Tensor):
        yield nest._array
    elif isinstance(nest, np.ndarray):
        yield nest
    elif isinstance(nest, tuple | list):
        for each in nest:
            yield from _arrays_in(each)


def _nodes_of(result: Any) -> Iterator[Any]:
    if isinstance(result, Tensor):
        if result._edge is not None:
            yield result._edge[0]
    elif isinstance(result, tuple | list):
        for each in result:
            yield from _nodes_of(each)


def _users_line(frame: types.FrameType | None) -> str:
    found = users_frame(frame)
    return f"{found.f_code.co_filename}:{found.f_lineno}" if found is not None else "?"


def _rank() -> int:
    return default_group().rank() if is_initialized() else 0
