"""The modes that change what an operation does: whether gradients are recorded.

One object per thread (ranks of the ``local`` transport are threads). Its constructor runs when a thread first
touches it, and there silences NumPy's floating-point warnings for that thread: tensors follow IEEE 754 without a
word, as PyTorch's do.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.process.users_code import warn


class _Modes(threading.local):
    """The modes of one thread.

    Attributes:
        grad: what a recording operation reads: False, True, or (True and) the watcher that it shows each new node.
        inference: True inside ``inference_mode``.
        watch: called with each node that is recorded; None when nobody watches. ``watch_with`` sets it.
        backward_watcher: runs the nodes in the engine's place; None but in anomaly mode.
        autocast: the narrow NumPy dtype of a mixed-precision block (``core/autocast.py``); None outside.
    """

    grad: Any

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.watch: Callable[[Any], None] | None = None
        self.backward_watcher: Any = None
        self.autocast: Any = None
        self._watchers: dict[str, Callable[[Any], None]] = {}
        np.seterr(divide="ignore", over="ignore", under="ignore", invalid="ignore")

    def record(self, wanted: bool) -> None:
        """Switches recording on or off."""
        self.grad = (self.watch or True) if wanted else False

    def watch_with(self, role: str, watcher: Callable[[Any], None] | None) -> None:
        """Shows each new node to ``watcher`` from now on, in the place of the one that had this role before."""
        self._watchers.pop(role, None)
        if watcher is not None:
            self._watchers[role] = watcher
        watchers = [self._watchers[each] for each in sorted(self._watchers)]
        self.watch = None if not watchers else watchers[0] if len(watchers) == 1 else _all_of(watchers)
        self.record(bool(self.grad))


def _all_of(watchers: list[Callable[[Any], None]]) -> Callable[[Any], None]:
    def watch(node: Any) -> None:
        for watcher in watchers:
            watcher(node)

    return watch


modes = _Modes()


class _Used:
    """What any thread of the process has used so far: an operation looks here first, at a tenth of a mode's cost.

    Attributes:
        autocast: True from the first mixed-precision block on.
        gpu: True from the first tensor on a GPU on.
        gpu_array: from then on, the class of arrays on GPUs; until then none.
        modes: True from the first mode on that takes functions over (``core/overriding``).
        sparse: True from the first sparse tensor on.
        streams: True from the first stream of a GPU on beside the default one.
    """

    __slots__ = ("autocast", "gpu", "gpu_array", "modes", "sparse", "streams")

    autocast: bool
    gpu: bool
    gpu_array: Any
    modes: bool
    sparse: bool
    streams: bool


used = _Used()
used.autocast = False
used.gpu = False
used.gpu_array = ()
used.modes = False
used.sparse = False
used.streams = False


def is_grad_enabled() -> bool:
    """True where operations record what a backward pass needs."""
    return bool(modes.grad)


def is_inference_mode_enabled() -> bool:
    """True inside ``inference_mode``."""
    return modes.inference


class set_grad_enabled:  # noqa: N801 - PyTorch's own spelling
    """Sets the grad mode at once; as a context manager or decorator, for the block or function only."""

    def __init__(self, mode: bool) -> None:
        self._mode = bool(mode)
        self._outer: list[bool] = [bool(modes.grad)]
        modes.record(self._mode)

    def __enter__(self) -> None:
        modes.record(self._mode)

    def __exit__(self, *exception: object) -> None:
        modes.record(self._outer[-1])

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with this mode around it."""
        modes.record(self._outer[-1])  # the constructor was only the decorator's argument list
        return decorated(function, lambda: _GradMode(self._mode))


class _GradMode:
    """A grad mode for a block; re-entrant, and a decorator for functions, methods and generator functions."""

    def __init__(self, mode: bool) -> None:
        self._mode = mode
        self._outer: list[bool] = []

    def __enter__(self) -> None:
        self._outer.append(bool(modes.grad))
        modes.record(self._mode)

    def __exit__(self, *exception: object) -> None:
        modes.record(self._outer.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with this mode around it."""
        return decorated(function, lambda: _GradMode(self._mode))


class no_grad(_GradMode):  # noqa: N801
    """Inside, operations record nothing: results do not require grad."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """``no_grad()``, or a decorated function for ``@no_grad`` without parentheses."""
        made = super().__new__(cls)
        if function is None:
            return made
        made.__init__()  # type: ignore[misc]
        return made(function)

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_GradMode):  # noqa: N801
    """Inside, operations record again, whatever surrounds them."""

    def __init__(self) -> None:
        super().__init__(True)


class inference_mode:  # noqa: N801
    """``no_grad``, and what is made inside can never enter a graph; ``mode=False`` leaves an outer one."""

    def __new__(cls, mode: Any = True) -> Any:
        """``inference_mode()``, or a decorated function for ``@inference_mode`` without parentheses."""
        made = super().__new__(cls)
        if isinstance(mode, bool):
            return made
        made.__init__()  # type: ignore[misc]
        return made(mode)

    def __init__(self, mode: bool = True) -> None:
        self._mode = mode
        self._outer: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._outer.append((bool(modes.grad), modes.inference))
        modes.record(not self._mode)
        modes.inference = self._mode

    def __exit__(self, *exception: object) -> None:
        grad, modes.inference = self._outer.pop()
        modes.record(grad)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with this mode around it."""
        return decorated(function, lambda: inference_mode(self._mode))


def decorated(function: Callable[..., Any], make: Callable[[], Any]) -> Callable[..., Any]:
    """A function, method or generator function that runs inside of what ``make()`` gives for each call."""
    if inspect.isclass(function):
        warn(
            "Decorating classes is deprecated and will be disabled in future versions. You should only decorate "
            "functions or methods. To preserve the current behavior of class decoration, you can directly decorate the "
            "`__init__` method and nothing else.",
            FutureWarning,
        )
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Any:
            with make():
                produced = function(*args, **kwargs)
            try:
                with make():
                    value = next(produced)
                while True:
                    try:
                        received = yield value  # the mode holds while the generator runs, not while its reader does
                    except GeneratorExit:
                        raise
                    except BaseException as thrown:
                        with make():
                            value = produced.throw(thrown)
                    else:
                        with make():
                            value = produced.send(received)
            except StopIteration as stop:
                return stop.value
            finally:
                produced.close()

        return generator

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with make():
            return function(*args, **kwargs)

    return wrapped
