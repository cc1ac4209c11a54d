"""PTX to C: each kernel becomes a function of one thread, which the device calls for each thread of a block."""

from .emit import translated
from .types import UnsupportedError

__all__ = ["UnsupportedError", "translated"]
