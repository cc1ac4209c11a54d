"""Measuring statements, and tables of measurements: ``torch.utils.benchmark``.

from distrt.utils import benchmark

timer = benchmark.Timer("x @ x", globals={"x": x}, label="product", sub_label="64", description="distrt")
print(timer.blocked_autorange())
"""

from distrt.utils.benchmark.compare import Compare
from distrt.utils.benchmark.measurement import (
    Measurement,
    TaskSpec,
    ordered_unique,
    select_unit,
    trim_sigfig,
    unit_to_english,
)
from distrt.utils.benchmark.timer import Timer, set_torch_threads, timer

__all__ = [
    "Compare",
    "Measurement",
    "TaskSpec",
    "Timer",
    "ordered_unique",
    "select_unit",
    "set_torch_threads",
    "timer",
    "trim_sigfig",
    "unit_to_english",
]
