"""What a checkpointed part is repeated in: what held around its forward pass, and what callers asked for.

For `distrt.utils.checkpoint`, and for its older form in `distrt.utils.reentrant_checkpoint`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from distrt.core import autocast
from distrt.core.modes import enable_grad
from distrt.core.random.generator import default_generator

#: Makes what a repetition happens in.
Surroundings = Callable[[], AbstractContextManager[Any]]


class _Settings(threading.local):
    """What holds in this thread: what ``set_checkpoint_early_stop`` and `repeated_in` have set."""

    def __init__(self) -> None:
        self.stops_early = True
        self.surroundings: tuple[Surroundings, ...] = ()


settings = _Settings()


class repeated_in:  # noqa: N801 - reads as what it says: with repeated_in(surroundings)
    """For a block: parts of it are repeated in ``surroundings()``, such as what brings the parameters that they use."""

    __slots__ = ("_outer", "_surroundings")

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def __enter__(self) -> None:
        self._outer = settings.surroundings
        settings.surroundings = (*self._outer, self._surroundings)

    def __exit__(self, *_: object) -> None:
        settings.surroundings = self._outer


class Circumstances:
    """What holds where one is made, to be brought back: surroundings, autocast, and the random numbers if wanted."""

    def __init__(self, preserve_rng_state: bool) -> None:
        self._surroundings = settings.surroundings
        self._autocast = autocast.snapshot()
        self._rng_state = default_generator.get_state() if preserve_rng_state else None

    @contextmanager
    def again(self) -> Iterator[None]:
        """All of it for a block, in which operations are recorded."""
        with ExitStack() as around:
            for surroundings in self._surroundings:
                around.enter_context(surroundings())
            around.enter_context(autocast.restored(self._autocast))
            around.enter_context(_random_numbers_of(self._rng_state))
            around.enter_context(enable_grad())
            yield


@contextmanager
def _random_numbers_of(state: Any) -> Iterator[None]:
    """Inside, the default generator draws from ``state`` on; afterwards it goes on where it was."""
    if state is None:
        yield
        return
    outer = default_generator.get_state()
    default_generator.set_state(state)
    try:
        yield
    finally:
        default_generator.set_state(outer)
