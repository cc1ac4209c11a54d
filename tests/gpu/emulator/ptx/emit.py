"""The C of a whole module: variables, a function for each of PTX's, and what the device has to know of each kernel."""

from __future__ import annotations

import re

from . import arithmetic, bits, conversions, moves, tensors, threads  # they enter their instructions
from .instruction import Instruction
from .module import Function, Module, Variable, parsed
from .types import SIZE, UnsupportedError, c_name, unsigned

_INSTRUCTIONS = (arithmetic, bits, conversions, moves, tensors, threads)
_EXPORTED = '__attribute__((visibility("default")))'

#: What the compiler declares and the device does not have; calls of these are instructions of their own.
_OF_THE_SYSTEM = ("vprintf", "__assertfail", "malloc", "free")

_REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.*)$", re.S)
_REGISTER = re.compile(r"\s*([%\w$]+)(?:<(\d+)>)?\s*$")
_ARRAY = re.compile(r"\.(?:local|param)\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+([\w$%]+)(?:\[(\d+)\])?$")
_GUARD = re.compile(r"@(!?)(%[\w]+)\s+(.*)$", re.S)


def translated(text: str) -> str:
    """The C of a PTX text, which needs ``thread.h``.

    Raises:
        UnsupportedError: for what the translator does not know, by name.
    """
    module = parsed(text)
    # Shared memory that is sized at launch begins behind all other.
    dynamic = -(-module.shared_size // 128) * 128
    lines = ['#include "thread.h"']
    for name, place in module.shared.items():
        lines.append(f"#define {c_name(name)} {dynamic if place is None else place[0]}ull")
    lines += [_variable(each) for each in module.variables]
    lines += [_declared(each) for each in module.functions if each.kind == "func"]
    for function in module.functions:
        if function.body is not None:
            lines.append(_function(function))
            if function.kind == "entry":
                lines.append(_kernel_info(module, function, dynamic))
    return "\n".join(filter(None, lines)) + "\n"


def _variable(variable: Variable) -> str:
    if variable.is_extern:
        raise UnsupportedError(f"variable {variable.name}: it is of another module")
    kind = unsigned(SIZE[variable.kind])
    return (
        f'__attribute__((visibility("default"), aligned({variable.align}))) {kind} '
        f"{c_name(variable.name)}[{max(variable.count, 1)}] = {{{', '.join(variable.values)}}};"
    )


def _declared(function: Function) -> str:
    if function.name in _OF_THE_SYSTEM:
        return ""
    return f"static void {c_name(function.name)}({_arguments(function)});"


def _arguments(function: Function) -> str:
    names = [c_name(each.name) for each in (*function.returned, *function.parameters)]
    return ", ".join(["Thread* c", *(f"u8* {each}" for each in names)])


def _function(function: Function) -> str:
    if function.kind == "entry":
        lines = [f"{_EXPORTED} void {function.name}(Thread* c, u8* given) {{"]
        lines += [f"u8* {c_name(each.name)} = given + {each.offset};" for each in function.parameters]
    else:
        lines = [f"static void {c_name(function.name)}({_arguments(function)}) {{"]
    lines.append("u32 carry = 0;")
    registers: dict[str, str] = {}
    lines += [_statement(each, registers) for each in function.statements()]
    return "\n".join([*lines, "}"])


def _statement(text: str, registers: dict[str, str]) -> str:
    if text in "{}":
        return text
    if text.endswith(":"):
        return f"{c_name(text[:-1])}:;"
    if match := _REGISTERS.match(text):
        return _declared_registers(match, registers)
    if match := _ARRAY.match(text):
        align, kind, name, count = match.groups()
        size = SIZE[kind] * int(count or 1)
        return f"u8 {c_name(name)}[{size}] __attribute__((aligned({max(int(align or 1), 16)})));"
    if text.startswith((".shared", ".pragma")):
        return ""
    if text.startswith("."):
        raise UnsupportedError(f"directive {text}")
    if match := _GUARD.match(text):
        return f"if ({match[1]}{c_name(match[2])}) {{ {Instruction(match[3], registers).c()} }}"
    return f"{{ {Instruction(text, registers).c()} }}"


def _declared_registers(match: re.Match[str], registers: dict[str, str]) -> str:
    names: list[str] = []
    for each in match[2].split(","):
        register = _REGISTER.match(each)
        if register is None or match[1] not in SIZE:
            raise UnsupportedError(f"registers {match[0]}")
        base, count = register.groups()
        names += [c_name(f"{base}{n}") for n in range(int(count))] if count else [c_name(base)]
    registers.update(dict.fromkeys(names, match[1]))
    return f"{unsigned(SIZE[match[1]])} {', '.join(names)};"


def _kernel_info(module: Module, kernel: Function, dynamic: int) -> str:
    used = {*re.findall(r"[\w$]+", kernel.body or "")}
    static = sum(place[1] for name, place in module.shared.items() if place and name in used)
    places = [f"{each.offset}, {each.size}" for each in kernel.parameters]
    numbers = (static, dynamic, kernel.most_threads(), len(places))
    return (
        f"static const u32 places_of_{kernel.name}[] = {{{', '.join([*places, '0'])}}};\n"
        f"{_EXPORTED} const KernelInfo info_of_{kernel.name} = "
        f"{{{', '.join(map(str, numbers))}, places_of_{kernel.name}}};"
    )
