"""PyTorch's older order of arguments, as in scripts from before 1.5: ``p.add_(-lr, grad)``, ``addmm(beta, x, a, b)``.

Looked at where a call has failed, so it costs the others nothing. Source: PyTorch's list of deprecated signatures.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from distrt.core.process.settings import is_warn_always_enabled
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = ["in_newer_order"]

_BLENDS = {"addmm": "mat1 mat2", "addmv": "mat vec", "addr": "vec1 vec2", "baddbmm": "batch1 batch2"}

#: Operation -> the tensors after the first, and the numbers, which stood among them.
_NAMES: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("add", "sub"), ("other", "alpha")),
    **dict.fromkeys(("addcmul", "addcdiv"), ("tensor1 tensor2", "value")),
    **{name: (tensors, "beta alpha") for name, tensors in {**_BLENDS, "addbmm": "batch1 batch2"}.items()},
}

#: By the numbers' names: how tensors (t) and numbers (n) stood in methods, the method's own tensor first.
_OF_METHODS = {"alpha": ("tnt", "tnn"), "value": ("tntt",), "beta alpha": ("tntt", "tnntt")}
_OF_FUNCTIONS = {**_OF_METHODS, "beta alpha": ("nttt", "ntntt")}


def in_newer_order(
    name: str, is_method: bool, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments of a call in today's order, and all its keywords; None where this is no older form.

    Warns, once for each name, or each time after ``set_warn_always``.

    Args:
        name: the operation's, or its in-place form's.
        is_method: whether it was called on its first tensor.
        args: what it was called with, by position.
        kwargs: and by keyword.
    """
    _, numbers = _NAMES.get(name.rstrip("_"), ("", ""))
    order = "".join("t" if isinstance(each, Tensor) else "n" for each in args)
    names = numbers.split()
    if order not in (_OF_METHODS if is_method else _OF_FUNCTIONS).get(numbers, ()) or {*names} & {*kwargs}:
        return None
    (_tell if is_warn_always_enabled() else _tell_once)(name)
    moved = [place for place, kind in enumerate(order) if kind == "n"][: len(names)]
    kept = [each for place, each in enumerate(args) if place not in moved]
    return kept, dict(zip(names, (args[place] for place in moved), strict=False)) | dict(kwargs)


def _tell(name: str) -> None:
    tensors, numbers = (each.split() for each in _NAMES[name.rstrip("_")])
    given = ", ".join(f"Tensor {each}" for each in tensors)
    before = ", ".join(f"Number {each}" for each in numbers)
    today = ", ".join(f"Number {each} = 1" for each in numbers)
    warn(
        f"This overload of {name} is deprecated:\n\t{name}({before}, {given})\n"
        f"Consider using one of the following signatures instead:\n\t{name}({given}, *, {today})"
    )


_tell_once = functools.cache(_tell)
