"""What stands for tensors and sizes while a function is recorded.

A recorded tensor has a subclass of its own class for that time, which gives sizes that remember where they came from
and says where a value leaves the recording. A size is an ``int`` in every respect; its arithmetic is recorded.
"""

from __future__ import annotations

import functools
import operator
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from distrt.core.overriding.dispatch import disabled
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.core.tensors.size import Size, one_of

if TYPE_CHECKING:
    from distrt.tracing.graph import Value
    from distrt.tracing.recorder import Recorder


class TracerWarning(Warning):
    """Something that a trace cannot follow, so that it may be wrong for other inputs."""


_CONSTANT = (
    "might cause the trace to be incorrect. We can't record the data flow of Python values, so this value will be "
    "treated as a constant in the future. This means that the trace might not generalize to other inputs!"
)


def _leaves(what: str, advice: str = _CONSTANT) -> None:
    """Warns, at the user's line, that a value leaves the recording; the library's own checks of sizes go unsaid."""
    if _is_ours(sys._getframe(2)):
        return
    warn(f"{what} {advice}", TracerWarning)


def _is_ours(frame: types.FrameType) -> bool:
    """True for the library's own code, but for the interpreter of programs, whose control flow is the user's."""
    name = frame.f_globals.get("__name__", "")
    return name.startswith("distrt.") and not name.startswith("distrt.jit.")


class TracedInt(int):
    """An integer that was computed from the sizes of recorded tensors."""

    recorder: Recorder
    value: Value

    def _calculate(self, name: str, *operands: Any) -> Any:
        function = getattr(operator, name)
        plain = function(*[int.__index__(each) for each in operands])
        if not self.recorder.is_listening:
            return plain
        return self.recorder.integer(f"operator.{name}", operands, plain)

    def __add__(self, other: Any) -> Any:
        return self._calculate("add", self, other) if isinstance(other, int) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return self._calculate("add", other, self) if isinstance(other, int) else NotImplemented

    def __sub__(self, other: Any) -> Any:
        return self._calculate("sub", self, other) if isinstance(other, int) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return self._calculate("sub", other, self) if isinstance(other, int) else NotImplemented

    def __mul__(self, other: Any) -> Any:
        return self._calculate("mul", self, other) if isinstance(other, int) else NotImplemented

    def __rmul__(self, other: Any) -> Any:
        return self._calculate("mul", other, self) if isinstance(other, int) else NotImplemented

    def __floordiv__(self, other: Any) -> Any:
        return self._calculate("floordiv", self, other) if isinstance(other, int) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Any:
        return self._calculate("floordiv", other, self) if isinstance(other, int) else NotImplemented

    def __mod__(self, other: Any) -> Any:
        return self._calculate("mod", self, other) if isinstance(other, int) else NotImplemented

    def __rmod__(self, other: Any) -> Any:
        return self._calculate("mod", other, self) if isinstance(other, int) else NotImplemented

    def __neg__(self) -> Any:
        return self._calculate("neg", self)

    def _compared(self, other: Any, name: str) -> Any:
        if self.recorder.is_listening and isinstance(other, int | float):
            _leaves_by_comparison()
        return getattr(int, name)(self, other)

    def __eq__(self, other: object) -> Any:
        return self._compared(other, "__eq__")

    def __ne__(self, other: object) -> Any:
        return self._compared(other, "__ne__")

    def __lt__(self, other: Any) -> Any:
        return self._compared(other, "__lt__")

    def __le__(self, other: Any) -> Any:
        return self._compared(other, "__le__")

    def __gt__(self, other: Any) -> Any:
        return self._compared(other, "__gt__")

    def __ge__(self, other: Any) -> Any:
        return self._compared(other, "__ge__")

    def __bool__(self) -> bool:
        if self.recorder.is_listening:
            _leaves("Converting a tensor to a Python boolean")
        return int.__bool__(self)

    def __int__(self) -> int:
        if self.recorder.is_listening:
            _leaves("Converting a tensor to a Python integer")
        return int.__index__(self)

    def __float__(self) -> float:
        if self.recorder.is_listening:
            _leaves("Converting a tensor to a Python float")
        return int.__float__(self)

    __hash__ = int.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (int.__index__(self),)


