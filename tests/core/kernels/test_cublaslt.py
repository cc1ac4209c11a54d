"""What cuBLASLt does without a GPU: descriptors come back as they were set."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

import pytest

from distrt.core.kernels.cublas import epilogues
from distrt.core.kernels.nvidia import NvidiaError

pytestmark = pytest.mark.skipif(
    epilogues.library() is None, reason="cuBLASLt is not here (DISTRT_CUBLASLT names its file)"
)

#: A product of (5, 7) and (7, 3) in bfloat16, the second turned: by columns, 3 by 5, with steps of 8 and 16.
CASE = epilogues._Case(14, 14, 68, 512, 3, 5, 7, 1, 8, 0, 16, 2, 4, 256)


class Plan(epilogues._Plan):
    """One that keeps what it would search by, since a search needs a handle, and that a GPU."""

    def _search(self, case: Any) -> None:
        self.case = case


@pytest.fixture
def plan() -> Plan:
    return Plan(epilogues.library(), CASE)


def came_back(what: str, where: c_void_p, number: int, kind: Any) -> int:
    function = getattr(epilogues.library()._functions, f"cublasLt{what}GetAttribute")
    function.argtypes = [c_void_p, c_int, c_void_p, c_size_t, ctypes.POINTER(c_size_t)]
    found, written = kind(), c_size_t()
    assert function(where, number, byref(found), ctypes.sizeof(found), byref(written)) == 0
    assert written.value == ctypes.sizeof(found)
    return found.value


def test_a_product_comes_back_as_it_was_set(plan: Plan) -> None:
    kinds = [(0, c_int), (1, c_int), (3, c_int), (4, c_int), (7, c_uint32), (8, c_void_p)]
    found = [came_back("MatmulDesc", plan.product, number, kind) for number, kind in kinds]
    assert found == [68, 0, 1, 0, 512, 256]


def test_matrices_come_back_as_they_were_set(plan: Plan) -> None:
    kinds = [(0, c_uint32), (2, c_uint64), (3, c_uint64), (4, c_int64), (1, c_int)]
    found = [
        [came_back("MatrixLayout", each, number, kind) for number, kind in kinds] for each in plan.layouts
    ]
    assert found == [[14, 7, 3, 8, 0], [14, 7, 5, 16, 0], [14, 3, 5, 3, 0]]


def test_a_refusal_names_the_function(plan: Plan) -> None:
    with pytest.raises(NvidiaError, match="cublasLtMatmulDescSetAttribute: cuBLASLt's status 7"):
        plan._set("MatmulDesc", plan.product, 99, c_uint32(1))


def test_what_a_search_gives_has_the_size_of_cublaslts() -> None:
    assert ctypes.sizeof(epilogues.Found) == 96
