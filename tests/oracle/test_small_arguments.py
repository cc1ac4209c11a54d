"""Arguments and names that the examples of PyTorch's docstrings use, line by line."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from tests.oracle.scripts import assert_same_outcomes

SCRIPTS = {
    "orders of dims": """
formats = [t.contiguous_format, t.channels_last]
t.empty(1, 2, 3, 4).dim_order(), t.empty(2, 2, 3, 4).dim_order(ambiguity_check=True)
t.empty(1, 2, 3, 4).dim_order(ambiguity_check=formats)
t.empty(2, 3, 4, 5).to(memory_format=t.channels_last).dim_order(ambiguity_check=formats)
t.empty(1, 2, 3, 4).dim_order(ambiguity_check=True)
t.empty(1, 1, 1, 4).dim_order(ambiguity_check=formats)
t.empty(1, 2, 3, 4).dim_order(ambiguity_check=[])
t.empty(2, 3).dim_order(ambiguity_check='x')
t.empty(1, 2).dim_order(ambiguity_check=[1])
t.empty(2, 3).expand(4, 2, 3).dim_order(ambiguity_check=True)
""",
    "asarray in a graph": """
a = t.tensor([1.0, 2.0], requires_grad=True)
b = a + 2
t.asarray(b, requires_grad=True), t.asarray(b, requires_grad=False), t.asarray(a, requires_grad=True) is a
t.asarray(b, copy=True, requires_grad=True), t.asarray([1.0], requires_grad=True), t.asarray(t.ones(1))
""",
    "how large the pieces of a tensor are to be": """
x = t.arange(6.0).reshape(2, 3)
x.split(split_size=2, dim=1), x.split(split_size=[1, 2], dim=1), x.split(1), x.split(2, 1)
t.split(x, split_size_or_sections=2, dim=1), t.split(tensor=x, split_size_or_sections=1)
t.split(x, split_size=2)
""",
    "what is no padded sequence": """
nn.utils.rnn.pack_padded_sequence([1, 2], [1])
""",
    "arithmetic of two numbers": """
t.add(2, 3), t.add(2.5, 3), t.add(True, False), t.add(2, 1j), t.add(2, 3, alpha=4), t.add(2, 3, out=t.empty(0))
t.sub(2, 3), t.subtract(2.5, 3), t.mul(2, 3), t.multiply(2.5, True), t.mul(True, True)
t.div(2, 3), t.divide(2.5, 3), t.true_divide(1, 0), t.div(-7, 2, rounding_mode='trunc'), t.floor_divide(-7, 2)
t.add(2, t.tensor(3)[()].numpy()[()]), t.div(t.tensor(1.5).numpy()[()], 2), t.add(2, 3).dtype, t.div(2, 3).dtype
t.add(2, t.tensor([1])), t.add(t.tensor([1]), 2)
t.add('a', 2)
t.add(2, None)
t.div(2, 'a')
""",
    "a backend's name": """
t.compiler.get_default_backend(), t.compiler.set_default_backend('eager'), t.compiler.get_default_backend()
t.compiler.set_default_backend(None), t.compiler.get_default_backend()
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_line_does_what_it_does_in_pytorch(name: str, torch: Any) -> None:
    assert_same_outcomes(SCRIPTS[name], torch)


def test_asarray_keeps_a_tensor_in_its_graph_with_a_warning() -> None:
    b = distrt.ones(2, requires_grad=True) + 2
    with pytest.warns(UserWarning, match="unspecified requires_grad now defaults to obj.requires_grad"):
        assert distrt.asarray(b).grad_fn is b.grad_fn
