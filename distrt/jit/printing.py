"""Programs as text: ``.code`` is Python, ``.graph`` lists the statements. For readers only: nothing reads them back."""

from __future__ import annotations

from typing import Any

from distrt.core.tensors.names import FUNCTIONS, listed
from distrt.jit import types
from distrt.jit.program import IR, Function
from distrt.nn import functional

_LOOSEST, _TIGHTEST = 0, 20
_STRENGTH = {
    "or": 1,
    "and": 2,
    "not": 3,
    "compare": 4,
    "|": 5,
    "^": 6,
    "&": 7,
    "<<": 8,
    ">>": 8,
    "+": 9,
    "-": 9,
}
_STRENGTH |= {"*": 10, "/": 10, "//": 10, "%": 10, "@": 10, "unary": 11, "**": 12}


def code_of(function: Function, is_method: bool = False) -> str:
    """A function as Python text."""
    given = ", ".join([*(["self"] if is_method else []), *_parameters(function)])
    head = f"def {function.name.rpartition('.')[2]}({given})"
    returns = f" -> {types.text_of(function.returns)}" if function.returns is not None else ""
    return "\n".join([f"{head}{returns}:", *_block(function.body, 1)]) + "\n"


def schema_of(function: Function) -> str:
    """Name, parameters and result with their types."""
    returns = types.text_of(function.returns) if function.returns is not None else "Any"
    return f"{function.name.rpartition('.')[2]}({', '.join(_parameters(function))}) -> {returns}"


def graph_of(function: Function, is_method: bool = False) -> str:
    """The statements, one a line, with their lines in the source."""
    given = [f"%{each.name} : {types.text_of(each.type)}" for each in function.parameters]
    lines = [f"graph({', '.join([*(['%self : Module'] if is_method else []), *given])}):"]
    for text, line in _numbered(function.body, 1):
        where = f"  # {function.source[0]}:{line}" if line and function.source[0] else ""
        lines.append(text + where)
    return "\n".join(lines) + "\n"


def _parameters(function: Function) -> list[str]:
    parts, has_star = [], False
    for each in function.parameters:
        if each.keyword_only and not has_star:
            parts.append("*")
            has_star = True
        default = f"={_text(each.default)}" if each.default is not None else ""
        parts.append(f"{each.name}: {types.text_of(each.type)}{default}")
    return parts


def _block(statements: list[IR], depth: int) -> list[str]:
    return [text for text, _ in _numbered(statements, depth)] or ["  " * depth + "pass"]


def _numbered(statements: list[IR], depth: int) -> list[tuple[str, int]]:
    """The lines of a block, each with its line in the source."""
    found: list[tuple[str, int]] = []
    for statement in statements:
        kind, line, parts = statement[0], statement[1], statement[2:]
        head, blocks = _statement(kind, parts)
        found.append(("  " * depth + head, line))
        for number, block in enumerate(blocks):
            if number:
                found.append(("  " * depth + "else:", 0))
            inner = _numbered(block, depth + 1)
            found += inner or [("  " * (depth + 1) + "pass", 0)]
    return found


def _statement(kind: str, parts: IR) -> tuple[str, list[list[IR]]]:
    if kind == "assign":
        return f"{_text(parts[0])} = {_text(parts[1])}", []
    if kind == "augment":
        return f"{_text(parts[1])} {parts[0]}= {_text(parts[2])}", []
    if kind == "if":
        return f"if {_text(parts[0])}:", [parts[1], parts[2]] if parts[2] else [parts[1]]
    if kind == "while":
        return f"while {_text(parts[0])}:", [parts[1]]
    if kind == "for":
        return f"for {_text(parts[0])} in {_text(parts[1])}:", [parts[2]]
    if kind == "with":
        return _context(parts[0]), [parts[1]]
    if kind == "raise":
        return f"raise {parts[0]}({_text(parts[1]) if parts[1] else ''})", []
    if kind == "assert":
        return f"assert {_text(parts[0])}" + (f", {_text(parts[1])}" if parts[1] else ""), []
    if kind == "delete":
        return f"del {_text(parts[0])}", []
    return (
        kind
        if kind in ("break", "continue")
        else f"return {_text(parts[0])}"
        if kind == "return"
        else _text(parts[0])
    ), []


def _context(context: Any) -> str:
    if isinstance(context, list):
        dtype = "" if context[2] is None else f", dtype=torch.{context[2]}"
        return f'with torch.autocast("{context[1]}"{dtype}{"" if context[3] else ", enabled=False"}):'
    return "if True:" if context == "nothing" else f"with torch.{context}():"


def _text(expression: Any, strength: int = _LOOSEST) -> str:
    text, own = _expression(expression)
    return f"({text})" if own < strength else text


def _expression(expression: Any) -> tuple[str, int]:
    """The text, and how strongly it holds together."""
    kind, parts = expression[0], expression[1:]
    if kind in ("binary", "unary", "compare", "and", "or", "ifexp"):
        return _operation(kind, parts)
    return _plain(kind, parts), _TIGHTEST


