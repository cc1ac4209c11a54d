"""Machine code as a function of Python's."""

import gc

import numpy as np
import pytest

from distrt.core.kernels.builtin import _definition, array_data_offset, builtin, make_known
from distrt.core.kernels.loops import can_compile, load

pytest.importorskip("llvmlite", reason="machine code needs the extra 'fast'")

# Gives bound + *(double *) of the array's first element, as whole numbers.
CODE = """
declare i64 @{to_number}(ptr)
declare ptr @{from_number}(i64)
define ptr @run(ptr %bound, ptr %arguments, i64 %count) {{
  %array = load ptr, ptr %arguments
  %place = getelementptr i8, ptr %array, i64 {offset}
  %data = load ptr, ptr %place
  %first = load double, ptr %data
  %whole = fptosi double %first to i64
  %number = call i64 @{to_number}(ptr %bound)
  %sum = add i64 %whole, %number
  %result = call ptr @{from_number}(i64 %sum)
  ret ptr %result
}}
"""


def test_a_builtin_reads_its_arguments_and_what_it_is_bound_to():
    assert can_compile("float64")
    text = CODE.format(
        to_number=make_known("PyLong_AsLongLong"),
        from_number=make_known("PyLong_FromLongLong"),
        offset=array_data_offset(),
    )
    code = load(text)
    functions = [builtin(code, number) for number in (0, 2**40)]
    gc.collect()
    array = np.arange(5.0)
    assert [run(array[3:]) for run in functions] == [3, 2**40 + 3]
    assert functions[0](array[::-1]) == 4
    assert functions[0](np.frombuffer(array.tobytes())[1:]) == 1  # read-only memory


def test_an_array_keeps_the_address_of_its_data_where_it_is_looked_for():
    assert array_data_offset() is not None


def test_functions_of_one_code_share_what_stays_for_ever():
    before = _definition.cache_info().currsize
    for number in range(3):
        builtin(1, number)  # never called
    assert _definition.cache_info().currsize <= before + 1
