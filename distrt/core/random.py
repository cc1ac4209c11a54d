"""Random numbers: counter-based generators (Philox 4x64-10), one default per thread.

The stream is distrt's own: the same seed gives the same numbers on every machine, but not PyTorch's numbers.
docs/random.md defines which stream a rank, a worker and a generator read.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from distrt.core.arrays import Array, as_array, is_array, is_meta, is_on_gpu
from distrt.core.device import META, require_available
from distrt.core.device import device as device_type
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DataError, DeviceError, DtypeError, NoKernelError, ShapeError
from distrt.core.tensor import Tensor, wrap

DEFAULT_SEED = 67280421310721  # PyTorch's own, so that `initial_seed()` prints the familiar number
_STATE_WORDS = 14  # seed, counter (4), key (2), buffer (4), place in it, half a word that is left over (2)


class Generator:
    """A stream of random numbers, seeded with ``manual_seed``: ``Generator()``, ``Generator("cpu")``."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device: device_type = require_available(device)
        if self.device is META:
            raise DeviceError("META device type not an accelerator.")
        self._start(DEFAULT_SEED, 0)

    def _start(self, seed: int, stream: int) -> None:
        self._seed = seed
        self.numpy = np.random.Generator(np.random.Philox(key=seed + (stream << 64)))

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
        """Where the stream stands, as a uint8 tensor for ``set_state``."""
        inner: Any = self.numpy.bit_generator.state
        words = [self._seed, *inner["state"]["counter"], *inner["state"]["key"], *inner["buffer"]]
        words += [inner["buffer_pos"], inner["has_uint32"], inner["uinteger"]]
        return wrap(np.array(words, np.uint64).view(np.uint8).copy())

    def set_state(self, new_state: Tensor) -> Generator:
        """Goes back to a state. Returns self.

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
        if new_state._array.size != _STATE_WORDS * 8:
            raise ShapeError(
                f"RNG state is wrong size: {_STATE_WORDS * 8} bytes were expected, got {new_state._array.size}"
            )
        words = np.ascontiguousarray(new_state._array).view(np.uint64)
        if words[11] > 4 or words[12] > 1:  # NumPy would read beyond its buffer
            raise DataError("RNG state is damaged: it is no state that get_state gave")
        generator = np.random.Philox(key=0)
        generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": words[1:5].copy(), "key": words[5:7].copy()},
            "buffer": words[7:11].copy(),
            "buffer_pos": int(words[11]),
            "has_uint32": int(words[12]),
            "uinteger": int(words[13]),
        }
        self._seed = int(words[0])
        self.numpy = np.random.Generator(generator)
        return self

    def clone_state(self) -> Generator:
        """A new generator that stands where this one stands."""
        return Generator(self.device).set_state(self.get_state())

    graphsafe_get_state = clone_state

    def graphsafe_set_state(self, state: Generator) -> Generator:
        """Goes to where another generator stands. Returns self."""
        return self.set_state(state.get_state())

    def __reduce__(self) -> Any:
        return _restored, (self.get_state(),)

    def __repr__(self) -> str:
        return f"<torch.Generator device={self.device} seed={self._seed}>"


def _restored(state: Tensor) -> Generator:
    return Generator().set_state(state)


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


def numpy_generator(generator: Generator | None, like: Array | None = None) -> np.random.Generator:
    """The NumPy generator inside ``generator``, or inside the default one; for arrays without data, one of none.

    Raises:
        TypeError: for anything else.
    """
    if is_meta(like):
        from distrt.core.meta.drawing import nothing

        return nothing  # type: ignore[return-value]
    if generator is None:
        return default_generator.numpy
    if not isinstance(generator, Generator):
        raise TypeError(f"expected a Generator, got {type(generator).__name__}")
    return generator.numpy


def source_of(generator: Generator | None, like: Array | None) -> Any:
    """Who draws what goes where an array is: NumPy's generator, or on a GPU or meta one with the same methods."""
    keys = numpy_generator(generator, like)
    if like is None or like.__class__ is np.ndarray or not is_on_gpu(like):
        return keys
    from distrt.core.kernels import on_gpu

    return on_gpu.draws.Source(keys, like)


# Draws, in the dtype that they are wanted in

#: For the dtypes that NumPy does not draw in: how many bits of a number in [0, 1) they hold, so that none rounds to 1.
_FRACTION_BITS = {dt.float16.numpy: 11, dt.bfloat16.numpy: 8}


def _require_drawable(name: str, kind: np.dtype[Any]) -> None:
    if dt.category_of(kind) < 2:
        raise NoKernelError(f'"{name}" not implemented for {dt.known(kind)}')


def draw_uniform(
    shape: tuple[int, ...], kind: np.dtype[Any], generator: Generator | None, like: Array | None = None
) -> Array:
    """Uniform in [0, 1), where ``like`` is; both parts of a complex number are."""
    _require_drawable("uniform", kind)
    source = source_of(generator, like)
    if kind in _FRACTION_BITS:
        steps = 1 << _FRACTION_BITS[kind]
        return as_array(source.integers(0, steps, shape) / steps).astype(kind)
    if kind.kind == "c":
        real = np.dtype(f"f{kind.itemsize // 2}")
        return as_array(source.random((*shape, 2), real)).view(kind)[..., 0]
    return as_array(source.random(shape, kind))


def draw_normal(
    shape: tuple[int, ...], kind: np.dtype[Any], generator: Generator | None, like: Array | None = None
) -> Array:
    """Normal with mean 0 and standard deviation 1, where ``like`` is; a complex number has parts of variance 1/2."""
    _require_drawable("normal_kernel_cpu", kind)
    source = source_of(generator, like)
    if kind.kind == "c":
        real = np.dtype(f"f{kind.itemsize // 2}")
        parts = source.standard_normal((*shape, 2), real)
        return as_array(parts * real.type(np.sqrt(0.5))).view(kind)[..., 0]
    wide = np.dtype(np.float64) if kind == np.float64 else np.dtype(np.float32)
    return as_array(source.standard_normal(shape, wide)).astype(kind, copy=False)


def draw_exponential(shape: tuple[int, ...], generator: Generator | None, like: Array | None = None) -> Array:
    """Exponential with rate 1, in float64, where ``like`` is."""
    return as_array(source_of(generator, like).standard_exponential(shape))


def draw_bernoulli(
    chances: Any,
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    generator: Generator | None,
    like: Array | None = None,
) -> Array:
    """1 with the probability given, else 0; where ``like`` is.

    Raises:
        ShapeError: for a probability outside 0 to 1.
    """
    if is_meta(chances) or is_meta(like):
        return np.empty(shape, kind, like=chances if is_meta(chances) else like)
    plain = chances if is_array(chances) else np.asarray(chances)
    if not bool(((plain >= 0) & (plain <= 1)).all()):
        raise ShapeError(f"bernoulli_ expects p to be in [0, 1], but got p={plain.reshape(-1)[:3].tolist()}")
    drawn = source_of(generator, like).random(shape)
    if is_on_gpu(drawn) and isinstance(plain, np.ndarray):
        plain = np.asarray(plain, like=drawn) if plain.ndim else float(plain)
    return as_array(drawn < plain).astype(kind)
