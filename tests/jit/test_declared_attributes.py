"""What a class declares of its attributes, as scripts read it.

Without ``from __future__ import annotations``, which would make texts of the types: most models do without it.
"""

from typing import Final, List, Optional  # noqa: UP035 - what models say

import pytest

import distrt
from distrt import jit, nn


class Declares(nn.Module):
    times: Final[int] = 3
    shifts: List[float]  # noqa: UP006
    mask: Optional[distrt.Tensor]  # noqa: UP045
    shift: distrt.Tensor | None

    def __init__(self, mask: Optional[distrt.Tensor]) -> None:  # noqa: UP045
        super().__init__()
        self.shifts = []
        self.mask = mask
        self.shift = None

    def forward(self, x: distrt.Tensor) -> distrt.Tensor:
        mask = self.mask
        if mask is not None:
            x = x * mask
        if self.shift is None:
            self.shift = x
        for shift in self.shifts:
            x = x + shift
        return x * self.times


class Derives(Declares):
    def forward(self, x: distrt.Tensor) -> distrt.Tensor:
        return x * self.times


@pytest.mark.parametrize("mask", [None, distrt.tensor([0.0, 1.0])])
def test_types_of_attributes_are_those_that_the_class_declares(mask: distrt.Tensor | None) -> None:
    scripted = jit.script(Declares(mask))
    assert scripted(distrt.ones(2)).tolist() == ([3.0, 3.0] if mask is None else [0.0, 3.0])


def test_a_constant_of_a_base_class_is_one() -> None:
    assert jit.script(Derives(None))(distrt.ones(2)).tolist() == [3.0, 3.0]