def _leaves_by_comparison() -> None:
    if not _is_ours(sys._getframe(3)):
        warn(f"Converting a tensor to a Python boolean {_CONSTANT}", TracerWarning)


class TracedSize(Size):
    """The sizes of a recorded tensor; parts of it and sums with it remember where their integers came from."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        picked = tuple.__getitem__(self, index)
        return tuple.__new__(TracedSize, picked) if isinstance(index, slice) else picked

    def __add__(self, other: Any) -> Size:
        Size.__add__(self, other)  # refuses what is no tuple of integers
        return tuple.__new__(TracedSize, tuple.__add__(self, other))

    def __radd__(self, other: Any) -> Size:
        return tuple.__new__(TracedSize, (*other, *self))

    def __mul__(self, count: Any) -> Size:
        return tuple.__new__(TracedSize, tuple.__mul__(self, count))

    __rmul__ = __mul__


class _TracedTensor:
    """The methods of a recorded tensor that differ from a tensor's."""

    __torch_function__ = disabled

    _recorder: Recorder

    @property
    def shape(self) -> Size:
        """The size of each dim, which remember where they came from."""
        return self.size()  # type: ignore[no-any-return]

    def size(self, dim: Any = None) -> Any:
        """The sizes, or the size of one dim."""
        recorder, sizes = self._recorder, tuple(Tensor.shape.fget(self))  # type: ignore[attr-defined]
        if not recorder.is_listening:
            return tuple.__new__(Size, sizes) if dim is None else one_of("size", sizes, dim)
        if dim is None:
            made = [recorder.integer("size", (self, n), each) for n, each in enumerate(sizes)]
            return tuple.__new__(TracedSize, made)
        plain = one_of("size", sizes, dim)
        return recorder.integer("size", (self, int(dim)), plain)

    def numel(self) -> Any:
        """The number of elements."""
        if not self._recorder.is_listening:
            return Tensor.numel(self)  # type: ignore[arg-type]
        return self._recorder.integer("Tensor.numel", (self,), Tensor.numel(self))  # type: ignore[arg-type]

    nelement = numel

    def __len__(self) -> int:
        if self._recorder.is_listening:
            _leaves(
                "Using len to get tensor shape",
                "might cause the trace to be incorrect. Recommended usage would be tensor.shape[0]. Passing a tensor "
                "of different shape might lead to errors or silently give incorrect results.",
            )
        return Tensor.__len__(self)  # type: ignore[arg-type]

    def __iter__(self) -> Any:
        if self._recorder.is_listening:
            _leaves(
                "Iterating over a tensor",
                "might cause the trace to be incorrect. Passing a tensor of different shape won't change the number of "
                "iterations executed (and might lead to errors or silently give incorrect results).",
            )
        return Tensor.__iter__(self)


def _leaving(name: str, what: str) -> Callable[..., Any]:
    """The method ``name``, which first says that a value leaves the recording."""
    method = getattr(Tensor, name)

    @functools.wraps(method)
    def leave(self: Any, *args: Any) -> Any:
        if self._recorder.is_listening:
            _leaves(f"Converting a tensor to a {what}")
        return method(self, *args)

    return leave


for _name, _what in {
    "__bool__": "Python boolean",
    "__float__": "Python float",
    "__index__": "Python index",
    "__int__": "Python integer",
    "__complex__": "Python number",
    "item": "Python number",
    "numpy": "NumPy array",
    "tolist": "Python list",
    "__array__": "NumPy array",
}.items():
    setattr(_TracedTensor, _name, _leaving(_name, _what))


@functools.cache
def traced_class(cls: type) -> type:
    """The subclass that a tensor of this class has while it is recorded."""
    return type(cls)(cls.__name__, (_TracedTensor, cls), {"__module__": cls.__module__, "_plain_class": cls})


def is_traced(tensor: Tensor) -> bool:
    """True while a tensor belongs to a recording."""
    return isinstance(tensor, _TracedTensor)
