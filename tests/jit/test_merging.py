"""Functions of one program put into another one."""

from __future__ import annotations

import distrt
from distrt.jit.merging import merged
from distrt.jit.program import Program


@distrt.jit.script
def _plain(x: distrt.Tensor) -> distrt.Tensor:
    return x + 1


def test_ignored_functions_stay_apart_where_a_new_name_meets_an_old_one() -> None:
    function = next(iter(_plain._program.functions.values()))
    first, second = object(), object()
    program, other = Program(python={"f": object()}), Program(python={"f": first, "f_1": second})
    merged(program, other, function)
    assert [value for value in program.python.values() if value in (first, second)] == [first, second]
