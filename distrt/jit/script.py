"""``jit.script``: compiles functions and modules. What it cannot compile it refuses, with the line of the source."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from distrt.core.errors import UnsupportedError
from distrt.core.process.users_code import warn
from distrt.jit.compiler.unit import Unit
from distrt.jit.decorators import export
from distrt.jit.frontend import NotSupportedError
from distrt.jit.layer_module import around
from distrt.jit.script_function import ScriptFunction
from distrt.jit.script_module import RecursiveScriptModule, ScriptModule
from distrt.nn.modules.compiled import OptimizedModule
from distrt.nn.modules.module import Module
from distrt.tracing import is_tracing

_INTERFACE = "_is_interface"


def script(
    obj: Any, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None
) -> Any:
    """Compiles a function, or a module with all that its ``forward`` reaches.

    The result runs the same operations as Python would, control flow included, shares the module's parameters, and can
    be saved. Layers of distrt below it stay layers, with the same parameters.

    Args:
        obj: a function, a module, a list or dict of values.
        optimize: not used, as in PyTorch.
        example_inputs: not used: types come from annotations.

    Raises:
        RuntimeError: for what programs do not have; it shows the line. ``frontend.NotSupportedError`` for syntax.
        OSError: for a function whose source cannot be found.
        TypeError: for what is none of these.
    """
    if optimize is not None:
        warn(
            "`optimize` is deprecated and has no effect. Use `with torch.jit.optimized_execution()` instead",
            FutureWarning,
        )
    if isinstance(obj, RecursiveScriptModule | ScriptFunction | list | dict) or getattr(
        obj, _INTERFACE, False
    ):
        return obj
    if isinstance(obj, OptimizedModule):  # what was compiled is not: there is a program to make of it
        obj = obj._orig_mod
    if isinstance(obj, Module):
        return _scripted_module(obj)
    if inspect.isclass(obj):
        return _scripted_class(obj)
    if isinstance(obj, types.FunctionType):
        return _scripted_function(obj)
    if isinstance(obj, types.MethodType):
        raise NotSupportedError(f"script takes a function or a module, not the bound method {obj.__name__}")
    raise TypeError(
        f"script: expected a function, a module or a class, got {type(obj).__name__}: {obj!r:.80}"
    )


def _scripted_function(function: types.FunctionType) -> ScriptFunction:
    unit = Unit()
    if hasattr(function, "_torchscript_modifier") and function._torchscript_modifier in ("ignore", "unused"):
        raise NotSupportedError(f"{function.__name__} is marked to be left to Python: it cannot be scripted")
    name = unit.function(function)
    made = ScriptFunction(unit.program, unit.program.functions[name], function.__doc__)
    functools.update_wrapper(made, function, updated=())
    return made


def _scripted_module(module: Module) -> Any:
    unit = Unit()
    made = unit.module(module)
    if isinstance(made, RecursiveScriptModule):
        return made
    return around(made)


def _scripted_class(cls: type) -> Any:
    if issubclass(cls, Module):
        raise RuntimeError(
            f"Type '{cls}' cannot be compiled since it inherits from nn.Module, consider passing an instance instead"
        )
    raise UnsupportedError(
        f"jit.script: {cls.__name__}: classes other than modules are not compiled; use a module, or a tuple of values"
    )


def script_method(fn: Any) -> Any:
    """Has a method of a ``ScriptModule``'s class compiled, where the module is; until then it runs as it is."""
    return export(fn)


def script_if_tracing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Runs as it is, but is compiled when it is called while ``jit.trace`` runs, so that its control flow is kept.

    A trace of distrt writes down operations, so what is kept there is the path that was taken.
    """

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not is_tracing():
            return fn(*args, **kwargs)
        return script(fn)(*args, **kwargs)

    wrapper.__original_fn = fn  # type: ignore[attr-defined]
    wrapper.__script_if_tracing_wrapper = True  # type: ignore[attr-defined]
    return wrapper


def interface(obj: type) -> type:
    """The class itself, as a name for modules with the same methods: a program finds out which it has when it runs."""
    if not inspect.isclass(obj):
        raise RuntimeError("interface must be applied to a class")
    setattr(obj, _INTERFACE, True)
    return obj


def freeze(
    mod: Any,
    preserved_attrs: list[str] | None = None,
    optimize_numerics: bool = True,
    preserve_parameters: bool = False,
) -> Any:
    """A copy of a scripted module in evaluation mode whose parameters and attributes do not change any more.

    Parameters are no longer listed by ``parameters()`` unless ``preserve_parameters``; methods other than ``forward``
    stay where ``preserved_attrs`` names them. Numbers are the same: nothing is folded.

    Raises:
        RuntimeError: for a module that is not scripted or traced, or is training.
    """
    from distrt.jit.freezing import frozen

    return frozen(
        script(mod) if isinstance(mod, ScriptModule) else mod, preserved_attrs or [], preserve_parameters
    )


def optimize_for_inference(mod: Any, other_methods: list[str] | None = None) -> Any:
    """The frozen module. There is no more to do: without gradients, operations choose their kernels for inference."""
    return freeze(mod.eval(), preserved_attrs=other_methods) if mod.training else freeze(mod, other_methods)


def run_frozen_optimizations(mod: Any, optimize_numerics: bool = True, preserved_methods: Any = None) -> None:
    """Nothing: programs run as they are."""


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Takes PyTorch's setting and gives the one that holds: programs run as they are, and nothing is fused."""
    for each in strategy:
        if len(each) != 2 or each[0] not in ("STATIC", "DYNAMIC"):
            raise RuntimeError(f"FusionBehavior only supported 'STATIC' or 'DYNAMIC', got: {each}")
    return []


class optimized_execution:  # noqa: N801 - PyTorch's own spelling
    """A block in which programs run as they always do."""

    def __init__(self, should_optimize: bool) -> None:
        self.should_optimize = should_optimize

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None


class strict_fusion:  # noqa: N801
    """A block in which PyTorch says where it fuses nothing: distrt never does, and says nothing."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None


@contextlib.contextmanager
def fuser(name: str) -> Iterator[None]:
    """A block with one of PyTorch's fusers, ``"fuser0"`` to ``"fuser3"``: programs run as they are.

    Raises:
        Exception: for another name.
    """
    if name not in ("fuser0", "fuser1", "fuser2", "fuser3"):
        raise RuntimeError(f"unrecognized fuser option (name: {name})")
    yield


def enable_onednn_fusion(enabled: bool) -> None:
    """Takes PyTorch's setting: layers call oneDNN where that pays, whatever it says."""


def onednn_fusion_enabled() -> bool:
    """False."""
    return False


def export_opnames(m: Any) -> list[str]:
    """The names of the operations that a program calls, sorted."""
    found: set[str] = set()

    def look(part: Any) -> None:
        if isinstance(part, dict):
            part = list(part.values())
        if isinstance(part, list):
            if len(part) == 4 and part[0] == "call":
                found.add(part[1])
            for each in part:
                look(each)

    for function in [*getattr(m, "_functions", {}).values(), *m._program.functions.values()]:
        look(function.body)
    if isinstance(m, ScriptFunction):
        look(m._function.body)
    return sorted(found)
