"""Trees of containers, as PyTorch flattens, maps and describes them."""

from __future__ import annotations

import collections
import importlib
from typing import Any

import pytest

import distrt

Point = collections.namedtuple("Point", "x y")
TREE = {
    "b": [1, (2, 3)],
    "a": None,
    "c": Point(1, [2]),
    "d": collections.OrderedDict(z=1, a=2),
    "e": collections.defaultdict(list, {"k": 1}),
    "f": collections.deque([1, 2], 5),
    "g": {},
}

EXPRESSIONS = [
    "p.tree_flatten(TREE)",
    "p.tree_structure(TREE)",
    "p.tree_unflatten(range(12), p.tree_structure(TREE))",
    "p.treespec_pprint(p.tree_structure(TREE))",
    "p.tree_structure(TREE).num_nodes",
    "[(p.keystr(path), leaf) for path, leaf in p.tree_flatten_with_path(TREE)[0]]",
    "p.tree_unflatten([1],s)",
    "p.tree_map(lambda a,b:a+b,[1,2],[1])",
    "p.tree_map(lambda a,b:a+b,[1,2],(1,2))",
    "p.tree_map(lambda a,b:a+b,{'a':1},{'b':1})",
    "p.register_pytree_node(list,1,2)",
    "p.tree_map_only('x', lambda x:x,[1])",
    "p.tree_unflatten([1],5)",
    "p.tree_map_only(int, lambda x:x+1,[1,2.])",
    "p.tree_map_only((int,float), lambda x:x+1,[1,2.,'a'])",
    "p.tree_any(lambda x:x>1,[1,2])",
    "p.tree_all_only(int,lambda x:x>0,[1,'a'])",
    "p.tree_flatten(torch.ones(2,2).max(0))",
    "p.tree_map(lambda x:x*2,torch.ones(2,2).max(0))",
    "p.tree_flatten({'a':1},is_leaf=lambda x:isinstance(x,dict))",
    "p.tree_map_(lambda x: None,[1])",
    "p.tree_structure([1,(2,3)]).flatten_up_to([1,(2,[3])])",
    "p.tree_structure([1])==p.tree_structure([2])",
    "p.tree_structure([1])==p.tree_structure((2,))",
    "p.tree_map_with_path(lambda k,x:(p.keystr(k),x),{'a':[1,2]})",
    "p.tree_map(lambda a,b:(a,b),{'a':1,'c':2},{'c':3,'a':4})",
    "p.tree_leaves(5)",
    "p.tree_flatten(None)",
    "p.tree_flatten([])",
    "p.tree_structure([1,{'a':2}]).context",
    "p.tree_map(lambda a,b:(a,b),{'a':1},collections.OrderedDict(a=2))",
    "p.tree_leaves({1,2})",
    "p.tree_is_leaf([1])",
    "p.key_get({'a':[1,2]},(p.MappingKey('a'),p.SequenceKey(1)))",
    "p.tree_map(lambda a,b:(a,b),[1],3)",
]


def _result(library: Any, text: str) -> Any:
    pytree = importlib.import_module(f"{library.__name__}.utils._pytree")
    names = {
        "p": pytree,
        "torch": library,
        "s": pytree.tree_structure(TREE),
        "TREE": TREE,
        "collections": collections,
    }
    try:
        return repr(eval(text, names))
    except (TypeError, ValueError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_trees_are_pytorchs(torch: Any, text: str) -> None:
    assert _result(distrt, text) == _result(torch, text)


def test_classes_of_users_become_containers(torch: Any) -> None:
    for library in (distrt, torch):
        pytree = importlib.import_module(f"{library.__name__}.utils._pytree")

        class Box:
            def __init__(self, x: Any) -> None:
                self.x = x

        pytree.register_pytree_node(
            Box, lambda box: ([box.x], "kept"), lambda inner, kept: Box(next(iter(inner)))
        )
        leaves, spec = pytree.tree_flatten([Box(3), 4])
        assert leaves == [3, 4]
        assert str(spec) == "TreeSpec(list, None, [TreeSpec(Box, kept, [*]),\n  *])"
        assert pytree.tree_map(lambda x: x + 1, Box({"a": 1})).x == {"a": 2}
        with pytest.raises(ValueError, match="Did not find a flatten_with_keys_fn for type"):
            pytree.tree_flatten_with_path(Box(1))


def test_tensors_in_a_batch_go_through_one_function() -> None:
    """What trainers use it for."""
    pytree = importlib.import_module("distrt.utils._pytree")
    batch = {"x": distrt.ones(2), "meta": ["a", 1], "y": (distrt.zeros(1),)}
    moved = pytree.tree_map_only(distrt.Tensor, lambda each: each.double(), batch)
    assert moved["x"].dtype == moved["y"][0].dtype == distrt.float64 and moved["meta"] == ["a", 1]
