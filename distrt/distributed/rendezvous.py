"""Facade: ``rendezvous`` and ``register_rendezvous_handler`` at the path where PyTorch defines them."""

from typing import Any

__all__ = ["register_rendezvous_handler", "rendezvous"]  # noqa: F822 - below


def __getattr__(name: str) -> Any:  # this module is imported with its package, so it loads nothing by itself
    from distrt.comm import rendezvous

    if name == "rendezvous":
        return rendezvous.rendezvous_iterator
    if name == "register_rendezvous_handler":
        return rendezvous.register_rendezvous_handler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
