"""What an expression is to the compiler: its form in the program, its type, and what is known of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distrt.jit.program import IR
from distrt.nn.modules.module import Module

UNKNOWN = object()


@dataclass(frozen=True)
class Modules:
    """The type of an expression that is one of these modules."""

    modules: tuple[Module, ...]

    def children(self) -> Modules:
        """The type of what going through such a container gives."""
        return Modules(
            tuple(each for module in self.modules for each in module._modules.values() if each is not None)
        )


@dataclass
class Meaning:
    """One expression.

    Attributes:
        ir: its form in the program; None for what is no value there: functions, classes, Python modules.
        type: its type, or None.
        value: what it is, where that is known when compiling; UNKNOWN otherwise.
    """

    ir: IR | None
    type: Any = None
    value: Any = UNKNOWN

    @property
    def is_known(self) -> bool:
        """True where the value is known when compiling."""
        return self.value is not UNKNOWN


def is_optional(kind: Any) -> bool:
    """True for the type of what may be None."""
    return isinstance(kind, list) and kind[0] == "Optional"


def is_converted(given: Any, wanted: Any) -> bool:
    """True where PyTorch converts without a word: a tensor of one element to a number."""
    return given == "Tensor" and wanted in ("int", "float")


def as_wanted(given: Meaning, wanted: Any) -> Meaning:
    """The expression, as a number where one is wanted and a tensor is given."""
    if is_converted(given.type, wanted):
        return Meaning(["call", f"jit.as_{wanted}", [given.ir], {}], wanted)
    return given


def plain(kind: Any) -> Any:
    """The type as the program has it, which does not tell modules apart."""
    return "Module" if isinstance(kind, Modules) else kind
