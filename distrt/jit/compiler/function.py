"""One Python function as a function of the program: its parameters, and then its body."""

from __future__ import annotations

import ast
import types
from typing import TYPE_CHECKING, Any

from distrt.core.errors import ScriptError
from distrt.jit import types as kinds
from distrt.jit.compiler.meaning import Modules
from distrt.jit.compiler.names import Annotations, Names
from distrt.jit.compiler.statements import Statements
from distrt.jit.frontend import NotSupportedError, Source
from distrt.jit.program import Function, Parameter
from distrt.jit.recording import constant
from distrt.nn.modules.module import Module

if TYPE_CHECKING:
    from distrt.jit.compiler.unit import Unit


def compiled(unit: Unit, function: types.FunctionType, owner: Module | None) -> Function:
    """The function, or with ``owner`` the method of that module, as data.

    Raises:
        ScriptError: (a RuntimeError) for what programs do not have, with the line of the source.
    """
    source = Source(_original(function))
    names = Names(_original(function))
    annotations = Annotations(source, names)
    count = len(source.tree.args.args) - (owner is not None)
    kinds_stated, stated = annotations.signature(source.tree.type_comment, count)
    parameters, variables = _parameters(source, annotations, function, owner, kinds_stated)
    body = Statements(unit, source, names, annotations, variables)
    if owner is not None:
        body.variables["self"] = Modules((owner,))
        body.itself = source.tree.args.args[0].arg
    returns = annotations.type_of(source.tree.returns) or stated
    code = body.function(source.tree.body, returns)
    return Function(
        source.name, parameters, returns or body.returned, code, (source.file, source.line(source.tree))
    )


def _original(function: Any) -> Any:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def _parameters(
    source: Source,
    annotations: Annotations,
    function: types.FunctionType,
    owner: Module | None,
    stated: list[Any],
) -> tuple[list[Parameter], dict[str, Any]]:
    given = source.tree.args
    if given.vararg is not None or given.kwarg is not None:
        node = given.vararg or given.kwarg
        assert node is not None
        source.refuse(
            node,
            "Compiled functions can't take variable number of arguments or use keyword-only arguments with defaults",
            NotSupportedError,
        )
    plain = [*given.posonlyargs, *given.args]
    if owner is not None:
        plain = plain[1:]
    defaults = list(_original(function).__defaults__ or ())
    first = len(plain) - len(defaults)
    found, variables = [], {}
    for number, each in enumerate(plain):
        default = defaults[number - first : number - first + 1] if number >= first else []
        in_comment = stated[number] if number < len(stated) else None
        found.append(_parameter(source, annotations, each, default, False, in_comment))
    named = _original(function).__kwdefaults__ or {}
    for each in given.kwonlyargs:
        found.append(
            _parameter(source, annotations, each, [named[each.arg]] if each.arg in named else [], True)
        )
    for parameter in found:
        variables[parameter.name] = parameter.type
    return found, variables


def _parameter(
    source: Source,
    annotations: Annotations,
    node: ast.arg,
    default: list[Any],
    keyword_only: bool,
    in_comment: Any = None,
) -> Parameter:
    kind = annotations.type_of(node.annotation) or in_comment or "Tensor"
    if not default:
        return Parameter(node.arg, kind, None, keyword_only)
    value = default[0]
    if isinstance(value, list | dict | set):
        source.refuse(
            source.tree,
            "Mutable default parameters are not supported because Python binds them to the function and they persist "
            "across function calls.\n As a workaround, make the default None and instantiate the default parameter "
            f"within the body of the function. Found {type(value)} on parameter {node.arg}",
        )
    if not kinds.holds(kind, value) and value is not None:
        stated = kinds.text_of(kind) if node.annotation is not None else "Tensor (inferred)"
        why = (
            ""
            if node.annotation is not None
            else f". Because \"{node.arg}\" was not annotated with an explicit type it is assumed to be type 'Tensor'"
        )
        source.refuse(node, f'Expected a default value of type {stated} on parameter "{node.arg}"{why}')
    try:
        return Parameter(node.arg, kind, constant(value), keyword_only)
    except TypeError as fault:
        raise ScriptError(f"the default of parameter {node.arg}: {fault}") from fault
