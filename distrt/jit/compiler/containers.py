"""Tuples, lists, dicts, texts and comprehensions, and what is picked out of them."""

from __future__ import annotations

import ast
from typing import Any

from distrt.jit import types as kinds
from distrt.jit.compiler.meaning import UNKNOWN, Meaning, Modules, as_wanted, is_optional, plain
from distrt.jit.compiler.naming import Naming
from distrt.jit.frontend import NotSupportedError
from distrt.jit.program import IR
from distrt.jit.recording import constant


class Containers(Naming):
    """Compiles the containers in one function."""

    def _on_tuple(self, node: ast.Tuple) -> Meaning:
        items = [self._item(each) for each in node.elts]
        kind = (
            None
            if any(each.ir[0] == "star" for each in items)
            else ["Tuple", *(plain(each.type) for each in items)]
        )
        known = tuple(each.value for each in items) if all(each.is_known for each in items) else UNKNOWN
        return Meaning(["tuple", [each.ir for each in items]], kind, known)

    def _named_tuple(self, node: ast.Call, cls: Any) -> Meaning:
        """An instance of a ``NamedTuple``, with the defaults of fields that the source does not give."""
        kind = kinds.of_annotation(cls)
        given = dict(zip(cls._fields, node.args, strict=False)) | {
            each.arg: each.value for each in node.keywords
        }
        if len(node.args) > len(cls._fields) or given.keys() - set(cls._fields):
            self.source.refuse(
                node, f"{cls.__name__} has the fields {', '.join(cls._fields)}; other ones are given"
            )
        items = []
        for field, wanted in zip(cls._fields, kind[1:], strict=True):
            if field in given:
                value = as_wanted(self.value(given[field]), wanted)
            elif field in cls._field_defaults:
                value = Meaning(constant(cls._field_defaults[field]), wanted)
            else:
                self.source.refuse(node, f"Argument {field} not provided")
            if not kinds.fits(wanted, plain(value.type)):
                self.source.refuse(
                    node,
                    f"{cls.__name__}() Expected a value of type '{kinds.text_of(wanted)}' for argument '{field}' but "
                    f"instead found type '{kinds.text_of(value.type)}'",
                )
            items.append(value.ir)
        return Meaning(["named", cls.__name__, list(cls._fields), items], kind)

    def _on_list(self, node: ast.List) -> Meaning:
        items = [self._item(each) for each in node.elts]
        kinds_there = [plain(each.type) for each in items]
        kind = (
            ["List", kinds_there[0]]
            if kinds_there and all(each == kinds_there[0] for each in kinds_there)
            else None
        )
        return Meaning(["list", [each.ir for each in items]], kind)

    def _item(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Starred):
            return Meaning(["star", self.value(node.value).ir], None)
        return self.value(node)

    def _on_dict(self, node: ast.Dict) -> Meaning:
        if any(key is None for key in node.keys):
            self.source.refuse(node, "** in a dict is not supported", NotSupportedError)
        pairs = [
            (self.value(key), self.value(each))
            for key, each in zip(node.keys, node.values, strict=True)
            if key
        ]
        kind = ["Dict", pairs[0][0].type, plain(pairs[0][1].type)] if pairs else None
        return Meaning(["dict", [[key.ir, each.ir] for key, each in pairs]], kind)

    def _on_subscript(self, node: ast.Subscript) -> Meaning:
        owner = self.value(node.value)
        if owner.type in ("int", "float", "bool", "None", "Device"):
            self.source.refuse(node, f"'{kinds.text_of(owner.type)}' object is not subscriptable")
        if is_optional(owner.type):
            self.source.refuse(node, f"'{kinds.text_of(owner.type)}' object is not subscriptable")
        key = self.key(node.slice)
        return Meaning(["index", owner.ir, key], self._indexed(owner.type, node.slice))

    def key(self, node: ast.expr) -> IR:
        """What stands in brackets."""
        if isinstance(node, ast.Slice):
            parts = (node.lower, node.upper, node.step)
            return ["slice", *(None if each is None else self.value(each).ir for each in parts)]
        if isinstance(node, ast.Tuple):
            return ["tuple", [self.key(each) for each in node.elts]]
        return self.value(node).ir  # type: ignore[no-any-return]

    def _indexed(self, kind: Any, key: ast.expr) -> Any:
        is_slice = isinstance(key, ast.Slice)
        if isinstance(kind, Modules):
            number = key.value if isinstance(key, ast.Constant) else None
            children = [module._modules.get(str(number)) for module in kind.modules]
            return Modules((children[0],)) if children and children[0] is not None else kind.children()
        if kind in ("Tensor", "str"):
            return kind
        if isinstance(kind, list) and kind[0] == "List":
            return kind if is_slice else kind[1]
        if isinstance(kind, list) and kind[0] == "Dict":
            return kind[2]
        if (
            isinstance(kind, list)
            and kind[0] == "Tuple"
            and isinstance(key, ast.Constant)
            and type(key.value) is int
        ):
            if not -len(kind) < key.value < len(kind) - 1:
                self.source.refuse(key, "Tuple index out of range")
            return kind[1:][key.value]
        return None

    def element_of(self, kind: Any) -> Any:
        """The type of what a loop over a value of this type gives."""
        if isinstance(kind, Modules):
            return kind.children()
        if kind in ("Tensor", "str"):
            return kind
        if isinstance(kind, list) and kind[0] in ("List", "Dict"):
            return kind[1]
        if isinstance(kind, list) and kind[0] == "Tuple" and len({str(each) for each in kind[1:]}) == 1:
            return kind[1]
        return None

    def _on_listcomp(self, node: ast.ListComp) -> Meaning:
        (target, source, condition), before = self._round(node, node.generators)
        element = self.value(node.elt)
        self.variables = before
        return Meaning(["listcomp", target, source, condition, element.ir], ["List", plain(element.type)])

    def _on_dictcomp(self, node: ast.DictComp) -> Meaning:
        (target, source, condition), before = self._round(node, node.generators)
        key, value = self.value(node.key), self.value(node.value)
        self.variables = before
        kind = ["Dict", key.type, plain(value.type)]
        return Meaning(["dictcomp", target, source, condition, key.ir, value.ir], kind)

    def _on_generatorexp(self, node: ast.GeneratorExp) -> Meaning:
        return self._on_listcomp(ast.copy_location(ast.ListComp(node.elt, node.generators), node))

    def _round(
        self, node: ast.AST, generators: list[ast.comprehension]
    ) -> tuple[tuple[IR, IR, IR | None], dict[str, Any]]:
        if len(generators) != 1:
            self.source.refuse(node, "Only a single generator is currently supported", NotSupportedError)
        (each,) = generators
        before = dict(self.variables)
        source = self.value(each.iter)
        target = self._comprehended(each.target, self.element_of(source.type))
        condition: IR | None = None
        for test in each.ifs:
            found = self.condition(test).ir
            condition = found if condition is None else ["and", [condition, found]]
        return (target, source.ir, condition), before

    def _comprehended(self, node: ast.expr, kind: Any) -> IR:
        if isinstance(node, ast.Name):
            self.variables = {**self.variables, node.id: kind}
            return ["local", node.id]
        if isinstance(node, ast.Tuple):
            parts = (
                kind[1:]
                if isinstance(kind, list) and kind[0] == "Tuple" and len(kind) == len(node.elts) + 1
                else None
            )
            given = parts or [None] * len(node.elts)
            return [
                "tuple",
                [self._comprehended(each, part) for each, part in zip(node.elts, given, strict=True)],
            ]
        self.source.refuse(node, "a comprehension's target must be a name", NotSupportedError)

    def _on_joinedstr(self, node: ast.JoinedStr) -> Meaning:
        pieces = []
        for each in node.values:
            if isinstance(each, ast.Constant):
                pieces.append([["const", each.value], "", ""])
                continue
            if not isinstance(each, ast.FormattedValue):
                self.source.refuse(each, "this part of a text is not supported", NotSupportedError)
            conversion = "" if each.conversion < 0 else chr(each.conversion)
            pieces.append([self.value(each.value).ir, conversion, self._spec(each.format_spec)])
        return Meaning(["text", pieces], "str")

    def _spec(self, node: ast.expr | None) -> str:
        if node is None:
            return ""
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        if not all(isinstance(each, ast.Constant) for each in parts):
            self.source.refuse(node, "a format that is computed is not supported", NotSupportedError)
        return "".join(str(each.value) for each in parts if isinstance(each, ast.Constant))
