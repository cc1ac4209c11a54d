"""Arithmetic of integers, with carries, and of floats."""

from __future__ import annotations

from collections.abc import Callable

from .instruction import Handler, Instruction, instruction
from .types import BITS_OF, NUMBER_OF, PAIRS, c_type, unsigned

_DIRECTED = ("rz", "rm", "rp")
#: ``ftz`` and ``approx`` allow less than what a CPU does by default.
_ROUNDING = "rn rna rz rm rp ftz approx full"


@instruction("add sub", f"cc sat {_ROUNDING}")
def added(i: Instruction) -> str:
    sign = "+" if i.name == "add" else "-"
    if i.is_pair or i.is_float:
        return _float(i, sign, lambda a, b: f"{a} {sign} {b}")
    if i.has("cc"):
        return _with_carry(i, sign)
    if i.has("sat"):
        return i.assign(f"(u32)to_s32_from_s64((i64){i.value(1)} {sign} (i64){i.value(2)})")
    return i.assign(f"({unsigned(i.size)})({i.bits(1)} {sign} {i.bits(2)})")


def _with_carry(i: Instruction, sign: str) -> str:
    carry = "v < a" if sign == "+" else "a < b"
    values = f"{unsigned(i.size)} a = {i.bits(1)}, b = {i.bits(2)}, v = a {sign} b;"
    return f"{values} carry = {carry}; {i.assign('v')}"


@instruction("addc subc", "cc")
def added_with_the_carry(i: Instruction) -> str:
    sign = "+" if i.name == "addc" else "-"
    return _last_of_a_chain(i, f"(u128){i.bits(1)} {sign} {i.bits(2)} {sign} carry")


def _last_of_a_chain(i: Instruction, value: str) -> str:
    carry = f"carry = (u32)(v >> {8 * i.size}) & 1;" if i.has("cc") else ""
    return f"u128 v = {value}; {carry} {i.assign(f'({unsigned(i.size)})v')}"


def _wide(i: Instruction) -> str:
    return f"{'i' if i.is_signed else 'u'}{16 * i.size}"


def _product(i: Instruction) -> str:
    """All bits of a product of integers."""
    return f"(({_wide(i)}){i.value(1)} * ({_wide(i)}){i.value(2)})"


def _half_of_product(i: Instruction) -> str:
    shift = f" >> {8 * i.size}" if i.has("hi") else ""
    return f"(({unsigned(i.size)})({_product(i)}{shift}))"


@instruction("mul", f"lo hi wide sat {_ROUNDING}")
def multiplied(i: Instruction) -> str:
    if i.is_pair or i.is_float:
        return _float(i, "*", lambda a, b: f"{a} * {b}")
    if i.has("wide"):
        return i.assign(f"({unsigned(2 * i.size)}){_product(i)}")
    return i.assign(_half_of_product(i))


@instruction("mul24", "lo")
def multiplied_24_bits(i: Instruction) -> str:
    low = [f"(({c_type(i.kind)})({i.bits(n)} << 8) >> 8)" for n in (1, 2)]
    return i.assign(f"(u32)({low[0]} * {low[1]})")


@instruction("mad", f"lo hi wide cc {_ROUNDING}")
def multiplied_and_added(i: Instruction) -> str:
    if i.is_float:
        return fused(i)
    if i.has("wide"):
        return i.assign(f"({unsigned(2 * i.size)})({_product(i)} + ({_wide(i)}){i.bits(3, 2 * i.size)})")
    wide = unsigned(i.size)
    if i.has("cc"):
        return f"{wide} a = {_half_of_product(i)}, v = a + {i.bits(3)}; carry = v < a; {i.assign('v')}"
    return i.assign(f"({wide})({_half_of_product(i)} + {i.bits(3)})")


@instruction("madc", "lo hi cc")
def multiplied_and_added_with_the_carry(i: Instruction) -> str:
    return _last_of_a_chain(i, f"(u128){_half_of_product(i)} + {i.bits(3)} + carry")


@instruction("fma", f"sat relu {_ROUNDING}")
def fused(i: Instruction) -> str:
    if i.is_pair:
        return _pairwise(i, lambda a, b, d: f"((double){a} * {b} + {d})")
    if i.has(*_DIRECTED):
        return _directed(i, "f")
    a, b, d = (i.value(n) for n in (1, 2, 3))
    exact = {"f32": f"__builtin_fmaf({a}, {b}, {d})", "f64": f"__builtin_fma({a}, {b}, {d})"}
    if i.kind in exact and not i.has("relu"):
        return i.store(_saturated(i, exact[i.kind]))
    if i.has("sat", "relu"):
        raise i.refused()
    # A product of two floats of 16 bits is exact in double precision.
    return i.assign(f"{i.kind}_bits_of_double((double){a} * {b} + {d})")


@instruction("div", _ROUNDING)
def divided(i: Instruction) -> str:
    if i.is_float:
        return _float(i, "/", lambda a, b: f"{a} / {b}")
    # By 0, a GPU gives all ones; the smallest number by -1 would trap on a CPU.
    kind = c_type(i.kind)
    minus_one = f"b == -1 ? ({kind})(0 - (u64)a) : " if i.is_signed else ""
    values = f"{kind} a = {i.value(1)}, b = {i.value(2)};"
    return f"{values} {i.store(f'b == 0 ? ({kind})-1 : {minus_one}({kind})(a / b)')}"


