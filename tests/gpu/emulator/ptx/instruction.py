"""One instruction with its operands as C, and the table that the files of instructions fill.

A handler gives the C of one instruction. What stands behind an instruction's dots has to be known to it: what it does
not name, it would get wrong without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .types import BITS_OF, FLOATS, NUMBER_OF, PAIRS, SIZE, SPACES, UnsupportedError, c_name, c_type, unsigned

_SPECIAL = {
    f"%{name}.{axis}": f"c->{name}[{n}]"
    for name in ("tid", "ntid", "ctaid", "nctaid")
    for n, axis in enumerate("xyz")
} | {
    "%laneid": "c->lane",
    "%warpid": "c->warp",
    "%lanemask_lt": "((1u << c->lane) - 1)",
    "%lanemask_le": "((2u << c->lane) - 1)",
    "%lanemask_eq": "(1u << c->lane)",
    "%lanemask_gt": "(~((2u << c->lane) - 1))",
    "%lanemask_ge": "(~((1u << c->lane) - 1))",
    "%dynamic_smem_size": "c->dynamic",
    "%total_smem_size": "c->shared_size",
    "%nsmid": "1",
    **dict.fromkeys(("%smid", "%gridid", "%globaltimer"), "0"),
    **dict.fromkeys(("%clock", "%clock64"), "ticks()"),
}

Handler = Callable[["Instruction"], str]
_handlers: dict[str, tuple[Handler, frozenset[str]]] = {}


def instruction(names: str, modifiers: str = "") -> Callable[[Handler], Handler]:
    """Says which instructions a handler is for, and which modifiers it knows beside types."""

    def entered(handler: Handler) -> Handler:
        for name in names.split():
            _handlers[name] = handler, frozenset(modifiers.split())
        return handler

    return entered


class Instruction:
    """An instruction in a function whose registers (in C) are of these types."""

    def __init__(self, text: str, registers: Mapping[str, str]) -> None:
        match = re.match(r"([a-z0-9_.:]+)\s*(.*)$", text, re.S | re.I)
        if match is None:
            raise UnsupportedError(text)
        self.text, self._registers = " ".join(text.split()), registers
        self.name, *self.modifiers = match[1].split(".")
        self.operands = split(match[2].strip())

    def c(self) -> str:
        """Its C.

        Raises:
            UnsupportedError: an instruction, or a modifier, that no handler knows.
        """
        handler, known = _handlers.get(self.name, (None, frozenset()))
        strange = [each for each in self.modifiers if each not in known and each not in SIZE]
        if handler is None or strange:
            raise UnsupportedError(f"instruction {self.text}" + (f" (.{strange[0]})" if handler else ""))
        return handler(self)

    def refused(self) -> UnsupportedError:
        """The error for a form of an instruction that its handler does not have."""
        return UnsupportedError(f"instruction {self.text}")

    @property
    def kind(self) -> str:
        """The type that stands last."""
        return self.modifiers[-1]

    @property
    def size(self) -> int:
        """Bytes of that type."""
        return SIZE[self.kind]

    @property
    def is_float(self) -> bool:
        """Whether it computes with one float."""
        return self.kind in FLOATS

    @property
    def is_pair(self) -> bool:
        """Whether it computes with two floats of 16 bits in one register."""
        return self.kind in PAIRS

    @property
    def is_signed(self) -> bool:
        """Whether it computes with signed integers."""
        return self.kind[0] == "s"

    def has(self, *modifiers: str) -> bool:
        """Whether it has one of these modifiers."""
        return any(each in self.modifiers for each in modifiers)

    def which(self, *modifiers: str) -> str:
        """The one of these that it has."""
        for each in self.modifiers:
            if each in modifiers:
                return each
        raise self.refused()

    def bits(self, operand: int | str, size: int | None = None) -> str:
        """The bits of an operand, as an unsigned number of so many bytes."""
        text = self.operands[operand] if isinstance(operand, int) else operand
        size = self.size if size is None else size
        wide = unsigned(size)
        if text in _SPECIAL:
            return f"(({wide}){_SPECIAL[text]})"
        if text.startswith("!"):
            return f"(!{c_name(text[1:])})"
        if text.startswith("%") or c_name(text) in self._registers:
            if c_name(text) not in self._registers:
                raise UnsupportedError(f"register {text} in {self.text}")
            return f"(({wide}){c_name(text)})"
        if literal := re.match(r"0[fd]([0-9A-Fa-f]{8}|[0-9A-Fa-f]{16})$", text):
            return f"0x{literal[1]}{'u' if len(literal[1]) == 8 else 'ull'}"
        if re.match(r"-?(0x[0-9A-Fa-f]+|\d+)U?$", text):
            return f"(({wide}){hex(int(text.rstrip('U'), 0) & (2 ** (8 * size) - 1))}ull)"
        if symbol := re.match(r"([\w$]+)(?:\s*\+\s*(-?\d+))?$", text):
            return f"(({wide})((u64){c_name(symbol[1])} + {symbol[2] or 0}))"
        raise UnsupportedError(f"operand {text} in {self.text}")

    def value(self, operand: int | str, kind: str | None = None) -> str:
        """An operand as a number of a type, by default the instruction's."""
        kind = kind or self.kind
        if kind in FLOATS:
            return f"{NUMBER_OF[kind]}({self.bits(operand, SIZE[kind])})"
        if kind == "pred":
            return f"({self.bits(operand, 1)} & 1)"
        return f"(({c_type(kind)}){self.bits(operand, SIZE[kind])})"

    def store(self, value: str, kind: str | None = None) -> str:
        """The first operand becomes a number."""
        kind = kind or self.kind
        if kind in FLOATS:
            return self.assign(f"{BITS_OF[kind]}({value})")
        return self.assign(f"({c_type(kind)})({value})")

    def assign(self, bits: str, operand: int | str = 0) -> str:
        """An operand becomes these bits."""
        text = self.operands[operand] if isinstance(operand, int) else operand
        return f"(void)({bits});" if text == "_" else f"{c_name(text)} = {bits};"

    @property
    def space(self) -> str:
        """Which memory it is about; "generic" where the address itself says that."""
        for each in self.modifiers:
            if (space := each.partition("::")[0]) in SPACES:
                return space
        return "generic"

    def address(self, operand: int, nbytes: int) -> str:
        """``u8* p``, where an operand in brackets points at; faults where so many bytes cannot be there."""
        match = re.match(r"\[\s*([%\w$]+)\s*(?:\+\s*(-?\w+))?\s*\]$", self.operands[operand])
        if match is None:
            raise UnsupportedError(f"address {self.operands[operand]} in {self.text}")
        place = f"({self.bits(match[1], 8)} + ({match[2] or 0}))"
        if self.space == "param":
            return f"u8* p = (u8*){place};"
        if self.space == "shared":
            return f"u8* p = in_shared(c, (u32){place}, {nbytes});"
        return f"u8* p = aligned(c, (u8*){place}, {nbytes});"


def split(text: str) -> list[str]:
    """Operands between commas that are in no brackets."""
    found, depth, last = [], 0, 0
    for n, sign in enumerate(text):
        depth += (sign in "{[(") - (sign in "}])")
        if sign == "," and not depth:
            found.append(text[last:n].strip())
            last = n + 1
    return [each for each in (*found, text[last:].strip()) if each]


def parts(operand: str) -> list[str]:
    """The registers of a vector, ``{a, b}``."""
    return [each.strip() for each in operand.strip()[1:-1].split(",")]
