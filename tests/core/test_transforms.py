"""What function transforms cost, beside what they compute (``tests/oracle/test_func.py``)."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from distrt.autograd import transforms


def test_the_graph_behind_many_gradients_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: dict[int, int] = {}
    nodes: list[Any] = []  # kept alive, so that no two share an id
    plain = transforms._nodes_behind

    def counted(node: Any) -> list[Any]:
        nodes.append(node)
        looks[id(node)] = looks.get(id(node), 0) + 1
        return plain(node)

    monkeypatch.setattr(transforms, "_nodes_behind", counted)
    weights = [distrt.tensor(1.0 + n) for n in range(20)]

    def product(weights: list[Any]) -> Any:
        total = distrt.tensor(1.0)
        for weight in weights:
            total = distrt.tanh(total * weight)
        return total

    transforms.grad(product)(weights)
    assert len(looks) > 100
    assert max(looks.values()) <= 4  # twice for the gradients, twice for the value
