"""Where an operation that met a sparse tensor finds its sparse form.

The code of every operation comes here with a `LayoutFault`, after its form for dense arrays has failed. What is
composed of operations may fail between them; then ``core/definitions/wording.py`` comes with the user's arguments.
"""

from __future__ import annotations

from typing import Any

from distrt.core.errors import DistrtError
from distrt.core.sparse.array import LayoutFault, is_sparse

__all__ = ["sparse_form", "sparse_form_for"]


def sparse_form(name: str, fault: LayoutFault, /, out: Any = None, **arguments: Any) -> Any:
    """What the sparse form of an operation makes of its arguments, by the operation's names for them.

    Raises:
        LayoutFault: where there is none.
    """
    from distrt.core.sparse.functions import OPERATIONS

    function = OPERATIONS.get(name)
    if function is None:
        raise _no_form(name, (*arguments.values(),), fault) from fault
    made = function(**arguments)
    return made if out is None else _written(name, made, out)


def sparse_form_for(name: str, fault: LayoutFault, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The same for a function by its public name, with what a user gave it."""
    from distrt.core.sparse.functions import FUNCTIONS

    name = name.strip("_") if name.startswith("_") else name
    function = FUNCTIONS.get(name)
    if function is None:
        raise _no_form(name, (*args, *kwargs.values()), fault) from fault
    out = kwargs.pop("out", None)
    made = function(*args, **kwargs)
    return made if out is None else _written(name, made, out)


def _written(name: str, made: Any, out: Any) -> Any:
    from distrt.core.definitions.out import write_out

    return write_out(name, made, out)


def _no_form(name: str, arguments: tuple[Any, ...], fault: DistrtError) -> LayoutFault:
    given = (each for one in arguments for each in (one if isinstance(one, list | tuple) else (one,)))
    layouts = {str(each.layout): None for each in given if is_sparse(getattr(each, "_array", None))}
    if not layouts:
        return LayoutFault(str(fault))
    return LayoutFault(
        f"Could not run 'aten::{name.strip('_')}' with arguments from the 'Sparse' backend: {name.strip('_')} takes no "
        f"tensors of the layout {' and '.join(layouts)}; use to_dense(), or compute on values()"
    )
