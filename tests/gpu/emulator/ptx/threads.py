"""Branches and calls, and what the threads of a block and of a warp do together."""

from __future__ import annotations

from .instruction import Instruction, instruction, parts
from .types import c_name

_FAULTS = {"__assertfail": "an assertion", "vprintf": "printf, which is not emulated,"}


@instruction("bra", "uni")
def branch(i: Instruction) -> str:
    return f"goto {c_name(i.operands[0])};"


@instruction("ret", "uni")
def returned(i: Instruction) -> str:
    return "return;"


@instruction("exit")
def ended(i: Instruction) -> str:
    return "c->leave(c);"


@instruction("trap brkpt")
def trapped(i: Instruction) -> str:
    return 'c->fault(c, "trap");'


@instruction("nanosleep griddepcontrol", "wait launch_dependents")
def waited(i: Instruction) -> str:
    return ""


@instruction("call", "uni")
def called(i: Instruction) -> str:
    operands = list(i.operands)
    returned = parts(operands.pop(0)) if operands[0].startswith("(") else []
    name = operands[0]
    if name in _FAULTS:
        return f'c->fault(c, "{_FAULTS[name]}");'
    if name.startswith("%") or len(operands) > 2:
        raise i.refused()  # an address of a function
    given = parts(operands[1]) if len(operands) == 2 else []
    return f"{c_name(name)}({', '.join(['c', *(c_name(each) for each in (*returned, *given) if each)])});"


@instruction("bar barrier", "sync red popc and or warp cta aligned")
def barrier(i: Instruction) -> str:
    if i.has("warp"):
        return f"c->meet_warp(c, {i.bits(0, 4)});"
    if i.has("red"):
        if len(i.operands) != 3:
            raise i.refused()
        how = i.which("popc", "and", "or")
        return i.assign(f"c->counted(c, {i.bits(1, 4)}, {i.value(2, 'pred')}, '{how[0]}')")
    if not i.has("sync"):
        raise i.refused()
    count = i.bits(1, 4) if len(i.operands) > 1 else "0"
    return f"c->meet_block(c, {i.bits(0, 4)}, {count});"


@instruction("shfl", "sync up down bfly idx")
def shuffled(i: Instruction) -> str:
    how = i.which("up", "down", "bfly", "idx")
    value, _, predicate = (each.strip() for each in i.operands[0].partition("|"))
    given = ", ".join(i.bits(n, 4) for n in (1, 2, 3, 4))
    kept = [i.assign("v", value), *([i.assign("is_there", predicate)] if predicate else [])]
    return f"u8 is_there; u32 v = shuffled(c, '{how[0]}', {given}, &is_there); {' '.join(kept)}"


@instruction("vote", "sync all any uni ballot")
def voted(i: Instruction) -> str:
    how = {"all": "a", "any": "o", "uni": "u", "ballot": "b"}[i.which("all", "any", "uni", "ballot")]
    return f"u32 v = voted(c, {i.value(1, 'pred')}, {i.bits(2, 4)}, '{how}'); {i.assign('v')}"


@instruction("activemask")
def active(i: Instruction) -> str:
    return i.assign("c->active(c)")


@instruction("redux", "sync add min max and or xor")
def reduced(i: Instruction) -> str:
    how = i.which("add", "min", "max", "and", "or", "xor")
    return i.assign(f"reduced_{how}_{i.kind}(c, {i.bits(1, 4)}, {i.bits(2, 4)})")


@instruction("match", "sync any")
def matched(i: Instruction) -> str:
    return i.assign(f"matched(c, {i.bits(1)}, {i.bits(2, 4)})")
