"""What models say to the compiler, and ask while they run."""

from __future__ import annotations

from typing import Any, NamedTuple

from distrt.core.process.users_code import warn
from distrt.jit.types import holds, of_annotation
from distrt.tracing import is_tracing as _is_recorded

#: Under this attribute a function carries what a decorator has said about it.
MODIFIER = "_torchscript_modifier"
EXPORT, IGNORE, UNUSED, DEFAULT = "export", "ignore", "unused", "default"


def is_scripting() -> bool:
    """False where Python runs; a program that is scripted has True in its place."""
    return False


def is_tracing() -> bool:
    """True while ``jit.trace`` runs a function."""
    return _is_recorded()


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value itself; to the compiler, a value of that type."""
    return the_value


def export(fn: Any) -> Any:
    """Has a method compiled, though ``forward`` does not call it."""
    setattr(fn, MODIFIER, EXPORT)
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Leaves a function or method to Python: it is called, and a program that calls it cannot be saved.

    With ``drop=True`` as ``unused``.
    """
    if callable(drop):
        setattr(drop, MODIFIER, IGNORE)
        return drop
    if not isinstance(drop, bool):
        raise RuntimeError(f"Argument to @torch.jit.ignore must be a bool or a function but got {drop}")
    if kwargs.pop("drop_on_export", False):
        warn(
            "ignore(drop_on_export=True) has been deprecated. TorchScript will now drop the function call on "
            "compilation. Use torch.jit.unused now. {}",
            FutureWarning,
        )
        drop = True

    def decorate(fn: Any) -> Any:
        setattr(fn, MODIFIER, UNUSED if drop else IGNORE)
        return fn

    return decorate


def unused(fn: Any) -> Any:
    """Has a call of the function raise an error in programs; Python may call it."""
    if isinstance(fn, property):
        for each in (fn.fget, fn.fset):
            if each is not None:
                setattr(each, MODIFIER, UNUSED)
        return fn
    setattr(fn, MODIFIER, UNUSED)
    return fn


def isinstance_(obj: Any, target_type: Any) -> bool:
    """``isinstance`` for types with parts: ``jit.isinstance(x, List[int])``."""
    wanted = target_type if type(target_type) is tuple else (target_type,)
    return any(holds(of_annotation(each), obj) for each in wanted)


class Attribute(NamedTuple):
    """A value with its type, for an attribute of a module whose value does not say it: an empty list or dict, None."""

    value: Any
    type: Any


def attribute_of(module: Any, name: str) -> Any:
    """The value of a module's attribute, where it was given with its type as well."""
    found = getattr(module, name)
    return found.value if isinstance(found, Attribute) else found


def modifier_of(fn: Any) -> str:
    """What a decorator has said about a function."""
    return str(getattr(getattr(fn, "__func__", fn), MODIFIER, DEFAULT))
