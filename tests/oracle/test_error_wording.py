"""Messages that scripts and their tests look for are PyTorch's, word by word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.scripts import assert_same_outcomes

SCRIPTS = {
    "a result that does not fit": """
        i = t.arange(3)
        i.add_(1.5)
        i += 0.5
        i.mul_(t.ones(3))
        i.div_(2)
        t.add(t.ones(3), 1, out=i)
        t.ones(3).mul_(t.ones(3, dtype=t.complex64))
    """,
    "a leaf, and a view of it, changed in place": """
        a = t.ones(3, requires_grad=True)
        a.add_(1)
        a[0] = 2
        a[:] = 2
        a[...] = 2
        a[None] = 2
        a[[0]] = 2
        a[a > 0] = 2
        a.view(3).add_(1)
    """,
    "integers that should require gradients": """
        t.tensor([1], requires_grad=True)
        t.ones(2, dtype=t.int64, requires_grad=True)
        nn.Parameter(t.ones(2, dtype=t.int64))
        nn.Parameter(t.ones(2, dtype=t.int64), requires_grad=False)
        x = t.ones(2, dtype=t.int64)
        x.requires_grad = True
        x.requires_grad = False
        a = t.ones(2, requires_grad=True)
        a.data = x
        a.data = t.zeros(5)
        a
        t.ones(2).data = x
    """,
    "indices that do not broadcast": """
        t.zeros(2, 2)[t.tensor([0, 1]), t.tensor([0, 1, 1])]
        t.zeros(2, 2)[t.tensor([0, 1]), t.tensor([0, 1, 1])] = 5
    """,
    "data sets": """
        t.utils.data.Dataset()[0]
        t.utils.data.ConcatDataset([])
        t.utils.data.ConcatDataset([type("Stream", (t.utils.data.IterableDataset,), {})()])
        len(t.utils.data.DataLoader(range(4), timeout=3))
        t.utils.data.DataLoader(range(4), timeout=-1)
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_message_is_pytorchs(name: str, torch: Any) -> None:
    assert_same_outcomes(SCRIPTS[name], torch)
