"""A program and its modules as plain data, and back. What comes back is checked: names, forms, shapes of the tree."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from distrt.core.device import device
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import CheckpointError
from distrt.core.tensor import Tensor
from distrt.core.tensors.size import Size
from distrt.files.faults import quoted
from distrt.jit.checking import Budget, checked_function
from distrt.jit.layer_module import LayerModule, around
from distrt.jit.program import Program, described
from distrt.jit.script_function import ScriptFunction
from distrt.jit.script_module import FORMS, RecursiveScriptModule
from distrt.jit.table import DTYPES
from distrt.jit.tree import HOOKS, layer_class, layer_classes
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter
from distrt.tracing.targets import lookup, names_of_targets

_REGISTRIES = frozenset(("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"))
_HOOKS = frozenset(name for name in Module().__dict__ if "hook" in name)


def stored(root: Any) -> dict[str, Any]:
    """A scripted module or function as data.

    Raises:
        RuntimeError: for one that cannot be stored.
    """
    if isinstance(root, ScriptFunction):
        return {"kind": "function", "program": _program(root._program), "function": described(root._function)}
    writer = _Writer()
    tree = writer.module(root, "")
    return {"kind": "module", "programs": [_program(each) for each in writer.programs], "tree": tree}


def restored(said: Any) -> Any:
    """The module or function that a file describes.

    Raises:
        CheckpointError: where it describes none.
    """
    kind = said.get("kind") if isinstance(said, dict) else None
    budget = Budget()
    if kind == "function":
        program, constants = _restored_program(said["program"], budget)
        names = frozenset(program.functions)
        return ScriptFunction(program, checked_function(said["function"], names, constants, budget))
    if kind != "module" or not isinstance(said.get("programs"), list):
        raise CheckpointError(f"the archive's root is neither a module nor a function: {quoted(kind)}")
    found = [_restored_program(each, budget) for each in said["programs"]]
    made = _Reader(found, budget).module(said.get("tree"), 0)
    if made is None:
        raise CheckpointError("the archive has no module at its root")
    return made if isinstance(made, RecursiveScriptModule) else around(made)


def _program(program: Program) -> dict[str, Any]:
    if program.python:
        name = min(program.python)
        raise RuntimeError(
            f"Could not export Python function call '{name}'. Remove calls to Python functions before export. Did you "
            "forget to add @script or @script_method annotation? If this is a nn.ModuleList, add it to __constants__"
        )
    return {
        "functions": {name: described(each) for name, each in program.functions.items()},
        "constants": list(program.constants),
    }


def _restored_program(said: Any, budget: Budget) -> tuple[Program, int]:
    budget.spend("a program", 0)
    functions, constants = said["functions"], said["constants"]
    if not isinstance(functions, dict) or not isinstance(constants, list):
        raise CheckpointError("the archive's program has no functions and constants")
    if not all(isinstance(each, Tensor) for each in constants):
        raise CheckpointError("the archive's constants are not all tensors")
    program = Program(constants=constants)
    names = frozenset(functions)
    program.functions = {
        name: checked_function(each, names, len(constants), budget) for name, each in functions.items()
    }
    return program, len(constants)


class _Writer:
    """Describes modules; one that is there twice is described once."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self._seen: dict[int, int] = {}

    def module(self, module: Any, path: str) -> Any:
        if module is None:
            return None
        if isinstance(module, LayerModule):
            module = module._layer
        if id(module) in self._seen:
            return {"again": self._seen[id(module)]}
        self._seen[id(module)] = len(self._seen)
        if any(module.__dict__[name] for name in HOOKS):
            raise RuntimeError(
                f"{path or 'the module'}: a {type(module).__name__} with forward hooks, which are Python and cannot be "
                "saved: remove them, or trace the model, which keeps what they do"
            )
        said: dict[str, Any] = {
            "training": module.training,
            "parameters": {
                name: None if each is None else [each.detach(), each.requires_grad]
                for name, each in module._parameters.items()
            },
            "buffers": {
                name: None if each is None else each.detach() for name, each in module._buffers.items()
            },
            "not_persistent": sorted(module._non_persistent_buffers_set),
        }
        if isinstance(module, RecursiveScriptModule):
            said |= self._scripted(module, path)
        else:
            said |= self._layer(module, path)
        said["children"] = {
            name: self.module(each, f"{path}.{name}" if path else name)
            for name, each in module._modules.items()
        }
        return said

    def _scripted(self, module: RecursiveScriptModule, path: str) -> dict[str, Any]:
        program = module._program
        if not any(each is program for each in self.programs):
            self.programs.append(program)
        return {
            "class": None,
            "form": next((word for word, cls in FORMS.items() if type(module) is cls), "module"),
            "name": module.original_name,
            "program": next(n for n, each in enumerate(self.programs) if each is program),
            "functions": {name: described(each) for name, each in module._functions.items()},
            "attributes": {
                name: plain(each, f"{path}.{name}" if path else name)
                for name, each in module._attributes.items()
            },
        }

    def _layer(self, module: Module, path: str) -> dict[str, Any]:
        cls = layer_class(module)
        if cls is None:
            raise RuntimeError(
                f"{path}: {type(module).__name__} is neither a scripted module nor a layer of distrt"
            )
        skipped = _REGISTRIES | _HOOKS | {"training"}
        state = {
            name: plain(each, f"{path}.{name}")
            for name, each in module.__dict__.items()
            if name not in skipped and not (name.startswith("_") and not _is_plain(each))
        }
        return {"class": cls.__name__, "state": state}


