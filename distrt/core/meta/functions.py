"""The rules of NumPy's functions: what their results look like. The tables of the families come together here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core.meta import choosing, making, moving, products, reducing, refusal, solving

__all__ = ["call"]

Rule = Callable[..., Any]

_RULES: dict[str, Rule] = {
    **making.RULES,
    **moving.RULES,
    **reducing.RULES,
    **choosing.RULES,
    **products.RULES,
    **solving.RULES,
}


def call(func: Any, args: Any, kwargs: Any) -> Any:
    """What ``func(*args, **kwargs)`` is like.

    Raises:
        NoDataError: for a function that has no rule, or whose result's size follows from the data.
    """
    rule = _RULES.get(
        f"{(func.__module__ or 'numpy').removeprefix('numpy').strip('.')}.{func.__name__}".strip(".")
    )
    if rule is None:
        raise refusal.no_data(f"numpy.{func.__name__}")
    kwargs.pop("like", None)
    return rule(*args, **kwargs)
