"""``utils.swap_tensors`` and ``__future__``'s ways to convert modules, beside PyTorch's."""

from typing import Any

import pytest

from tests.oracle.scripts import assert_same_outcomes

SCRIPT = """
swap = t.utils.swap_tensors
a, b = nn.Parameter(t.ones(2)), t.zeros(3)
a.tag = 1
swap(a, b)
a, b, type(a).__name__, type(b).__name__, hasattr(a, "tag"), b.tag
(b * 3).sum().backward()
b.grad, a.grad
c = t.ones(2)
watch = __import__("weakref").ref(c)
swap(c, t.zeros(2))
swap(t.zeros(2), c)
def model():
    m = fixed(nn.Linear(2, 2))
    m(t.ones(1, 2)).sum().backward()
    return m
def after(way):
    getattr(t.__future__, f"set_{way}_module_params_on_conversion")(True)
    m = model()
    p, g = m.weight, m.weight.grad
    m.double()
    m(t.ones(1, 2, dtype=t.float64)).sum().backward()
    getattr(t.__future__, f"set_{way}_module_params_on_conversion")(False)
    return m.weight is p, m.weight.dtype, type(m.weight).__name__, m.weight.grad, p.dtype, g.dtype, m.weight.grad is g
after("swap")
after("overwrite")[:5]
t.__future__.get_swap_module_params_on_conversion(), t.__future__.get_overwrite_module_params_on_conversion()
"""


@pytest.mark.filterwarnings("ignore")
def test_tensors_change_places_as_in_pytorch(torch: Any) -> None:
    assert_same_outcomes(SCRIPT, torch)
