"""Generators: a stream of random words (MT19937) in the order in which PyTorch's CPU generator gives them.

One default generator for each thread. docs/random.md says which stream a rank, a worker and a generator read.
"""

from __future__ import annotations

import ctypes
import operator
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from distrt.core.arrays import Array, is_meta, is_on_gpu
from distrt.core.device import META, require_available
from distrt.core.device import device as device_type
from distrt.core.errors import DataError, DeviceError, DtypeError, ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.tensor import Tensor, wrap

DEFAULT_SEED = 67280421310721  # PyTorch's own, so that a script without a seed draws the same numbers, too

_WORDS = 624  # the state of MT19937, in words of 32 bits

#: ``get_state``, as PyTorch lays it out (``CPUGeneratorImplState``): the state of the Mersenne Twister, each of its
#: words in 64 bits; how many words are left of it; a normal number that was drawn beside another one and is still to be
#: given. Source: https://github.com/pytorch/pytorch, aten/src/ATen/CPUGeneratorImpl.cpp.
_STATE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("words", "<u8", _WORDS),
        ("normal_x", "<f8"),
        ("normal_y", "<f8"),
        ("normal_rho", "<f8"),
        ("normal_is_valid", "<i8"),
        ("float_normal", "<f4"),
        ("float_normal_is_valid", "<i4"),
    ]
)


class _NoSeed(ISeedSequence):
    """Stands where NumPy takes long to make a seed that is not used."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return np.ones(n_words, dtype)


class Source:
    """Where the words come from.

    Attributes:
        numpy: gives the words, and NumPy's distributions made of them.
        state: the memory of its MT19937, to be read and written: 624 words, and how many of them have been given.
        spare: a normal number of float64 that waits for its turn: they are drawn in pairs.
    """

    __slots__ = ("numpy", "spare", "state")

    def __init__(self, seed: int, stream: int = 0) -> None:
        words = np.random.MT19937(_NoSeed())  # type: ignore[arg-type]  # any ISeedSequence
        # MT19937's own seeding by one word (PyTorch's: it leaves out the upper half of a seed), or by several.
        words._legacy_seeding(_halves(seed) + _halves(stream) if stream else seed % 2**32)
        self.numpy = np.random.Generator(words)
        self.state = _state_of(words)
        self.spare: float | None = None

    def copy(self) -> Source:
        """Another one that stands at the same place."""
        made = Source(0)
        made.state[:] = self.state
        made.spare = self.spare
        return made


def _state_of(words: np.random.MT19937) -> Array:
    """The memory of NumPy's ``mt19937_state``, to which the first word of its ``bitgen_t`` points."""
    place = _capsule_pointer(words.capsule, b"BitGenerator")
    memory = (ctypes.c_uint32 * (_WORDS + 1)).from_address(ctypes.c_void_p.from_address(place).value or 0)
    return np.frombuffer(memory, np.uint32)  # type: ignore[call-overload]


_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _halves(number: int) -> list[int]:
    return [number & 0xFFFFFFFF, number >> 32]