class _Reader:
    """Makes modules of what a file says."""

    def __init__(self, programs: list[tuple[Program, int]], budget: Budget) -> None:
        self._programs, self._budget = programs, budget
        self._made: list[Module] = []

    def module(self, said: Any, depth: int) -> Module | None:
        if said is None:
            return None
        self._budget.spend("a module", depth)
        if "again" in said:
            return self._made[_index(said["again"], len(self._made))]
        made = self._scripted(said) if said["class"] is None else self._layer(said)
        self._made.append(made)
        if not isinstance(said["training"], bool):
            raise CheckpointError("the archive does not say whether a module is training")
        made.__dict__["training"] = said["training"]
        for name, each in self._items(said, "parameters"):
            made.__dict__["_parameters"][_name(name)] = _parameter(each)
        for name, each in self._items(said, "buffers"):
            if each is not None and not isinstance(each, Tensor):
                raise CheckpointError(f"the archive's buffer {quoted(name)} is no tensor")
            made.__dict__["_buffers"][_name(name)] = each
        made.__dict__["_non_persistent_buffers_set"] = set(map(_name, said["not_persistent"]))
        for name, each in self._items(said, "children"):
            made.__dict__["_modules"][_name(name)] = self.module(each, depth + 1)
        return made

    def _items(self, said: dict[str, Any], what: str) -> Iterator[tuple[Any, Any]]:
        for pair in said[what].items():
            self._budget.spend(what, 0)
            yield pair

    def _scripted(self, said: dict[str, Any]) -> Module:
        program, constants = self._programs[_index(said["program"], len(self._programs))]
        names = frozenset(program.functions)
        functions = {
            _name(name): checked_function(each, names, constants, self._budget)
            for name, each in said["functions"].items()
        }
        attributes = {_name(name): unplain(each, self._budget) for name, each in said["attributes"].items()}
        if said["form"] not in FORMS:
            raise CheckpointError(f"the archive has a module of the form {quoted(said['form'])}")
        return FORMS[said["form"]]._made(  # type: ignore[no-any-return]
            program, functions, attributes, _name(said["name"])
        )

    def _layer(self, said: dict[str, Any]) -> Module:
        cls: Any = layer_classes().get(said["class"])
        if cls is None:
            raise CheckpointError(
                f"the archive has a layer {quoted(said['class'])}, which is not among distrt's"
            )
        made: Module = cls.__new__(cls)
        Module.__init__(made)
        for name, each in said["state"].items():
            if (
                not isinstance(name, str)
                or not name.isidentifier()
                or name.startswith("__")
                or hasattr(Module, name)
            ):
                raise CheckpointError(f"the archive gives a layer the attribute {quoted(name)}")
            made.__dict__[name] = unplain(each, self._budget)
        return made


