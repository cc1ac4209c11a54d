"""Seeds: one generator, on the CPU, draws for every device, so ``distrt.manual_seed`` seeds all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distrt.core.gpu import library
from distrt.core.random import generator as generators
from distrt.cuda.devices import no_gpu, number_of

__all__ = [
    "get_rng_state",
    "get_rng_state_all",
    "initial_seed",
    "manual_seed",
    "manual_seed_all",
    "seed",
    "seed_all",
    "set_rng_state",
    "set_rng_state_all",
]


def manual_seed(seed: int) -> None:
    """Seeds the generator. Without a GPU: nothing to seed."""
    if library.device_count():
        generators.manual_seed(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """Seeds the generator from the operating system. Without a GPU: nothing to seed."""
    if library.device_count():
        generators.seed()


seed_all = seed


def initial_seed() -> int:
    """The seed of the generator."""
    number_of()
    return generators.initial_seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """Where the generator stands."""
    number_of(device)
    return generators.get_rng_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Puts the generator back to a state."""
    number_of(device)
    generators.set_rng_state(new_state)


def get_rng_state_all() -> list[Any]:
    """The states of all GPUs."""
    return [generators.get_rng_state() for _ in range(library.device_count())]


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Sets the states of all GPUs."""
    for state in new_states:
        if not library.device_count():
            no_gpu()
        generators.set_rng_state(state)