class Generator:
    """A stream of random numbers, seeded with ``manual_seed``: ``Generator()``, ``Generator("cpu")``."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device: device_type = require_available(device)
        if self.device is META:
            raise DeviceError("META device type not an accelerator.")
        self._start(DEFAULT_SEED, 0)

    def _start(self, seed: int, stream: int) -> None:
        self._seed = seed
        self.source = Source(seed, stream)

    def manual_seed(self, seed: int) -> Generator:
        """Restarts the stream at ``seed``, any integer of 64 bits. Returns self.

        Raises:
            DataError: for an integer of more bits.
            DtypeError: for what is no integer.
        """
        self._start(_seed_of(seed), 0)
        return self

    def seed(self) -> int:
        """Restarts the stream at a seed from the operating system, and returns it."""
        self.manual_seed(int.from_bytes(os.urandom(8)) >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed that this stream was started with."""
        return self._seed

    def stream(self, number: int) -> Generator:
        """A new generator with the same seed and another, independent stream; this one reads stream 0."""
        made = Generator(self.device)
        made._start(self._seed, number)
        return made

    def get_state(self) -> Tensor:
        """Where the stream stands, as a uint8 tensor for ``set_state``: 5,056 bytes that PyTorch takes, too."""
        inner = self.source.state
        given = int(inner[-1])
        spare = self.source.spare
        state = np.zeros((), _STATE)
        state["seed"], state["seeded"] = self._seed, 1
        state["words"], state["next"], state["left"] = inner[:-1], given, _WORDS + 1 - given
        if spare is not None:
            state["normal_y"], state["normal_is_valid"] = spare, 1
        return wrap(np.frombuffer(state.tobytes(), np.uint8).copy())

    def set_state(self, new_state: Tensor) -> Generator:
        """Goes back to a state, which may be one of PyTorch's CPU generator. Returns self.

        Raises:
            TypeError: for what is no uint8 tensor.
            ShapeError: for one of another size.
            DataError: for one that no generator can be in.
        """
        if not isinstance(new_state, Tensor):
            raise TypeError(
                f"set_state(): argument 'new_state' (position 1) must be Tensor, not {type(new_state).__name__}"
            )
        if new_state._array.dtype != np.uint8:
            raise TypeError(f"RNG state must be a torch.ByteTensor, got {new_state.dtype}")
        if new_state._array.size != _STATE.itemsize:
            raise ShapeError(
                f"RNG state is wrong size: {_STATE.itemsize} bytes were expected, got {new_state._array.size}"
            )
        state = np.frombuffer(np.ascontiguousarray(new_state._array).tobytes(), _STATE)[0]
        if state["seeded"] != 1 or not 0 < state["left"] <= _WORDS or (state["words"] >> 32).any():
            raise DataError("Invalid mt19937 state: it is none that get_state gave")
        self._seed = int(state["seed"])
        self.source = Source(0)
        self.source.state[:-1], self.source.state[-1] = state["words"], _WORDS + 1 - state["left"]
        self.source.spare = float(state["normal_y"]) if state["normal_is_valid"] else None
        return self

    def clone_state(self) -> Generator:
        """A new generator that stands where this one stands."""
        return Generator(self.device).set_state(self.get_state())

    graphsafe_get_state = clone_state

    def graphsafe_set_state(self, state: Generator) -> Generator:
        """Goes to where another generator stands. Returns self."""
        return self.set_state(state.get_state())

    def __reduce__(self) -> Any:  # what PyTorch's gives
        return Generator, (self.device,), (self._seed, None, self.get_state())

    def __setstate__(self, state: tuple[int, None, Tensor]) -> None:
        self.set_state(state[-1])

    def __repr__(self) -> str:
        return f"<torch.Generator device={self.device} seed={self._seed}>"


def _seed_of(seed: Any) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        raise DtypeError(f"manual_seed expected a long, but got {type(seed).__name__}") from None
    if not -(2**63) <= number < 2**64:
        raise DataError(f"Overflow when unpacking long long: a seed has 64 bits, got {number}")
    return number % 2**64


class _DefaultGenerator(threading.local, Generator):
    """One object with a stream for each thread: ranks of the ``local`` transport are threads."""

    def __reduce__(self) -> Any:
        return Generator.__reduce__(self)


default_generator: Generator = _DefaultGenerator()


def manual_seed(seed: Any) -> Generator:
    """Seeds the default generator (of every device), and returns it."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seeds the default generator from the operating system, and returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """Where the default generator stands, as a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default generator back to a state."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(
    devices: Any = None,
    enabled: bool = True,
    _caller: str = "",
    _devices_kw: str = "",
    device_type: str | None = None,
) -> Iterator[None]:
    """Inside, the default generator may be seeded and drawn from; afterwards it stands where it stood before."""
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def source_of(generator: Generator | None) -> Source:
    """Where ``generator``, or the default one, takes its words from.

    Raises:
        TypeError: for anything else.
    """
    if generator is None:
        return default_generator.source
    if not isinstance(generator, Generator):
        raise TypeError(f"expected a Generator, got {type(generator).__name__}")
    return generator.source


def numpy_generator(generator: Generator | None, like: Array | None = None) -> np.random.Generator:
    """NumPy's distributions, of the words of ``generator`` or of the default one.

    For arrays on a GPU they are made there, by a key of the generator's; for arrays without data, of no words.

    Raises:
        TypeError: for anything else.
    """
    if is_meta(like):
        from distrt.core.meta.drawing import nothing

        return nothing  # type: ignore[return-value]
    words = source_of(generator).numpy
    return words if like is None or not is_on_gpu(like) else on_gpu.draws.Source(words, like)  # type: ignore[return-value]
