"""Instructions that move: between registers, and between registers and memory."""

from __future__ import annotations

from .instruction import Instruction, instruction, parts
from .types import BITS_OF, NUMBER_OF, c_name, c_type, unsigned

#: How memory is to be cached, and who may see when: a block's threads take turns here, and there is no cache.
_ORDER = (
    "ca cg cs lu cv wb wt nc relaxed acquire release acq_rel volatile weak sys gpu cta cluster mmio "
    "L1::no_allocate L1::evict_first L1::evict_last L2::64B L2::128B L2::256B"
)
_SPACES = "global shared shared::cta local param const param::entry param::func"


@instruction("mov")
def move(i: Instruction) -> str:
    if i.operands[0].startswith("{"):
        return _taken_apart(i)
    if i.operands[1].startswith("{"):
        return _put_together(i)
    return i.assign(i.value(1) if i.kind == "pred" else i.bits(1))


def _taken_apart(i: Instruction) -> str:
    names = parts(i.operands[0])
    width = i.size // len(names)
    taken = [
        i.assign(f"({unsigned(width)})(v >> {8 * width * n})", name)
        for n, name in enumerate(names)
        if name != "_"
    ]
    return f"{unsigned(i.size)} v = {i.bits(1)}; {' '.join(taken)}"


def _put_together(i: Instruction) -> str:
    names = parts(i.operands[1])
    width = i.size // len(names)
    shifted = [
        f"(({unsigned(i.size)}){i.bits(name, width)} << {8 * width * n})" for n, name in enumerate(names)
    ]
    return i.assign(" | ".join(shifted))


@instruction("cvta", "to global shared shared::cta local const param")
def converted_address(i: Instruction) -> str:
    if i.space != "shared":
        return i.assign(i.bits(1, 8))
    return i.assign(f"{i.bits(1, 8)} {'-' if i.has('to') else '+'} (u64)c->shared")


@instruction("isspacep", _SPACES)
def is_in_space(i: Instruction) -> str:
    shared = f"is_shared(c, {i.bits(1, 8)})"
    return i.assign({"shared": shared, "global": f"!{shared}"}.get(i.space, "0"))


def _count(i: Instruction) -> int:
    return 4 if i.has("v4") else 2 if i.has("v2") else 8 if i.has("v8") else 1


@instruction("ld ldu", f"{_ORDER} {_SPACES} v2 v4 v8")
def load(i: Instruction) -> str:
    count = _count(i)
    names = parts(i.operands[0]) if count > 1 else [i.operands[0]]
    read = [f"{c_type(i.kind)} v{n} = ((any_{c_type(i.kind)}*)p)[{n}];" for n in range(count)]
    # An integer is widened by its sign where its register has more bits.
    kept = [f"{c_name(name)} = v{n};" for n, name in enumerate(names) if name != "_"]
    return " ".join([i.address(1, count * i.size), *read, *kept])


@instruction("st", f"{_ORDER} {_SPACES} v2 v4 v8")
def store(i: Instruction) -> str:
    count = _count(i)
    names = parts(i.operands[1]) if count > 1 else [i.operands[1]]
    written = [f"((any_{unsigned(i.size)}*)p)[{n}] = {i.bits(name)};" for n, name in enumerate(names)]
    return " ".join([i.address(0, count * i.size), *written])


@instruction("prefetch prefetchu", f"{_SPACES} L1 L2 L2::evict_last L2::evict_normal")
def prefetch(i: Instruction) -> str:
    return ""


@instruction("membar fence", "gl cta sys gpu cluster sc acq_rel")
def fence(i: Instruction) -> str:
    return ""  # what one thread has written, the next one to take its turn sees


@instruction("atom red", f"{_ORDER} {_SPACES} add cas exch min max and or xor inc dec noftz")
def atomic(i: Instruction) -> str:
    if i.name == "red":
        i.operands.insert(0, "_")
    wide = unsigned(i.size)
    kept = "" if i.operands[0] == "_" else i.assign("o")
    old = f"{i.address(1, i.size)} {wide} o = *(any_{wide}*)p;"
    return f"{old} *(any_{wide}*)p = ({wide})({_updated(i)}); {kept}"


def _updated(i: Instruction) -> str:
    """The new bits of what has the bits ``o``."""
    how = i.which("add", "cas", "exch", "min", "max", "and", "or", "xor", "inc", "dec")
    given = i.bits(2)
    if how == "cas":
        return f"o == {given} ? {i.bits(3)} : o"
    if how == "exch":
        return given
    if how in ("and", "or", "xor"):
        return f"o {dict(zip(('and', 'or', 'xor'), '&|^', strict=True))[how]} {given}"
    if how == "add":
        return _added(i, given)
    if how in ("min", "max"):
        if i.is_float:
            raise i.refused()
        return f"({c_type(i.kind)})o {'<' if how == 'min' else '>'} {i.value(2)} ? o : {given}"
    return f"o >= {given} ? 0 : o + 1" if how == "inc" else f"o == 0 || o > {given} ? {given} : o - 1"


def _added(i: Instruction, given: str) -> str:
    if i.is_pair:
        return f"{i.kind}_sum(o, {given})"
    if i.is_float:
        return f"{BITS_OF[i.kind]}({NUMBER_OF[i.kind]}(o) + {i.value(2)})"
    return f"o + {given}"
