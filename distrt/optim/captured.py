"""Steps of optimizers in CUDA graphs: what changes from step to step is brought to the GPU before each replay.

So step counts and learning rates go on in a replayed graph as they do outside, for every optimizer whose update is a
rule, and schedulers work as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import CaptureError
from distrt.core.gpu.capturing import Capture
from distrt.core.gpu.memory import outside_of_graphs
from distrt.core.kernels.loops import Loop
from distrt.core.tensor import Tensor
from distrt.optim.rules import Group, Rule, State

__all__ = ["CapturedStep"]

#: Makes of a parameter's numbers the loop and its constants.
Trace = Callable[[dict[str, Any]], tuple[Loop, list[float]]]


class CapturedStep:
    """One call of an optimizer's rule on some parameters, in a graph that is captured now.

    Args:
        capture: of the graph.
        rule, params, states, group: of the call.
    """

    def __init__(
        self, capture: Capture, rule: Rule, params: Sequence[Tensor], states: Sequence[State], group: Group
    ) -> None:
        self._rule, self._params, self._states, self._group = rule, params, states, group
        self._launches: list[tuple[int, Trace, Loop, Array]] = []
        # Capturing runs no kernel, so it counts no step: numbers are taken from copies of what is counted.
        copies = [{name: _copied(value) for name, value in state.items()} for state in states]
        self.numbers = [rule.numbers(*each, group) for each in zip(params, copies, strict=True)]
        if any(set(copy) != set(state) for copy, state in zip(copies, states, strict=True)):
            raise CaptureError(
                f"{rule.name}: its state would be made in the CUDA graph, and anew at each replay: take a step before"
            )
        capture.step = self
        capture.before_replay.append(self._bring)

    def room(self, numbers: dict[str, Any], trace: Trace, like: Array) -> Array:
        """Where on the GPU the constants of one launch are, as they are at each replay."""
        number = next(index for index, each in enumerate(self.numbers) if each is numbers)
        loop, constants = trace(numbers)
        kind = np.float64 if loop.dtype == "float64" else np.float32
        with outside_of_graphs():
            made = np.empty(max(1, len(constants)), kind, like=like)
        self._launches.append((number, trace, loop, made))
        return made

    def _bring(self) -> None:
        """Counts a step, and brings its constants to the GPU."""
        numbers = [
            self._rule.numbers(*each, self._group) for each in zip(self._params, self._states, strict=True)
        ]
        for number, trace, loop, room in self._launches:
            found, constants = trace(numbers[number])
            if found != loop:
                raise CaptureError(
                    f"{self._rule.name}: the step is another one than was captured: an option is 0 or 1 now, or was"
                )
            if constants:
                room.set(np.array(constants, room.dtype))


def _copied(value: Any) -> Any:
    is_count = isinstance(value, Tensor) and value.device.type == "cpu"
    return value.clone() if is_count else value
