"""Scripts that are run on distrt and on PyTorch: every line must have the same outcome.

An outcome is what an expression's value prints as, or the exception that a line raised, together with the warnings. Our
exceptions may be subclasses of PyTorch's. ``t`` and ``nn`` are the library; ``fixed(module)`` gives a module parameters
that do not depend on random numbers.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import pickle
import re
import textwrap
import warnings
from collections import OrderedDict, namedtuple
from typing import Any

import distrt


@dataclasses.dataclass
class Outcome:
    """What one line did."""

    line: str
    value: str
    warned: list[tuple[str, str]]
    fault: Exception | None = None


def assert_same_outcomes(script: str, torch: Any) -> None:
    """Runs a script on both libraries, and compares line by line."""
    ours, theirs = _run(script, distrt), _run(script, torch)
    for mine, expected in zip(ours, theirs, strict=True):
        where = f"{mine.line}\nours: {mine}\nPyTorch: {expected}"
        assert (mine.fault is None) == (expected.fault is None), where
        if expected.fault is not None:
            assert isinstance(mine.fault, type(expected.fault)), where
        assert mine.value == expected.value, where
        assert mine.warned == expected.warned, where


def _run(script: str, library: Any) -> list[Outcome]:
    names: dict[str, Any] = {
        "t": library,
        "nn": library.nn,
        "fixed": lambda module: _fixed(library, module),
        "copy": copy,
        "pickle": pickle,
        "OrderedDict": OrderedDict,
        "namedtuple": namedtuple,
        "__name__": __name__,
    }
    text = textwrap.dedent(script)
    return [_outcome(node, ast.get_source_segment(text, node) or "", names) for node in ast.parse(text).body]


def _outcome(node: ast.stmt, line: str, names: dict[str, Any]) -> Outcome:
    value: Any = None
    fault: Exception | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), "script", "eval"), names)
            else:
                exec(compile(ast.Module([node], []), "script", "exec"), names)
        except Exception as raised:
            fault = raised
    warned = [(each.category.__name__, str(each.message)) for each in caught]
    # PyTorch's own, while it loads parts of itself.
    warned = [each for each in warned if "`torch.jit." not in each[1]]
    said = repr(value) if fault is None else str(fault)
    told = re.sub(r"0x[0-9a-f]+", "0x", said.replace("distrt.", "torch."))
    return Outcome(line, told, warned, fault)


def _fixed(library: Any, module: Any) -> Any:
    with library.no_grad():
        for place, parameter in enumerate(module.parameters()):
            row = library.arange(parameter.numel()).to(parameter.dtype)
            parameter.copy_((row + place - 1).view(parameter.shape) / 4)
    return module
