"""What a PTX text consists of: variables, functions with their parameters, and the statements in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .types import SIZE, UnsupportedError

_IGNORED = re.compile(
    r"\s*(?:\.version[^\n]*|\.target[^\n]*|\.address_size[^\n]*|\.pragma[^;]*;|\.file[^\n]*|\.alias[^\n]*)"
)
_FUNCTION = re.compile(r"\s*((?:\.(?:visible|weak|extern|common)\s+)*)\.(entry|func)\b")
_VARIABLE = re.compile(
    r"((?:\.\w+\s+)*?)\.(global|const|shared)\s+((?:\.(?:align|attribute)\s*\(?\w+\)?\s+)*)"
    r"\.(\w+)\s+([\w$%]+)((?:\[\d*\])*)\s*(?:=\s*(.*))?$",
    re.S,
)
_SHARED = re.compile(r"(\.extern\s+)?\.shared\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+([\w$%]+)(?:\[(\d*)\])?\s*;")
_PARAMETER = re.compile(
    r"((?:\.(?:align|ptr|global|shared|const|local)\s*\d*\s+)*)\.(\w+)\s+"
    r"(?:(?:\.(?:ptr|align|global|shared|const|local)\s*\d*\s+)*)([\w$%]+)(?:\[(\d+)\])?\s*$"
)
_SIGNATURE = re.compile(r"\s*(?:\(([^)]*)\)\s*)?([\w$]+)\s*(?:\(([^)]*)\))?", re.S)
_LABEL = re.compile(r"([$\w]+)\s*:(?!:)")


@dataclass
class Parameter:
    """A parameter, at an offset in bytes among its function's."""

    name: str
    offset: int
    size: int


@dataclass
class Function:
    """A kernel (``entry``) or what kernels call (``func``)."""

    kind: str
    name: str
    returned: list[Parameter]
    parameters: list[Parameter]
    head: str
    body: str | None  # None: declared only

    def most_threads(self) -> int:
        """How many threads a block of the kernel may have."""
        bound = re.search(r"\.maxntid\s+([\d, ]+)", self.head)
        most = 1
        for each in bound[1].split(",") if bound else ["1024"]:
            most *= int(each)
        return most

    def statements(self) -> Iterator[str]:
        """Labels with their colon, braces, and statements without their semicolon."""
        body = re.sub(r"\.loc\s[^\n]*\n", "\n", self.body or "")
        at = 0
        while at < len(body):
            if body[at].isspace():
                at += 1
            elif body[at] in "{}":
                yield body[at]
                at += 1
            elif label := _LABEL.match(body, at):
                yield f"{label[1]}:"
                at = label.end()
            else:
                end = body.index(";", at)
                if text := body[at:end].strip():
                    yield text
                at = end + 1


@dataclass
class Variable:
    """A variable of the module in global or constant memory; ``values`` are those that are not 0 by default."""

    name: str
    kind: str
    align: int
    count: int
    values: list[str]
    is_extern: bool


@dataclass
class Module:
    """Variables, functions, and where each variable in shared memory lies; None: behind all others, at launch."""

    variables: list[Variable] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    shared: dict[str, tuple[int, int] | None] = field(default_factory=dict)
    shared_size: int = 0


def parsed(text: str) -> Module:
    """The parts of a text.

    Raises:
        UnsupportedError: for what is none of them.
    """
    text = re.sub(r"/\*.*?\*/", " ", re.sub(r"//[^\n]*", "", text), flags=re.S)
    module = Module()
    _lay_out_shared(module, text)
    at = 0
    while text[at:].strip():
        if ignored := _IGNORED.match(text, at):
            at = ignored.end()
        elif begin := _FUNCTION.match(text, at):
            function, at = _function(text, begin)
            module.functions.append(function)
        else:
            at = _take_variable(module, text, at)
    return module


def _lay_out_shared(module: Module, text: str) -> None:
    """Each gets a place of its own, whichever function has it: so they never lie upon each other."""
    for is_extern, align, kind, name, count in _SHARED.findall(text):
        if is_extern:
            module.shared[name] = None
            continue
        unit = int(align or SIZE[kind])
        start = -(-module.shared_size // unit) * unit
        size = SIZE[kind] * int(count or 1)
        module.shared[name] = (start, size)
        module.shared_size = start + size


def _function(text: str, begin: re.Match[str]) -> tuple[Function, int]:
    end = _after(text, begin.end(), ";{", "()")
    head = text[begin.end() : end]
    signature = _SIGNATURE.match(head)
    if signature is None:
        raise UnsupportedError(f"function {head.strip()}")
    body = None
    after = end + 1
    if text[end] == "{":
        close = _after(text, end + 1, "}", "{}")
        body, after = text[end + 1 : close], close + 1
    returned, parameters = (_parameters(signature[n] or "") for n in (1, 3))
    return Function(begin[2], signature[2], returned, parameters, head, body), after


def _after(text: str, at: int, wanted: str, brackets: str) -> int:
    """Where one of the wanted signs is that is in no brackets."""
    depth = 0
    while depth or text[at] not in wanted:
        depth += (text[at] == brackets[0]) - (text[at] == brackets[1])
        at += 1
    return at


def _parameters(text: str) -> list[Parameter]:
    found: list[Parameter] = []
    offset = 0
    for each in re.findall(r"\.param\s+([^,]*)", text):
        match = _PARAMETER.match(each.strip())
        if match is None:
            raise UnsupportedError(f"parameter {each.strip()}")
        align = re.search(r"\.align\s+(\d+)", match[1])
        unit = int(align[1]) if align else SIZE[match[2]]
        size = SIZE[match[2]] * int(match[4] or 1)
        offset = -(-offset // unit) * unit
        found.append(Parameter(match[3], offset, size))
        offset += size
    return found


def _take_variable(module: Module, text: str, at: int) -> int:
    end = _after(text, at, ";", "{}")
    match = _VARIABLE.match(text[at:end].strip())
    if match is None:
        raise UnsupportedError(f"variable {text[at:end].strip()[:200]}")
    linkage, space, attributes, kind, name, dims, initial = match.groups()
    if space != "shared":
        align = re.search(r"\.align\s+(\d+)", attributes)
        count = 1
        for size in re.findall(r"\[(\d*)\]", dims):
            count *= int(size or 1)
        unit = int(align[1]) if align else SIZE[kind]
        values = [*map(_initial, re.findall(r"[^{},\s]+", initial or ""))]
        module.variables.append(Variable(name, kind, unit, count, values, "extern" in linkage))
    return end + 1


def _initial(value: str) -> str:
    if bits := re.match(r"0[fd]([0-9A-Fa-f]+)$", value):
        return f"0x{bits[1]}ull"
    if re.match(r"-?(0x[0-9A-Fa-f]+|\d+)U?$", value):
        return value.rstrip("U") + "ull"
    raise UnsupportedError(f"initial value {value}")
