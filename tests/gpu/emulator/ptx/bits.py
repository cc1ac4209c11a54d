"""Instructions about bits: logic, shifts, fields, counts."""

from __future__ import annotations

from .instruction import Instruction, instruction
from .types import c_type, unsigned


@instruction("and or xor")
def logic(i: Instruction) -> str:
    sign = {"and": "&", "or": "|", "xor": "^"}[i.name]
    one = " & 1" if i.kind == "pred" else ""
    return i.assign(f"({i.bits(1)} {sign} {i.bits(2)}){one}")


@instruction("not")
def inverted(i: Instruction) -> str:
    return i.assign(f"{'!' if i.kind == 'pred' else '~'}{i.bits(1)}")


@instruction("cnot")
def is_zero(i: Instruction) -> str:
    return i.assign(f"{i.bits(1)} == 0")


@instruction("shl")
def shifted_left(i: Instruction) -> str:
    # Beyond the width a GPU shifts everything out; C leaves it open.
    wide = unsigned(i.size)
    return f"u32 n = {i.bits(2, 4)}; {i.assign(f'n >= {8 * i.size} ? 0 : ({wide})({i.bits(1)} << n)')}"


@instruction("shr")
def shifted_right(i: Instruction) -> str:
    beyond = "(a < 0 ? -1 : 0)" if i.is_signed else "0"
    values = f"u32 n = {i.bits(2, 4)}; {c_type(i.kind)} a = {i.value(1)};"
    return f"{values} {i.assign(f'({unsigned(i.size)})(n >= {8 * i.size} ? {beyond} : a >> n)')}"


@instruction("shf", "l r wrap clamp")
def funnel_shifted(i: Instruction) -> str:
    given = i.bits(3, 4)
    count = f"{given} & 31" if i.has("wrap") else f"{given} > 32 ? 32 : {given}"
    both = f"(u64){i.bits(2, 4)} << 32 | {i.bits(1, 4)}"
    return f"u32 n = {count}; u64 v = {both}; {i.assign('(u32)(v << n >> 32)' if i.has('l') else '(u32)(v >> n)')}"


@instruction("lop3")
def logic_of_three(i: Instruction) -> str:
    return i.assign(f"lop3({i.bits(1)}, {i.bits(2)}, {i.bits(3)}, {i.operands[4]})")


@instruction("prmt")
def permuted_bytes(i: Instruction) -> str:
    return i.assign(f"prmt({i.bits(1, 4)}, {i.bits(2, 4)}, {i.bits(3, 4)})")


@instruction("bfe")
def field_extracted(i: Instruction) -> str:
    return i.assign(f"bfe_{i.kind}({i.value(1)}, {i.bits(2, 4)}, {i.bits(3, 4)})")


@instruction("bfi")
def field_inserted(i: Instruction) -> str:
    return i.assign(f"bfi_{8 * i.size}({i.bits(1)}, {i.bits(2)}, {i.bits(3, 4)}, {i.bits(4, 4)})")


@instruction("bfind", "shiftamt")
def highest_bit(i: Instruction) -> str:
    return i.assign(f"bfind_{i.kind}({i.value(1)}, {int(i.has('shiftamt'))})")


@instruction("clz")
def leading_zeros(i: Instruction) -> str:
    suffix = "ll" if i.size == 8 else ""
    return f"{unsigned(i.size)} a = {i.bits(1)}; {i.assign(f'a ? __builtin_clz{suffix}(a) : {8 * i.size}')}"


@instruction("popc")
def ones(i: Instruction) -> str:
    return i.assign(f"__builtin_popcountll({i.bits(1)})")


@instruction("brev")
def reversed_bits(i: Instruction) -> str:
    return i.assign(f"reversed_{8 * i.size}({i.bits(1)})")
