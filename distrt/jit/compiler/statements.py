"""Statements: what they do to names, on which paths a name has a value, and of what type."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from distrt.jit import types as kinds
from distrt.jit.compiler.contexts import Contexts
from distrt.jit.compiler.meaning import Meaning, Modules, as_wanted, is_optional, plain
from distrt.jit.compiler.operators import BINARY
from distrt.jit.decorators import attribute_of
from distrt.jit.frontend import NotSupportedError, Source, UnsupportedNodeError
from distrt.jit.program import EXCEPTIONS, IR

if TYPE_CHECKING:
    from distrt.jit.compiler.names import Annotations, Names
    from distrt.jit.compiler.unit import Unit


class Statements(Contexts):
    """Compiles the statements of one function."""

    def __init__(
        self, unit: Unit, source: Source, names: Names, annotations: Annotations, variables: dict[str, Any]
    ) -> None:
        super().__init__(unit, source, names, annotations, variables)
        self.returned: Any = None
        self._declared: Any = None
        self._has_returned = False
        self._outer: list[dict[str, Any]] = []  # the names around each block that we are in
        self._loops = 0

    def function(self, body: list[ast.stmt], declared: Any) -> list[IR]:
        """The body of a function whose source states the type ``declared``."""
        self._declared = declared
        found, ends = self._block(body)
        if not ends and declared not in (None, "None", "Any") and not is_optional(declared):
            self.source.refuse(
                self.source.tree,
                "Function was not annotated as having type None, but does not return along all paths",
            )
        if not ends and declared is None and self._has_returned and self.returned not in (None, "None"):
            self.source.refuse(
                self.source.tree,
                "Function was not annotated as having type None, but does not return along all paths",
            )
        return found

    def _block(self, statements: list[ast.stmt]) -> tuple[list[IR], bool]:
        """The statements, and whether every path through them ends in a return or an error."""
        found: list[IR] = []
        for node in statements:
            made, ends = self._statement(node)
            found += made
            if ends:
                return found, True
        return found, False

    def _statement(self, node: ast.stmt) -> tuple[list[IR], bool]:
        handler = getattr(self, f"_do_{type(node).__name__.lower()}", None)
        if handler is None:
            self.source.refuse(node, f"{_spoken(node)} aren't supported", UnsupportedNodeError)
        made = handler(node)
        return made if isinstance(made, tuple) else (made, False)

    # -- assignments

    def _do_assign(self, node: ast.Assign) -> list[IR]:
        value = self.value(node.value)
        if node.type_comment and self.annotations.in_comment(node.type_comment) is not None:
            value = Meaning(value.ir, self.annotations.in_comment(node.type_comment))
        if len(node.targets) == 1:
            value = as_wanted(value, self._type_around(node.targets[0]))
            target = self._target(node.targets[0], value.type)
            return [["assign", self.source.line(node), target, value.ir]]
        kept = f"_{len(self.variables)}_{self.source.line(node)}"
        found: list[IR] = [["assign", self.source.line(node), ["local", kept], value.ir]]
        for each in node.targets:
            found.append(["assign", self.source.line(node), self._target(each, value.type), ["local", kept]])
        return found

    def _type_around(self, node: ast.expr) -> Any:
        """The type that a name has outside of the block that we are in, which an assignment keeps."""
        known = [
            around[node.id] for around in self._outer if isinstance(node, ast.Name) and node.id in around
        ]
        return known[0] if known else None

    def _do_annassign(self, node: ast.AnnAssign) -> list[IR]:
        declared = self.annotations.type_of(node.annotation)
        if node.value is None:
            self.source.refuse(
                node, "Expected a value in an assignment with an annotation", NotSupportedError
            )
        value = self.value(node.value)
        if not kinds.fits(declared, plain(value.type)):
            self.source.refuse(
                node,
                f"Variable '{ast.unparse(node.target)}' is annotated with type {kinds.text_of(declared)} but is being "
                f"assigned to a value of type {kinds.text_of(value.type)}",
            )
        return [["assign", self.source.line(node), self._target(node.target, declared), value.ir]]

    def _do_augassign(self, node: ast.AugAssign) -> list[IR]:
        operation = BINARY[type(node.op)]
        read = self.value(_as_read(node.target))
        value = self.value(node.value)
        if not isinstance(node.target, ast.Name | ast.Attribute | ast.Subscript):
            self.source.refuse(
                node, "left-hand side of augmented assignment must be a variable", NotSupportedError
            )
        target = self._target(node.target, self.operated(operation, read.type, value.type))
        return [["augment", self.source.line(node), operation, target, value.ir]]

    def _target(self, node: ast.expr, kind: Any) -> IR:
        if isinstance(node, ast.Name):
            self._assign(node, kind)
            return ["local", node.id]
        if isinstance(node, ast.Tuple | ast.List):
            parts = self._parts(kind, len(node.elts))
            return ["tuple", [self._target(each, part) for each, part in zip(node.elts, parts, strict=True)]]
        if isinstance(node, ast.Starred):
            return ["star", self._target(node.value, None)]
        if isinstance(node, ast.Attribute):
            return self._attribute_target(node, kind)
        if isinstance(node, ast.Subscript):
            return ["index", self.value(node.value).ir, self.key(node.slice)]
        self.source.refuse(node, "this cannot be assigned to", NotSupportedError)

    def _attribute_target(self, node: ast.Attribute, kind: Any) -> IR:
        owner = self.value(node.value)
        if isinstance(owner.type, Modules):
            module = owner.type.modules[0]
            there = (
                node.attr in module.__dict__
                or node.attr in module._buffers
                or node.attr in module._parameters
            )
            if not there:
                self.source.refuse(
                    node,
                    f"Tried to set nonexistent attribute: {node.attr}. Did you forget to initialize it in __init__()?",
                )
            had = kinds.of_value(attribute_of(module, node.attr))
            if had not in (None, "None") and not kinds.fits(had, plain(kind)):
                self.source.refuse(
                    node,
                    f"Wrong type for attribute assignment! Expected {kinds.text_of(had)} but got {kinds.text_of(kind)}",
                )
        return ["attr", owner.ir, node.attr]

    def _assign(self, node: ast.Name, kind: Any) -> None:
        name = node.id
        if name == self.itself:
            self.source.refuse(node, f"'{name}' cannot be assigned to in a method", NotSupportedError)
        for around in self._outer:
            before = around.get(name)
            if before is not None and kind is not None and not _agree(before, kind):
                self.source.refuse(
                    node,
                    f"Variable '{name}' previously had type {kinds.text_of(plain(before))} but is now being assigned "
                    f"to a value of type {kinds.text_of(plain(kind))}",
                )
        self.variables[name] = kind
        self.missing.pop(name, None)

    def _parts(self, kind: Any, count: int) -> list[Any]:
        if isinstance(kind, list) and kind[0] == "Tuple" and len(kind) == count + 1:
            return kind[1:]
        if isinstance(kind, list) and kind[0] == "List":
            return [kind[1]] * count
        return [None] * count

    # -- branches and loops

    def _do_if(self, node: ast.If) -> tuple[list[IR], bool]:
        test = self.condition(node.test)
        if test.is_known:
            return self._block(node.body if test.value else node.orelse)
        refined, refined_else = self.refinements(node.test)
        before, before_missing = dict(self.variables), dict(self.missing)
        self._outer.append(before)
        self.variables = {**before, **refined}
        yes, yes_ends = self._block(node.body)
        after_yes, missing_yes = self.variables, self.missing
        self.variables, self.missing = {**before, **refined_else}, dict(before_missing)
        no, no_ends = self._block(node.orelse)
        after_no, missing_no = self.variables, self.missing
        self._outer.pop()
        self.missing = before_missing
        if yes_ends and no_ends:
            self.variables = before
        elif yes_ends or no_ends:
            self.variables = after_no if yes_ends else after_yes
            self.missing = missing_no if yes_ends else missing_yes
        else:
            self.variables = self._merged(node, after_yes, after_no, before)
        return [["if", self.source.line(node), test.ir, yes, no]], yes_ends and no_ends

    def _merged(
        self, node: ast.AST, yes: dict[str, Any], no: dict[str, Any], before: dict[str, Any]
    ) -> dict[str, Any]:
        found = {}
        for name in [*yes, *(each for each in no if each not in yes)]:
            if name not in yes or name not in no:
                self.missing[name] = (
                    f"{name} is not defined in the {'true' if name not in yes else 'false'} branch"
                )
                continue
            one, other = yes[name], no[name]
            if isinstance(one, Modules) or isinstance(other, Modules):
                found[name] = one if one == other else None
                continue
            if not kinds.fits(one, other) and not kinds.fits(other, one) and "None" not in (one, other):
                self.source.refuse(
                    node,
                    f"Type mismatch: {name} is set to type {kinds.text_of(one)} in the true branch and type "
                    f"{kinds.text_of(other)} in the false branch",
                )
            found[name] = kinds.joined(one, other)
        return found

    def _do_while(self, node: ast.While) -> list[IR]:
        if node.orelse:
            self.source.refuse(node, "else branches of while loops aren't supported", NotSupportedError)
        test = self.condition(node.test)
        return [["while", self.source.line(node), test.ir, self._loop(node.body)]]

    def _do_for(self, node: ast.For) -> list[IR]:
        if node.orelse:
            self.source.refuse(node, "else branches of for loops aren't supported", NotSupportedError)
        source = self.value(node.iter)
        self._require_iterable(node.iter, source)
        around = dict(self.variables)
        target = self._target(node.target, self.element_of(source.type))
        body = self._loop(node.body)
        self._forget(around)
        return [["for", self.source.line(node), target, source.ir, body]]

    def _loop(self, body: list[ast.stmt]) -> list[IR]:
        before = dict(self.variables)
        self._outer.append(before)
        self._loops += 1
        found, _ = self._block(body)
        self._loops -= 1
        self._outer.pop()
        self._forget(before)
        return found

    def _forget(self, before: dict[str, Any]) -> None:
        """After a loop, what it alone has named may not be there; what it has changed may have either type."""
        for name in self.variables:
            if name not in before:
                self.missing[name] = f"{name} is not defined where the loop does not run"
        self.variables = {
            name: kind if isinstance(kind, Modules) else kinds.joined(kind, self.variables.get(name))
            for name, kind in before.items()
        }

    def _require_iterable(self, node: ast.AST, source: Meaning) -> None:
        if source.type in ("int", "float", "bool", "None", "Device"):
            self.source.refuse(node, f"'{kinds.text_of(source.type)}' object is not iterable")

    def _do_break(self, node: ast.Break) -> tuple[list[IR], bool]:
        return [["break", self.source.line(node)]], True

    def _do_continue(self, node: ast.Continue) -> tuple[list[IR], bool]:
        return [["continue", self.source.line(node)]], True

    # -- ends

    def _do_return(self, node: ast.Return) -> tuple[list[IR], bool]:
        value = Meaning(["const", None], "None") if node.value is None else self.value(node.value)
        value = as_wanted(value, self._declared)
        kind = plain(value.type)
        if self._declared is not None and not kinds.fits(self._declared, kind):
            self.source.refuse(
                node,
                f"Return value was annotated as having type {kinds.text_of(self._declared)} but is actually of type "
                f"{kinds.text_of(kind)}",
            )
        if self._declared is None and self._has_returned and not _agree(self.returned, kind):
            self.source.refuse(
                node,
                f"Previous return statement returned a value of type {kinds.text_of(self.returned)} but this return "
                f"statement returns a value of type {kinds.text_of(kind)}",
            )
        self.returned = kind if not self._has_returned else kinds.joined(self.returned, kind)
        self._has_returned = True
        return [["return", self.source.line(node), value.ir]], True

    def _do_raise(self, node: ast.Raise) -> tuple[list[IR], bool]:
        said: IR | None = None
        kind = "Exception"
        raised = node.exc
        if isinstance(raised, ast.Call):
            said = self.value(raised.args[0]).ir if raised.args else None
            raised = raised.func
        if isinstance(raised, ast.Name | ast.Attribute):
            found = self.name_of_class(raised)
            kind = found if found in EXCEPTIONS else "RuntimeError"
        return [["raise", self.source.line(node), kind, said]], True

    def _do_assert(self, node: ast.Assert) -> list[IR]:
        test = self.condition(node.test)
        message = None if node.msg is None else self.value(node.msg).ir
        refined, _ = self.refinements(node.test)
        self.variables.update(refined)
        return [["assert", self.source.line(node), test.ir, message]]

    # -- the rest

    def _do_expr(self, node: ast.Expr) -> list[IR]:
        if isinstance(node.value, ast.Constant):  # a docstring
            return []
        return [["expr", self.source.line(node), self.value(node.value, may_be_nothing=True).ir]]

    def _do_pass(self, node: ast.Pass) -> list[IR]:
        return []

    def _do_delete(self, node: ast.Delete) -> list[IR]:
        found = []
        for each in node.targets:
            if isinstance(each, ast.Name):
                self.value(each)
                self.variables.pop(each.id, None)
                found.append(["delete", self.source.line(node), ["local", each.id]])
            elif isinstance(each, ast.Subscript):
                target = ["index", self.value(each.value).ir, self.key(each.slice)]
                found.append(["delete", self.source.line(node), target])
            else:
                self.source.refuse(node, "del statements aren't supported on this", NotSupportedError)
        return found

    def _do_with(self, node: ast.With) -> tuple[list[IR], bool]:
        if len(node.items) != 1 or node.items[0].optional_vars is not None:
            self.source.refuse(
                node, "a with statement must have one context, without a name", NotSupportedError
            )
        given = node.items[0].context_expr
        context = self.context(node, given) if isinstance(given, ast.Call) else None
        if context is None:
            self.source.refuse(
                node,
                "with statements are for torch.no_grad(), torch.enable_grad(), torch.inference_mode(), "
                "torch.autocast(...) and record_function(...)",
                NotSupportedError,
            )
        body, ends = self._block(node.body)
        return [["with", self.source.line(node), context, body]], ends


def _agree(one: Any, other: Any) -> bool:
    one, other = plain(one), plain(other)
    return kinds.fits(one, other) or kinds.fits(other, one)


def _as_read(node: ast.expr) -> ast.expr:
    """A target, as the expression that reads it."""
    made: Any = type(node)(**{**dict(ast.iter_fields(node)), "ctx": ast.Load()})
    return ast.copy_location(made, node)  # type: ignore[no-any-return]


def _spoken(node: ast.AST) -> str:
    """What a statement is called in messages."""
    return {
        "FunctionDef": "function definitions",
        "ClassDef": "class definitions",
        "AsyncFunctionDef": "async function definitions",
        "Try": "try blocks",
        "TryStar": "try blocks",
        "Import": "import statements",
        "ImportFrom": "import statements",
        "Global": "global variables",
        "Nonlocal": "nonlocal variables",
        "Match": "match statements",
        "AsyncFor": "async for loops",
        "AsyncWith": "async with statements",
    }.get(type(node).__name__, type(node).__name__)