def _operation(kind: str, parts: IR) -> tuple[str, int]:
    if kind == "binary":
        own = _STRENGTH[parts[0]]
        return f"{_text(parts[1], own)} {parts[0]} {_text(parts[2], own + 1)}", own
    if kind == "unary":
        own = _STRENGTH["not" if parts[0] == "not" else "unary"]
        return f"{parts[0]}{' ' if parts[0] == 'not' else ''}{_text(parts[1], own)}", own
    if kind == "compare":
        own = _STRENGTH["compare"]
        rest = "".join(
            f" {how} {_text(each, own + 1)}" for how, each in zip(parts[0], parts[1][1:], strict=True)
        )
        return _text(parts[1][0], own + 1) + rest, own
    if kind == "ifexp":
        return f"{_text(parts[1], 1)} if {_text(parts[0], 1)} else {_text(parts[2], 1)}", _LOOSEST
    own = _STRENGTH[kind]
    return f" {kind} ".join(_text(each, own + 1) for each in parts[0]), own


def _plain(kind: str, parts: IR) -> str:
    if kind == "const":
        return repr(parts[0])
    if kind in ("dtype", "memory_format", "layout"):
        return f"torch.{parts[0]}"
    if kind == "device":
        return f'torch.device("{parts[0]}")'
    if kind == "tensor":
        return f"CONSTANTS.c{parts[0]}"
    if kind == "ellipsis":
        return "..."
    if kind == "local":
        return str(parts[0])
    if kind == "star":
        return f"*{_text(parts[0])}"
    if kind == "attr":
        return _of(parts[0], parts[1])
    if kind == "index":
        return _subscript(parts)
    if kind == "slice":
        return f"slice({', '.join('None' if each is None else _text(each) for each in parts)})"
    if kind == "named":
        return f"{parts[0]}({', '.join(f'{name}={_text(each)}' for name, each in zip(*parts[1:], strict=False))})"
    if kind in ("tuple", "list", "dict", "listcomp", "dictcomp", "text", "isinstance"):
        return _collection(kind, parts)
    return _call(kind, parts)


def _of(owner: IR, name: str) -> str:
    whole = _text(owner, _TIGHTEST)
    return f"{whole}.{name}" if name.isidentifier() else f'getattr({whole}, "{name}")'


def _subscript(parts: IR) -> str:
    key = parts[1]
    inner = ", ".join(map(_key, key[1])) if key[0] == "tuple" and len(key[1]) > 1 else _key(key)
    return f"{_text(parts[0], _TIGHTEST)}[{inner}]"


def _key(key: IR) -> str:
    if key[0] != "slice":
        return _text(key)
    first, second, third = ["" if each is None else _text(each) for each in key[1:]]
    return f"{first}:{second}" + (f":{third}" if third else "")


def _collection(kind: str, parts: IR) -> str:
    if kind == "tuple":
        return f"({', '.join(map(_text, parts[0]))}{',' if len(parts[0]) == 1 else ''})"
    if kind == "list":
        return f"[{', '.join(map(_text, parts[0]))}]"
    if kind == "dict":
        return "{" + ", ".join(f"{_text(key)}: {_text(value)}" for key, value in parts[0]) + "}"
    if kind == "text":
        pattern = "".join(_piece(*each) for each in parts[0])
        values = [_text(each[0]) for each in parts[0] if each[0][0] != "const"]
        return f"{pattern!r}.format({', '.join(values)})"
    if kind == "isinstance":
        return f"isinstance({_text(parts[0])}, ({', '.join(map(types.text_of, parts[1]))}))"
    made = _text(parts[3]) if kind == "listcomp" else f"{_text(parts[3])}: {_text(parts[4])}"
    condition = f" if {_text(parts[2])}" if parts[2] else ""
    inner = f"{made} for {_text(parts[0])} in {_text(parts[1])}{condition}"
    return f"[{inner}]" if kind == "listcomp" else "{" + inner + "}"


def _piece(value: IR, conversion: str, spec: str) -> str:
    """A part of a text, as ``str.format`` writes it."""
    if value[0] == "const":
        return str(value[1]).replace("{", "{{").replace("}", "}}")
    return "{" + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}"


def _call(kind: str, parts: IR) -> str:
    given = [_text(each) for each in parts[-2]] + [f"{key}={_text(each)}" for key, each in parts[-1].items()]
    if kind == "module":
        return f"{_text(parts[0], _TIGHTEST)}({', '.join(given)})"
    if kind == "method":
        return f"{_of(parts[0], parts[1])}({', '.join(given)})"
    if kind in ("function", "python"):
        return f"{parts[0].rpartition('.')[2]}({', '.join(given)})"
    return _called(parts[0], parts[1], given)


def _called(target: str, args: list[IR], given: list[str]) -> str:
    family, _, name = target.rpartition(".")
    if family == "Tensor" and args and not name.startswith("__"):
        whole = _text(args[0], _TIGHTEST)
        return f"{whole}.{name}" + (
            "" if name in ("T", "mT", "H", "mH", "real", "imag", "data") else f"({', '.join(given[1:])})"
        )
    if family == "builtins":
        return f"{name}({', '.join(given)})"
    if target == "index" and len(args) == 2:
        return _subscript(args)
    if target == "Tensor.__setitem__":
        return f"{_subscript(args[:2])} = {given[2]}"
    if target == "size":
        return f"{_text(args[0], _TIGHTEST)}.size({', '.join(given[1:])})"
    if family == "operator" and len(args) == 2:
        sign = {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%"}[name]
        return f"({_text(args[0], _TIGHTEST)} {sign} {_text(args[1], _TIGHTEST)})"
    if family in ("math", "torch", "jit", "operator"):
        return f"{target}({', '.join(given)})"
    is_layer_function = name in functional.__all__ and name not in _PUBLIC and not family
    return f"torch.{'nn.functional.' if is_layer_function else ''}{target}({', '.join(given)})"


_PUBLIC = frozenset(listed(FUNCTIONS))