@instruction("rem")
def remainder(i: Instruction) -> str:
    kind = c_type(i.kind)
    minus_one = "b == -1 ? 0 : " if i.is_signed else ""
    values = f"{kind} a = {i.value(1)}, b = {i.value(2)};"
    return f"{values} {i.store(f'b == 0 ? a : {minus_one}({kind})(a % b)')}"


def _float(i: Instruction, sign: str, compute: Callable[..., str]) -> str:
    if i.is_pair:
        return _pairwise(i, compute)
    if i.has(*_DIRECTED):
        return _directed(i, sign)
    return i.store(_saturated(i, compute(i.value(1), i.value(2))))


def _saturated(i: Instruction, value: str) -> str:
    return f"saturated({value})" if i.has("sat") else value


def _directed(i: Instruction, sign: str) -> str:
    """Rounded towards zero, minus or plus infinity: the CPU's rounding is set for the one operation."""
    if i.kind not in ("f32", "f64") or i.has("sat"):
        raise i.refused()
    values = [i.value(n) for n in range(1, len(i.operands))] + ["0"]
    return i.store(f"c->rounded_{i.kind}('{sign}', '{i.which(*_DIRECTED)[1]}', {', '.join(values[:3])})")


def _pairwise(i: Instruction, compute: Callable[..., str]) -> str:
    """Both halves of registers that have two floats of 16 bits."""
    kind = PAIRS[i.kind]
    if i.has("sat", "relu", *_DIRECTED):
        raise i.refused()
    halves = [
        compute(*(f"{NUMBER_OF[kind]}((u16)({i.bits(n)} >> {shift}))" for n in range(1, len(i.operands))))
        for shift in (0, 16)
    ]
    low, high = (f"{BITS_OF[kind]}_of_double({each})" for each in halves)
    return f"u32 low = {low}, high = {high}; {i.assign('low | high << 16')}"


@instruction("neg", "ftz")
def negated(i: Instruction) -> str:
    if i.is_pair or i.is_float:
        return i.assign(f"{i.bits(1)} ^ {_signs(i)}")
    return i.assign(f"({unsigned(i.size)})(0 - {i.bits(1)})")


@instruction("abs", "ftz")
def absolute(i: Instruction) -> str:
    if i.is_pair or i.is_float:
        return i.assign(f"{i.bits(1)} & ~{_signs(i)}")
    wide = unsigned(i.size)
    return f"{c_type(i.kind)} a = {i.value(1)}; {i.assign(f'({wide})(a < 0 ? 0 - ({wide})a : a)')}"


def _signs(i: Instruction) -> str:
    """The bits that are signs of floats."""
    return "0x80008000u" if i.is_pair else f"(({unsigned(i.size)})1 << {8 * i.size - 1})"


@instruction("min max", "NaN ftz")
def extreme(i: Instruction) -> str:
    sign = "<" if i.name == "min" else ">"
    if i.is_pair:
        return _pairwise(i, lambda a, b: _extreme_float(i, sign, a, b))
    if not i.is_float:
        values = f"{c_type(i.kind)} a = {i.value(1)}, b = {i.value(2)};"
        return f"{values} {i.store(f'a {sign} b ? a : b')}"
    kind = "double" if i.kind == "f64" else "float"
    values = f"{kind} a = {i.value(1)}, b = {i.value(2)};"
    return f"{values} {i.store(_extreme_float(i, sign, 'a', 'b'))}"


def _extreme_float(i: Instruction, sign: str, a: str, b: str) -> str:
    """A number wins over NaN but for ``.NaN``, and -0 is less than 0."""
    nan = f"{b} != {b} ? {b} : {a} != {a} ? {a}" if i.has("NaN") else f"{b} != {b} ? {a} : {a} != {a} ? {b}"
    is_a = f"!!__builtin_signbit({a}) {'>' if sign == '<' else '<'} !!__builtin_signbit({b})"
    return f"({nan} : {a} == 0 && {b} == 0 ? ({is_a} ? {a} : {b}) : {a} {sign} {b} ? {a} : {b})"


@instruction("copysign")
def with_sign(i: Instruction) -> str:
    return i.store(f"__builtin_copysign{'f' if i.kind == 'f32' else ''}({i.value(2)}, {i.value(1)})")


def _unary(names: str, single: str, double: str | None = None) -> Handler:
    @instruction(names, _ROUNDING)
    def computed(i: Instruction) -> str:
        if i.is_pair:
            return _pairwise(i, single.format)
        if i.kind == "f64":
            if double is None or i.has(*_DIRECTED):
                raise i.refused()
            return i.store(double.format(i.value(1)))
        if i.has(*_DIRECTED):
            if i.name == "rcp":
                return i.store(f"c->rounded_f32('/', '{i.which(*_DIRECTED)[1]}', 1, {i.value(1)}, 0)")
            raise i.refused()
        return i.store(single.format(i.value(1)))

    return computed


square_root = _unary("sqrt", "__builtin_sqrtf({})", "__builtin_sqrt({})")
inverse_root = _unary("rsqrt", "(1.f / __builtin_sqrtf({}))", "(1. / __builtin_sqrt({}))")
inverse = _unary("rcp", "(1.f / {})", "(1. / {})")
sine = _unary("sin", "__builtin_sinf({})")
cosine = _unary("cos", "__builtin_cosf({})")
logarithm = _unary("lg2", "__builtin_log2f({})")
power = _unary("ex2", "__builtin_exp2f({})")
hyperbolic_tangent = _unary("tanh", "__builtin_tanhf({})")
