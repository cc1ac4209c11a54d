"""Kullback and Leibler's divergence, ``KL(p || q) = E_p[log p - log q]``, and the table of its rules by families."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from distrt.core.process.users_code import warn
from distrt.distributions.distribution import Distribution

__all__ = ["kl_divergence", "register_kl"]

Rule = Callable[[Any, Any], Any]
_RULES: dict[tuple[type, type], Rule] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """A decorator: this function gives the divergence of these classes and of what derives from them.

    Raises:
        TypeError: for what is no class of distributions.
    """
    for kind, name in ((type_p, "type_p"), (type_q, "type_q")):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def register(rule: Rule) -> Rule:
        _RULES[type_p, type_q] = rule
        _rule_for.cache_clear()
        return rule

    return register


@functools.cache
def _rule_for(type_p: type, type_q: type) -> Rule | None:
    """The rule of the nearest classes, of ``p`` first."""
    found = [pair for pair in _RULES if issubclass(type_p, pair[0]) and issubclass(type_q, pair[1])]
    if not found:
        return None

    def distances(pair: tuple[type, type]) -> tuple[int, int]:
        return type_p.__mro__.index(pair[0]), type_q.__mro__.index(pair[1])

    nearest = min(found, key=distances)
    by_q = min(found, key=lambda pair: distances(pair)[::-1])
    if _RULES[nearest] is not _RULES[by_q]:
        warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please register_kl"
            f"({nearest[0].__name__}, {by_q[1].__name__})",
            RuntimeWarning,
        )
    return _RULES[nearest]


def kl_divergence(p: Any, q: Any) -> Any:
    """``KL(p || q)``. Shape: the two batch shapes broadcast.

    Raises:
        NotImplementedError: for a pair that nobody has registered.
    """
    kinds: tuple[Any, Any] = type(p), type(q)
    rule = _rule_for(*kinds)
    if rule is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
        )
    return rule(p, q)
