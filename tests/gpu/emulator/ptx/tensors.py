"""Products by tensor cores, the fragments of matrices that they take, and copies that arrive later."""

from __future__ import annotations

import re

from .instruction import Instruction, instruction, parts

_INPUTS = {"f16": "of_f16", "bf16": "of_bf16"}


@instruction("mma", "sync aligned m16n8k16 row col")
def multiplied_and_added(i: Instruction) -> str:
    shape, kinds = i.modifiers[:5], i.modifiers[5:]
    is_known = len(kinds) == 4 and kinds[0] == kinds[3] == "f32" and kinds[1] == kinds[2]
    if shape != ["sync", "aligned", "m16n8k16", "row", "col"] or not is_known or kinds[1] not in _INPUTS:
        raise i.refused()
    result, a, b, added = (parts(each) for each in i.operands)
    given = ", ".join(i.bits(each, 4) for each in (*a, *b, *added))
    kept = " ".join(i.assign(f"d[{n}]", each) for n, each in enumerate(result))
    return f"u32 d[4], given[10] = {{{given}}}; mma_{kinds[1]}(c, given, d); {kept}"


@instruction("ldmatrix", "sync aligned m8n8 x1 x2 x4 trans shared shared::cta")
def fragments_loaded(i: Instruction) -> str:
    names, count = parts(i.operands[0]), int(i.which("x1", "x2", "x4")[1])
    if i.kind != "b16" or len(names) != count or i.space != "shared":
        raise i.refused()
    kept = " ".join(i.assign(f"d[{n}]", each) for n, each in enumerate(names))
    # Lanes whose rows nobody asks for have any address.
    place = (
        i.address(1, 16)
        if count == 4
        else f"u8* p = 0; if (c->lane < {8 * count}) {{ {i.address(1, 16)[4:]} }}"
    )
    return f"u32 d[4]; {place} fragments(c, p, {count}, {int(i.has('trans'))}, d); {kept}"


@instruction(
    "cp", "async ca cg shared shared::cta global commit_group wait_group wait_all L2::64B L2::128B L2::256B"
)
def copied_later(i: Instruction) -> str:
    if i.has("commit_group"):
        return "c->end_copies(c);"
    if i.has("wait_all", "wait_group"):
        left = i.operands[0] if i.operands else "0"
        return f"{'c->end_copies(c); ' if i.has('wait_all') else ''}c->wait_for_copies(c, {left});"
    size = i.operands[2] if len(i.operands) > 2 else ""
    if not i.has("async") or i.space != "shared" or size not in ("4", "8", "16") or len(i.operands) > 4:
        raise i.refused()
    read = i.bits(3, 4) if len(i.operands) == 4 else size
    source = re.match(r"\[\s*([%\w$]+)\s*(?:\+\s*(-?\w+))?\s*\]$", i.operands[1])
    if source is None:
        raise i.refused()
    origin = f"aligned(c, (u8*)({i.bits(source[1], 8)} + ({source[2] or 0})), {size})"
    return f"{i.address(0, int(size))} c->copy_later(c, p, {origin}, {size}, {read});"
