"""What a call keeps for its derivative rules, and the backward function that hands it to them, as source.

``core/definitions/source.py`` writes the first into an operation's call function; the engine calls the second.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distrt.core.op import Definition

__all__ = ["backward_source", "kept_names", "kept_source"]

_ENGINE_SUPPLIED = ("needs", "into")


def kept_names(op: Definition) -> list[str]:
    """What the rules ask for besides the gradients: what a node must keep."""
    rules = [op.joint_rule] if op.joint_rule else list(op.rules.values())
    names = dict.fromkeys(name for rule in rules for name in _rule_parameters(rule))
    # A composite is run again with the options that the call had.
    if op.joint_rule and op.function.composite:
        options = op.parameters.keys() - {*op.tensors, *op.steering}
        names.update(
            dict.fromkeys(name for name in _rule_parameters(op.function.composite) if name in options)
        )
    return [name for name in names if not _is_gradient_name(op, name) and name not in _ENGINE_SUPPLIED]


def kept_source(op: Definition, certain: set[str], results: list[str]) -> tuple[str, str, str]:
    """The kept values, their version counters and the sum of these, as expressions of the call function.

    Args:
        op: the definition.
        certain: the inputs that are known to need a gradient.
        results: what the call function calls its results.
    """
    used = set(op.kept)
    if certain and not op.joint_rule:
        used = {name for wanted in certain for name in _rule_parameters(op.rules[wanted])}
    saved: list[str] = []
    sure: list[str] = []
    unsure: list[str] = []
    conditions = {name: _wanted_by(op, name) for name in op.tensors}
    for name in op.kept:
        if name not in used:
            saved.append("None")
        elif conditions.get(name):
            saved.append(f"a_{name} if {conditions[name]} else None")
            unsure.append(name)
        elif name in op.tensors:
            saved.append(f"a_{name}")
            (sure if name in certain else unsure).append(name)
        elif name in op.steering:
            saved.append(f"a_{name}")
            unsure.append(name)
        elif name == op.sequence:
            saved.append(f"a_{name}")
        elif name.endswith("_meta") and name[:-5] == op.sequence:
            saved.append(f"[Meta(each.shape, each.dtype) for each in a_{op.sequence}]")
        elif name.endswith("_strides"):
            saved.append(f"a_{name[:-8]}.strides")
        elif name.endswith("_meta"):
            saved.append(f"Meta(a_{name[:-5]}.shape, a_{name[:-5]}.dtype)")
        elif name == "out" or name in op.output_names:
            saved.append("made" if name == "out" else f"made_{name}")
            sure.append(results[0] if name == "out" else f"result_{name}")
        elif name in op.aux:
            saved.append(f"aux_{name}")
        elif name in op.parameters:
            saved.append(name)
        else:
            raise TypeError(
                f"{op.name}: a rule asks for {name!r}, which is neither an input, an output nor aux"
            )
    counters = "(" + "".join(f"{name}._counter, " for name in sure) + ")"
    asked = {
        name: f"t_{name}" + (f" and ({conditions[name]})" if conditions.get(name) else "") for name in unsure
    }
    counters += "".join(f" + (({name}._counter,) if {asked[name]} else ())" for name in unsure)
    parts = [f"{name}._counter[0]" for name in sure]
    parts += [f"({name}._counter[0] if {asked[name]} else 0)" for name in unsure]
    return f"({''.join(f'{value}, ' for value in saved)})", counters, " + ".join(parts) or "0"


def _wanted_by(op: Definition, name: str) -> str:
    """Where a joint rule says which gradients need which inputs: the test that one of those is wanted."""
    needs = op.function.needs_of_gradients
    if needs is None:
        return ""
    return " or ".join(f"e_{each} is not None" for each in op.differentiable if name in needs.get(each, ()))


def backward_source(op: Definition) -> str:
    """The function that the engine calls: kept values and gradients in, one gradient per edge out."""
    gradients = [f"g_{name}" for name in op.output_names] or ["g"]
    lines = [f"def backward(edges, saved, {', '.join(gradients)}, into):"]
    if op.kept:
        lines.append(f"    {', '.join(f'k_{name}' for name in op.kept)}, = saved")
    if op.joint_rule:
        lines.append("    needs = tuple([edge is not None for edge in edges])")
        lines.append(f"    return joint_rule({_rule_arguments(op, op.joint_rule)})")
    elif op.sequence:
        rule = op.rules.get(op.sequence)
        lines.append(
            f"    return rule_{op.sequence}({_rule_arguments(op, rule)})" if rule else "    return ()"
        )
    else:
        results = [
            f"rule_{name}({_rule_arguments(op, op.rules[name])}) if edges[{number}] is not None else None, "
            for number, name in enumerate(op.differentiable)
        ]
        lines.append(f"    return ({''.join(results)})")
    return "\n".join(lines)


def _rule_arguments(op: Definition, rule: Callable[..., Any]) -> str:
    return ", ".join(
        name if _is_gradient_name(op, name) or name in _ENGINE_SUPPLIED else f"k_{name}"
        for name in _rule_parameters(rule)
    )


def _rule_parameters(rule: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(rule).parameters)


def _is_gradient_name(op: Definition, name: str) -> bool:
    return name == "g" or (name.startswith("g_") and name[2:] in op.output_names)
