"""The random streams of this process: distrt's default generator, Python's and NumPy's."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from distrt.core.random.generator import default_generator

__all__ = ["set_streams", "streams"]


def streams() -> dict[str, Any]:
    """Where they stand."""
    return {
        "distrt": default_generator.get_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state(),
    }


def set_streams(state: dict[str, Any]) -> None:
    """Takes them to where they stood."""
    default_generator.set_state(state["distrt"])
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
