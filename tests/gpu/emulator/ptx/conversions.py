"""Comparisons, choices, and conversions between types."""

from __future__ import annotations

from .instruction import Instruction, instruction
from .types import BITS_OF, FLOATS, PAIRS, SIZE, unsigned

_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_SIGNS |= {"lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
_COMPARISONS = " ".join([*_SIGNS, "equ neu ltu leu gtu geu num nan and or xor ftz"])
_JOINS = {"and": "&", "or": "|", "xor": "^"}

_WHOLE = {
    "rni": "__builtin_rint",
    "rzi": "__builtin_trunc",
    "rmi": "__builtin_floor",
    "rpi": "__builtin_ceil",
}
_TO_ONE_SIDE = ("rz", "rm", "rp")


def _compared(i: Instruction, how: str) -> str:
    a, b = i.value(1), i.value(2)
    if i.kind not in FLOATS:
        return f"({a} {_SIGNS[how]} {b})"
    if how == "num":
        return f"({a} == {a} && {b} == {b})"
    if how == "nan":
        return f"({a} != {a} || {b} != {b})"
    if how == "ne":  # false of NaN, unlike C's
        return f"({a} < {b} || {a} > {b})"
    if how in _SIGNS:
        return f"({a} {_SIGNS[how]} {b})"
    return f"({a} != {a} || {b} != {b} || {a} {_SIGNS[how[:-1]]} {b})"


@instruction("setp", _COMPARISONS)
def predicate(i: Instruction) -> str:
    how, *joins = [each for each in i.modifiers[:-1] if each != "ftz"]
    first, _, second = (each.strip() for each in i.operands[0].partition("|"))
    join, other = (_JOINS[joins[0]], i.value(3, "pred")) if joins else ("&", "1")
    values = f"u8 v = {_compared(i, how)}, other = {other};"
    kept = [i.assign(f"v {join} other", first)]
    if second:
        kept.append(i.assign(f"!v {join} other", second))
    return " ".join([values, *kept])


@instruction("set", _COMPARISONS)
def set_by_comparison(i: Instruction) -> str:
    how, *rest = [each for each in i.modifiers if each != "ftz"]
    if len(rest) > 2 or i.is_pair:
        raise i.refused()
    value = _compared(i, how)
    return i.store(f"{value} ? {1 if rest[0] in FLOATS else -1} : 0", rest[0])


@instruction("selp")
def chosen(i: Instruction) -> str:
    return i.assign(f"{i.value(3, 'pred')} ? {i.bits(1)} : {i.bits(2)}")


@instruction("slct", "ftz")
def chosen_by_sign(i: Instruction) -> str:
    size = SIZE[i.modifiers[-2]]
    return i.assign(f"{i.value(3)} >= 0 ? {i.bits(1, size)} : {i.bits(2, size)}")


@instruction("testp", "finite infinite number notanumber normal subnormal")
def kind_of_number(i: Instruction) -> str:
    tests = {
        "finite": "__builtin_isfinite(a)",
        "infinite": "__builtin_isinf(a)",
        "number": "a == a",
        "notanumber": "a != a",
        "normal": "__builtin_isnormal(a)",
        "subnormal": "__builtin_fpclassify(0, 0, 0, 1, 0, a)",
    }
    kind = "double" if i.kind == "f64" else "float"
    return f"{kind} a = {i.value(1)}; {i.assign(f'!!({tests[i.which(*tests)]})')}"


@instruction("cvt", f"rn sat ftz {' '.join(_WHOLE)} {' '.join(_TO_ONE_SIDE)}")
def converted(i: Instruction) -> str:
    target, source = i.modifiers[-2:]
    if target not in SIZE or source not in SIZE or source in PAIRS:
        raise i.refused()
    if target in PAIRS:
        return _two_to_a_pair(i, PAIRS[target])
    if source in FLOATS:
        return _from_float(i, target, source)
    if target in FLOATS:
        return _float_of_integer(i, target, source)
    if i.has("sat"):
        kind = "i128" if source[0] == "s" else "u128"
        return i.store(f"clamped_{target}_from_{kind}({i.value(1)})", target)
    return i.store(i.value(1), target)


def _two_to_a_pair(i: Instruction, half: str) -> str:
    if i.has("sat", *_TO_ONE_SIDE):
        raise i.refused()
    high, low = (f"{BITS_OF[half]}({i.value(n)})" for n in (1, 2))
    return f"u32 high = {high}, low = {low}; {i.assign('high << 16 | low')}"


def _from_float(i: Instruction, target: str, source: str) -> str:
    value = i.value(1)
    whole = next((_WHOLE[each] for each in i.modifiers if each in _WHOLE), None)
    if target not in FLOATS:
        if whole is None:
            raise i.refused()
        return i.assign(f"({unsigned(SIZE[target])})to_{target}({whole}((double){value}))")
    if whole:
        value = f"{whole}({value})"
    elif SIZE[target] < SIZE[source] and i.has(*_TO_ONE_SIDE):
        return _narrowed(i, target, value)
    if i.has("sat"):
        value = f"saturated({value})"
    if source == "f64" and target in PAIRS.values():
        return i.assign(f"{target}_bits_of_double({value})")
    return i.store(value, target)


def _narrowed(i: Instruction, target: str, value: str) -> str:
    if target != "f32" or i.has("sat"):
        raise i.refused()
    return i.store(f"narrowed_f32({value}, '{i.which(*_TO_ONE_SIDE)[1]}')", target)


def _float_of_integer(i: Instruction, target: str, source: str) -> str:
    value = i.value(1)
    if i.has(*_TO_ONE_SIDE):
        if SIZE[source] == 8:  # a double has not all its bits
            raise i.refused()
        return _narrowed(i, target, f"(double){value}")
    if target in PAIRS.values():
        return i.assign(f"{target}_bits_of_double((double){value})")
    return i.store(f"({'float' if target == 'f32' else 'double'}){value}", target)
