"""Random numbers: counter-based generators (Philox 4x64, NumPy's), one default per thread.

The stream is distrt's own: the same seed gives the same numbers on every machine, but not PyTorch's numbers.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

_DEFAULT_SEED = 67280421310721  # PyTorch's own, so that `initial_seed()` prints the familiar number


class Generator:
    """A stream of random numbers, seeded with ``manual_seed``."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device
        self.manual_seed(_DEFAULT_SEED)

    def manual_seed(self, seed: int) -> Generator:
        """Restarts the stream at ``seed`` (any integer; taken modulo 2**64). Returns self."""
        self._seed = int(seed) % 2**64
        self.numpy = np.random.Generator(np.random.Philox(self._seed))
        return self

    def seed(self) -> int:
        """Restarts the stream at a seed from the operating system, and returns it."""
        self.manual_seed(int.from_bytes(os.urandom(8)) >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed that this stream was started with."""
        return self._seed


class _Defaults(threading.local):
    """Ranks of the ``local`` transport are threads, and each has its own stream."""

    def __init__(self) -> None:
        self.generator = Generator()


_defaults = _Defaults()


def default_generator() -> Generator:
    """The generator that random functions use when none is given."""
    return _defaults.generator


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator (of every device), and returns it."""
    return _defaults.generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed of the default generator."""
    return _defaults.generator.initial_seed()


def numpy_generator(generator: Generator | None) -> np.random.Generator:
    """The NumPy generator inside ``generator``, or inside the default one."""
    return (generator or _defaults.generator).numpy
