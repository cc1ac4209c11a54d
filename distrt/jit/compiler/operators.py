"""Operators, comparisons and conditions, and what a condition says about types."""

from __future__ import annotations

import ast
from typing import Any

from distrt.jit import types as kinds
from distrt.jit.compiler.containers import Containers
from distrt.jit.compiler.meaning import UNKNOWN, Meaning, Modules, is_optional

BINARY = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
UNARY = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~", ast.Not: "not"}
COMPARE = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Is: "is",
    ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_NUMBERS = ("int", "float", "bool", "complex")


class Operators(Containers):
    """Compiles the operators in one function."""

    def _on_binop(self, node: ast.BinOp) -> Meaning:
        left, right = self.value(node.left), self.value(node.right)
        operation = BINARY[type(node.op)]
        kind = self.operated(operation, left.type, right.type)
        if "None" in (left.type, right.type) or is_optional(left.type) or is_optional(right.type):
            wrong = left.type if left.type == "None" or is_optional(left.type) else right.type
            self.source.refuse(
                node,
                f"Arguments for call are not valid.\nExpected a value of type 'Tensor' for argument of "
                f"'{operation}' but instead found type '{kinds.text_of(wrong)}'",
            )
        return Meaning(["binary", operation, left.ir, right.ir], kind)

    def operated(self, operation: str, left: Any, right: Any) -> Any:
        """The type of what a binary operator gives."""
        if "Tensor" in (left, right):
            return "Tensor"
        if left in _NUMBERS and right in _NUMBERS:
            if operation == "/":
                return "complex" if "complex" in (left, right) else "float"
            if operation == "**" and (left, right) == ("int", "int"):
                return None  # a float for negative powers
            found = next(each for each in ("complex", "float", "int", "bool") if each in (left, right))
            return "int" if found == "bool" and operation not in "&|^" else found
        if left == right and operation == "+":
            return left
        return "str" if left == "str" and operation == "%" else None

    def _on_unaryop(self, node: ast.UnaryOp) -> Meaning:
        operand = self.value(node.operand)
        operation = UNARY[type(node.op)]
        if operation == "not":
            known = (not operand.value) if operand.is_known else UNKNOWN
            return Meaning(["unary", "not", operand.ir], "bool", known)
        if operation == "-" and operand.ir[0] == "const" and isinstance(operand.ir[1], int | float):
            return Meaning(["const", -operand.ir[1]], operand.type)
        return Meaning(["unary", operation, operand.ir], operand.type)

    def _on_compare(self, node: ast.Compare) -> Meaning:
        operands = [self.value(each) for each in (node.left, *node.comparators)]
        operations = [COMPARE[type(each)] for each in node.ops]
        known: Any = UNKNOWN
        if len(operations) == 1 and operations[0] in ("is", "is not"):
            known = _same(operands[0], operands[1], operations[0] == "is")
        elif (
            len(operations) == 1 and all(each.is_known for each in operands) and operations[0] in ("==", "!=")
        ):
            known = (operands[0].value == operands[1].value) is (operations[0] == "==")
        tensor = any(each.type == "Tensor" for each in operands) and not set(operations) & {
            "is",
            "is not",
            "in",
            "not in",
        }
        unsure = any(each.type is None for each in operands)
        kind = "Tensor" if tensor and len(operations) == 1 else None if unsure else "bool"
        return Meaning(["compare", operations, [each.ir for each in operands]], kind, known)

    def _on_boolop(self, node: ast.BoolOp) -> Meaning:
        is_and = isinstance(node.op, ast.And)
        found: list[Meaning] = []
        refined_before = dict(self.variables)
        for each in node.values:
            operand = self.condition(each)
            if operand.is_known and bool(operand.value) is not is_and:  # what follows never runs
                if not found:
                    self.variables = refined_before
                    return operand  # type: ignore[no-any-return]
                found.append(operand)
                break
            if operand.is_known and len(node.values) > 1:
                continue
            found.append(operand)
            refined, otherwise = self.refinements(each)
            self.variables = {**self.variables, **(refined if is_and else otherwise)}
        self.variables = refined_before
        if not found:
            return Meaning(["const", is_and], "bool", is_and)
        if len(found) == 1:
            return found[0]
        first = found[0].type
        kind = first if all(each.type == first for each in found) else None
        return Meaning(["and" if is_and else "or", [each.ir for each in found]], kind)

    def _on_ifexp(self, node: ast.IfExp) -> Meaning:
        test = self.condition(node.test)
        if test.is_known:
            return self.expression(node.body if test.value else node.orelse)
        refined, otherwise = self.refinements(node.test)
        before = self.variables
        self.variables = {**before, **refined}
        yes = self.value(node.body)
        self.variables = {**before, **otherwise}
        no = self.value(node.orelse)
        self.variables = before
        kind = yes.type if isinstance(yes.type, Modules) else kinds.joined(yes.type, no.type)
        return Meaning(["ifexp", test.ir, yes.ir, no.ir], kind)

    def refinements(self, node: ast.expr) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is known of types where a condition holds, and where it does not: of names compared with None."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yes, no = self.refinements(node.operand)
            return no, yes
        if isinstance(node, ast.BoolOp):
            both = [self.refinements(each) for each in node.values]
            if isinstance(node.op, ast.And):
                return {name: kind for yes, _ in both for name, kind in yes.items()}, {}
            return {}, {name: kind for _, no in both for name, kind in no.items()}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            return self._refined_by_isinstance(node)
        if not isinstance(node, ast.Compare) or len(node.ops) != 1 or not isinstance(node.left, ast.Name):
            return {}, {}
        right = node.comparators[0]
        if not (isinstance(right, ast.Constant) and right.value is None):
            return {}, {}
        name = node.left.id
        kind = self.variables.get(name)
        inner = kind[1] if isinstance(kind, list) and is_optional(kind) else kind
        is_none, is_there = {name: "None"}, {name: inner}
        if isinstance(node.ops[0], ast.Is | ast.Eq):
            return is_none, is_there
        return (is_there, is_none) if isinstance(node.ops[0], ast.IsNot | ast.NotEq) else ({}, {})

    def _refined_by_isinstance(self, node: ast.Call) -> tuple[dict[str, Any], dict[str, Any]]:
        if (
            len(node.args) != 2
            or not isinstance(node.args[0], ast.Name)
            or node.args[0].id not in self.variables
        ):
            return {}, {}
        name = node.args[0].id
        wanted = self.annotations.class_of(node.args[1])
        had = self.variables[name]
        options = had[1:] if isinstance(had, list) and had[0] == "Union" else had
        rest = None
        if is_optional(had):
            rest = "None" if kinds.fits(wanted[0], had[1]) else had
        elif isinstance(options, list) and isinstance(had, list) and had[0] == "Union":
            left = [each for each in options if each not in wanted]
            rest = left[0] if len(left) == 1 else None
        return {name: wanted[0] if len(wanted) == 1 else None}, {name: rest}


def _same(left: Meaning, right: Meaning, wanted: bool) -> Any:
    """Whether ``left is right`` is known: of None, and of types that cannot be None."""
    for one, other in ((left, right), (right, left)):
        if other.type != "None" or not other.is_known:
            continue
        if one.type == "None" and one.is_known:
            return wanted
        if isinstance(one.type, Modules) or (
            one.type not in (None, "None", "Any") and not _may_be_none(one.type)
        ):
            return not wanted
    return UNKNOWN


def _may_be_none(kind: Any) -> bool:
    return isinstance(kind, list) and kind[0] in ("Optional", "Union")