def _index(said: Any, count: int) -> int:
    if type(said) is not int or not 0 <= said < count:
        raise CheckpointError(f"the archive refers to part {quoted(said)} of {count}")
    return said


def _name(said: Any) -> str:
    if not isinstance(said, str) or not said or "." in said or said.startswith("__") or len(said) > 1000:
        raise CheckpointError(f"the archive has {quoted(said)} for the name of a part")
    return said


def _parameter(said: Any) -> Parameter | None:
    if said is None:
        return None
    tensor, requires_grad = said
    if not isinstance(tensor, Tensor) or not isinstance(requires_grad, bool):
        raise CheckpointError("the archive has a parameter that is no tensor")
    return Parameter(tensor, requires_grad)


# Attributes: plain values, with what has no form of its own in a dict that says what it is


def plain(value: Any, path: str) -> Any:
    """An attribute as data.

    Raises:
        RuntimeError: for a value that cannot be stored.
    """
    if value is None or type(value) in (bool, int, float, complex, str) or isinstance(value, Tensor):
        return value
    if isinstance(value, list):
        return [plain(each, path) for each in value]
    if isinstance(value, tuple | Size):
        return {"is": "tuple", "of": [plain(each, path) for each in value]}
    if isinstance(value, dict):
        return {"is": "dict", "of": [[plain(key, path), plain(each, path)] for key, each in value.items()]}
    if isinstance(value, dt.dtype):
        return {"is": "dtype", "of": str(value).removeprefix("torch.")}
    if isinstance(value, device):
        return {"is": "device", "of": str(value)}
    name = _operation(value)
    if name is not None:
        return {"is": "operation", "of": name}
    raise RuntimeError(f"{path}: a value of the type {type(value).__name__} cannot be saved: {value!r:.80}")


def _is_plain(value: Any) -> bool:
    try:
        plain(value, "")
    except RuntimeError:
        return False
    return True


def _operation(value: Any) -> str | None:
    """The name of an operation that is an attribute, as a Transformer's activation is."""
    if not isinstance(value, types.FunctionType):
        return None
    wanted = value.__name__
    for name in (f"nn.functional.{wanted}", wanted):
        try:
            if lookup(name) is value or getattr(value, "definition", None) is lookup(name).definition:  # type: ignore[attr-defined]
                return name
        except (KeyError, AttributeError):
            continue
    return next((name for name in names_of_targets() if lookup(name) is value), None)


def unplain(said: Any, budget: Budget, depth: int = 0) -> Any:
    """The attribute that a file describes.

    Raises:
        CheckpointError: where it describes none.
    """
    budget.spend("an attribute", depth)
    if said is None or type(said) in (bool, int, float, complex, str) or isinstance(said, Tensor):
        return said
    if isinstance(said, list):
        return [unplain(each, budget, depth + 1) for each in said]
    kind, inner = (said.get("is"), said.get("of")) if isinstance(said, dict) else (None, None)
    if kind == "tuple" and isinstance(inner, list):
        return tuple(unplain(each, budget, depth + 1) for each in inner)
    if kind == "dict" and isinstance(inner, list):
        return {unplain(key, budget, depth + 1): unplain(each, budget, depth + 1) for key, each in inner}
    if kind == "dtype" and inner in DTYPES:
        return DTYPES[inner]
    if kind == "device" and isinstance(inner, str) and len(inner) < 30:
        return device(inner)
    if kind == "operation" and isinstance(inner, str):
        return lookup(inner)
    raise CheckpointError(f"the archive has an attribute of no known kind: {quoted(said)}")
