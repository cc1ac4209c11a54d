"""Element-wise loops over arrays, compiled by LLVM when they are first needed.

NumPy makes one pass over memory for each operation. A `Loop` lists what becomes of one element, and ``compiled`` makes
code of it that reads each array once and writes each result once, however many operations lie between. An operation
rounds as NumPy's does, and none is contracted or reordered: so the bits are those of NumPy's passes.

Needs llvmlite (extra ``fast``). Loading it takes 60 ms and a loop some 20 ms, as long as some hundred steps of a small
model. So compiling begins when NumPy has taken about as long (`is_worth_compiling`): a short program is not held up,
and a long one loses little.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from distrt.core.process.forking import lock_across_forks

__all__ = [
    "Loop",
    "Run",
    "Step",
    "address",
    "can_compile",
    "compiled",
    "function_of",
    "is_worth_compiling",
    "load",
    "multiplies_bfloat16",
    "note_effort",
    "vector_floats",
]

_log = logging.getLogger(__name__)

_COMPILE_AFTER = 40_000_000  # elements that NumPy has gone through: about a tenth of a second
_VECTOR_BYTES = 64  # of the elements computed at once; LLVM cuts it into the registers that the machine has

#: Called as run(count, sizes, pointers, constants); see `Loop`. Lets go of the interpreter's lock meanwhile.
Run: TypeAlias = Callable[[int, int, int, int], None]

_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class Step(NamedTuple):
    """One operation on values that came before; its result is the next value.

    Attributes:
        verb: "add", "sub", "mul", "div", "neg", "abs", "sqrt", "max", "min" (both give NaN where one is), "by_sign" (of
            the first, the second where it is above 0, the third below, the fourth else), "float16" or "bfloat16"
            (rounded to that and back), "from_exponent" (in float32: the last 9 bits become sign and exponent).
        operands: numbers of values.
    """

    verb: str
    operands: tuple[int, ...]


class Loop(NamedTuple):
    """What becomes of each element.

    Values are numbered: first the ``arrays``' elements, then the ``constants``, then the steps' results. Arrays that
    are stored to may be the same as others or apart, but not overlap with a shift.

    Run on ``count`` sets of arrays: ``sizes`` is where their lengths are (int64 each), ``pointers`` where the arrays'
    addresses are (for each set one after another), ``constants`` where the constants are, in the dtype of computation.

    Attributes:
        dtype: of the arrays: "float32", "float64", "float16" or "bfloat16"; the last two are computed in float32.
        arrays: how many there are.
        constants: how many there are.
        steps: the operations.
        stores: (array, value) pairs: what is written where.
        halves: the arrays that are of bfloat16, whatever ``dtype`` says of the others.
    """

    dtype: str
    arrays: int
    constants: int
    steps: tuple[Step, ...]
    stores: tuple[tuple[int, int], ...]
    halves: tuple[int, ...] = ()


@functools.lru_cache(maxsize=256)
def compiled(loop: Loop) -> Run | None:
    """The loop as machine code; None where llvmlite is not there, or this machine cannot do it."""
    if not can_compile(loop.dtype):
        return None
    from distrt.core.kernels.loop_code import code_of

    function = _PROTOTYPE(load(code_of(loop)))
    run: Run = function
    return run


def can_compile(dtype: str) -> bool:
    """Whether there is a compiler here, and it can do loops on this dtype."""
    machine = _machines.get()
    return machine is not None and (dtype != "float16" or machine.has_float16)


def vector_floats() -> int:
    """How many floats are multiplied and added at once: 8 or 16; 0 where there is no compiler, or no such vector."""
    machine = _machines.get()
    return 0 if machine is None else machine.vector_floats


def multiplies_bfloat16() -> bool:
    """Whether compiled code can multiply bfloat16 by the processor's own instructions."""
    machine = _machines.get()
    return machine is not None and machine.multiplies_bfloat16


def load(text: str) -> int:
    """Compile a module whose one function is named "run"; its address, which is good for ever.

    Raises:
        RuntimeError: there is no compiler here (`can_compile`).
    """
    machine = _machines.get()
    if machine is None:
        raise RuntimeError("compiled loops need llvmlite")
    return machine.load(text)


def function_of(text: str, pointers: int, integers: int) -> Callable[..., None]:
    """The same module's function, which takes so many addresses, and then 64-bit integers."""
    kinds = [ctypes.c_void_p] * pointers + [ctypes.c_int64] * integers
    function: Callable[..., None] = ctypes.CFUNCTYPE(None, *kinds)(load(text))
    return function


class _Effort:
    """What NumPy has done in this process that a loop would have done."""

    elements = 0


def note_effort(elements: int) -> None:
    """NumPy has gone through so many elements, or has taken as long as for so many."""
    _Effort.elements += elements


def is_worth_compiling() -> bool:
    """Whether NumPy has taken about as long by now as it takes to compile."""
    return _Effort.elements >= _COMPILE_AFTER


def address(array: Any) -> int:
    """Where a NumPy array's first element is; eight times as fast as asking NumPy."""
    if _IS_AFTER_HEAD and array.__class__ is np.ndarray:
        return _word_at(id(array) + object.__basicsize__).value
    return int(array.__array_interface__["data"][0])


_word_at = ctypes.c_ssize_t.from_address

# In NumPy's binary interface the address is the first word after what every object of CPython begins with.
_probe = np.zeros(1)
_IS_AFTER_HEAD = (
    sys.implementation.name == "cpython"
    and _word_at(id(_probe) + object.__basicsize__).value == _probe.__array_interface__["data"][0]
)


_compiling = lock_across_forks()


class _Machine:
    """LLVM's compiler for this machine."""

    def __init__(self, llvm: Any) -> None:
        self._llvm = llvm
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = llvm.get_host_cpu_features()
        self.has_float16 = bool(features.get("f16c"))
        has_fused = features.get("avx2") and features.get("fma")
        self.vector_floats = 0 if not has_fused else 16 if features.get("avx512f") else 8
        self.multiplies_bfloat16 = self.vector_floats == 16 and bool(features.get("avx512bf16"))
        self._cpu, self._features = llvm.get_host_cpu_name(), features.flatten()
        self._engines: list[Any] = []

    def load(self, text: str) -> int:
        """Compile a module whose one function is named "run"; its address, which is good for ever.

        Every module has an engine of its own: an engine that takes one more makes the pages of its former ones
        writable for a moment, and not executable, while another thread may run them.
        """
        llvm = self._llvm
        with _compiling:
            target = llvm.Target.from_default_triple()
            machine = target.create_target_machine(cpu=self._cpu, features=self._features, opt=3)
            engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
            engine.finalize_object()
            self._engines.append(engine)
            return int(engine.get_function_address("run"))


class _Machines:
    """The one `_Machine` of the process. Threads may ask at once, and code must not go with a second one's compiler."""

    def __init__(self) -> None:
        self._lock = lock_across_forks()
        self._is_looked_for = False
        self._found: _Machine | None = None

    def get(self) -> _Machine | None:
        """None where there is no llvmlite, or it cannot be used here."""
        with self._lock:
            if not self._is_looked_for:
                self._is_looked_for = True
                self._found = self._look()
            return self._found

    @staticmethod
    def _look() -> _Machine | None:
        try:
            import llvmlite.binding
        except ImportError:
            return None
        try:
            return _Machine(llvmlite.binding)
        except Exception as error:  # a machine that forbids code made at run time, or that LLVM does not know
            _log.warning("compiled loops are off, NumPy serves: %s", error)
            return None


_machines = _Machines()
