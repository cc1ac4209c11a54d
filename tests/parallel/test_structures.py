"""Tensors in structures: what is kept, what is made anew, and several at once."""

import dataclasses
from collections import OrderedDict, namedtuple

import pytest

import distrt as torch
from distrt.parallel.structures import map_tensors, map_together, tensors_in

Pair = namedtuple("Pair", "left right")


@dataclasses.dataclass
class Output:
    loss: object
    hidden: object = None
    seen: int = dataclasses.field(default=0, init=False)


class Named(dict):
    """A dict of a class of its own."""


class Picky(dict):
    """One that cannot be made out of another."""

    def __init__(self):
        super().__init__()


STRUCTURES = [
    lambda x, y: [x, (y, 3)],
    lambda x, y: Pair(x, {"b": y}),
    lambda x, y: OrderedDict(b=x, a=[y]),
    lambda x, y: Named(a=x, b=y),
    lambda x, y: Output(x, Output(y)),
]


@pytest.mark.parametrize("make", STRUCTURES)
def test_tensors_are_found_in_order_and_replaced_in_a_structure_of_the_same_kind(make):
    x, y = torch.ones(2), torch.zeros(3)
    value = make(x, y)
    assert [id(each) for each in tensors_in(value)] == [id(x), id(y)]
    doubled = map_tensors(lambda each: each + 1, value)
    assert type(doubled) is type(value)
    assert [each.tolist() for each in tensors_in(doubled)] == [[2.0] * 2, [1.0] * 3]
    assert x.tolist() == [1.0] * 2


@pytest.mark.parametrize("make", STRUCTURES)
def test_several_are_put_together(make):
    values = [make(torch.full((1,), float(n)), torch.zeros(1)) for n in range(3)]
    found = map_together(torch.cat, values)
    assert type(found) is type(values[0])
    assert tensors_in(found)[0].tolist() == [0.0, 1.0, 2.0]


def test_what_may_not_be_made_anew_stays_where_nothing_changes():
    same = lambda each: each
    picky = Picky()
    picky["a"] = torch.ones(1)
    output = Output(torch.ones(1))
    assert map_tensors(same, picky) is picky
    assert map_tensors(same, output) is output
    assert map_tensors(lambda each: each + 1, picky) == {"a": torch.full((1,), 2.0)}


def test_what_is_said_to_be_whole_is_not_looked_into():
    value = [Pair(torch.ones(1), 1), torch.ones(1)]
    found = map_tensors(lambda each: None, value, lambda each: isinstance(each, Pair))
    assert found[0] is value[0]
    assert found[1] is None
