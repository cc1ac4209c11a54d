"""What a scripted or traced function is: data. Lists, strings and numbers, which the interpreter walks through.

A function is a ``Function``; its body is a list of statements, each a list that begins with its kind and its line:

    ["assign", line, TARGET, EXPR]        ["augment", line, "+", TARGET, EXPR]      ["expr", line, EXPR]
    ["if", line, EXPR, BODY, BODY]        ["while", line, EXPR, BODY]               ["for", line, TARGET, EXPR, BODY]
    ["return", line, EXPR]                ["break", line]                           ["continue", line]
    ["assert", line, EXPR, EXPR]          ["raise", line, "ValueError", EXPR]       ["with", line, CONTEXT, BODY]
    ["delete", line, TARGET]

and an expression a list that begins with its kind:

    ["const", None | bool | int | float | complex | str]    ["dtype", "float32"]    ["device", "cpu"]
    ["memory_format", "channels_last"]   ["layout", "strided"]   ["ellipsis"]       ["tensor", index of a constant]
    ["local", name]                      ["attr", EXPR, name]                       ["index", EXPR, EXPR]
    ["call", target, ARGS, KWARGS]       ["method", EXPR, name, ARGS, KWARGS]       ["module", EXPR, ARGS, KWARGS]
    ["function", name, ARGS, KWARGS]     ["python", name, ARGS, KWARGS]             ["slice", EXPR, EXPR, EXPR]
    ["named", class name, [field, ...], EXPRS]
    ["tuple", EXPRS]   ["list", EXPRS]   ["dict", [[EXPR, EXPR], ...]]              ["star", EXPR]
    ["unary", "-", EXPR]                 ["binary", "+", EXPR, EXPR]                ["compare", [op, ...], EXPRS]
    ["and", EXPRS]     ["or", EXPRS]     ["ifexp", EXPR, EXPR, EXPR]
    ["text", [[EXPR, conversion, spec], ...]]               ["isinstance", EXPR, [type name, ...]]
    ["listcomp", TARGET, EXPR, CONDITION, EXPR]             ["dictcomp", TARGET, EXPR, CONDITION, EXPR, EXPR]

A CONTEXT is a word, or ["autocast", device type, name of a dtype or None, enabled]. A TARGET is a "local", "attr",
"index", "tuple" or "star". ``call`` names an operation (``table.py``), ``function`` another function of the same
program. What is read from a file is held against this list (``checking.py``) before anything of it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

IR = list[Any]

#: How deep expressions and blocks may lie in one another, and of how many lists a program may consist.
MOST_DEPTH = 200
MOST_PARTS = 200_000

BINARY = "+ - * / // % ** @ & | ^ << >>".split()
UNARY = ["-", "+", "~", "not"]
COMPARISONS = ["==", "!=", "<", "<=", ">", ">=", "is", "is not", "in", "not in"]
CONTEXTS = ["no_grad", "enable_grad", "inference_mode", "nothing"]
EXCEPTIONS = (
    "ArithmeticError AssertionError AttributeError Exception FloatingPointError IndexError KeyError LookupError "
    "NotImplementedError OverflowError RuntimeError TypeError ValueError ZeroDivisionError"
).split()


@dataclass
class Parameter:
    """One parameter of a function; ``default`` is an expression, or None where it must be given."""

    name: str
    type: Any
    default: IR | None = None
    keyword_only: bool = False


@dataclass
class Function:
    """A function as data.

    Attributes:
        name: what users call it.
        parameters: its parameters; ``self`` of a method is not among them.
        returns: the type that its source states; None where it states none.
        body: its statements.
        source: where it was written, for messages: ``(file, first line)``.
    """

    name: str
    parameters: list[Parameter]
    returns: Any
    body: list[IR]
    source: tuple[str, int] = ("", 0)


@dataclass
class Program:
    """Functions that call one another, and the tensors among their constants.

    Attributes:
        functions: by their names in ``["function", name, ...]``.
        constants: what ``["tensor", index]`` is.
        python: functions that ``@jit.ignore`` leaves to Python; never stored.
    """

    functions: dict[str, Function] = field(default_factory=dict)
    constants: list[Any] = field(default_factory=list)
    python: dict[str, Any] = field(default_factory=dict)


def described(function: Function) -> dict[str, Any]:
    """A function as it is stored."""
    return {
        "name": function.name,
        "parameters": [
            [each.name, each.type, each.default, each.keyword_only] for each in function.parameters
        ],
        "returns": function.returns,
        "body": function.body,
    }


#: The kinds of statements, and what their parts are, in the words of ``checking.py``; then expressions and targets.
STATEMENTS = {
    "assert": "expr maybe",
    "assign": "to expr",
    "augment": "binary to expr",
    "break": "",
    "continue": "",
    "delete": "to",
    "expr": "expr",
    "for": "to expr block",
    "if": "expr block block",
    "raise": "exception maybe",
    "return": "expr",
    "while": "expr block",
    "with": "context block",
}
EXPRESSIONS = {
    "and": "exprs",
    "attr": "expr attribute",
    "binary": "binary expr expr",
    "call": "operation exprs kwargs",
    "compare": "comparisons exprs",
    "const": "constant",
    "device": "device",
    "dict": "pairs",
    "dictcomp": "to expr maybe expr expr",
    "dtype": "dtype",
    "ellipsis": "",
    "function": "function exprs kwargs",
    "ifexp": "expr expr expr",
    "index": "expr expr",
    "isinstance": "expr types",
    "layout": "layout",
    "list": "exprs",
    "listcomp": "to expr maybe expr",
    "local": "name",
    "memory_format": "format",
    "method": "expr attribute exprs kwargs",
    "module": "expr exprs kwargs",
    "named": "name fields exprs",
    "or": "exprs",
    "slice": "maybe maybe maybe",
    "star": "expr",
    "tensor": "place",
    "text": "pieces",
    "tuple": "exprs",
    "unary": "unary expr",
}
TARGETS = {
    "attr": "expr attribute",
    "index": "expr expr",
    "local": "name",
    "star": "to",
    "tuple": "tos",
}
