"""The functions on lists of tensors (``torch._foreach_*``) beside PyTorch's."""

import numpy as np
import pytest

import distrt
from distrt.core.foreach import functions

NAMES = sorted(functions())
OF_TWO = "add sub mul div maximum minimum clamp_min clamp_max pow".split()


def lists(library, count=1):
    """``count`` lists of two tensors, of numbers that every function takes."""
    return [
        [library.tensor([[0.5, 0.25], [0.75, 0.125 * n]]), library.tensor([0.375 * n, 0.625, 0.25])]
        for n in range(1, count + 1)
    ]


def arguments(library, name):
    plain = name.removeprefix("_foreach_").rstrip("_")
    if plain in OF_TWO:
        (other,) = lists(library, 2)[1:]
        more = [(library.tensor(2.0),)] if plain in ("add", "mul", "div") else []
        return [(2.0,), ([2.0, 3.0],), (other,), *more]
    if plain in ("addcmul", "addcdiv"):
        pair = lists(library, 2)
        return [tuple(pair), (*pair, 0.5), (*pair, [0.5, 2.0]), (*pair, library.tensor([0.5, 2.0]))]
    if plain == "lerp":
        ends, weights = lists(library, 2)
        return [(ends, 0.25), (ends, weights), (ends, [0.25, 0.5])]
    if plain == "copy":
        return [(lists(library, 2)[1],)]
    return [(), (1,), (float("inf"),)] if plain == "norm" else [()]


def results(library, name):
    found = []
    for each in arguments(library, name):
        (tensors,) = lists(library)
        if name == "_foreach_mm":
            tensors = tensors[:1]
            each = (tensors,)
        given = getattr(library, name)(tensors, *each)
        found.append(
            (type(given), [value.tolist() for value in given], [value.tolist() for value in tensors])
        )
    return found


@pytest.mark.parametrize("name", NAMES)
def test_lists_are_changed_as_pytorch_changes_them(torch, name):
    pairs = zip(results(distrt, name), results(torch, name), strict=True)
    for (kind, values, tensors), (their_kind, theirs, their_tensors) in pairs:
        assert kind is their_kind
        for mine, other in zip([*values, *tensors], [*theirs, *their_tensors], strict=True):
            assert np.allclose(mine, other, rtol=1e-6)


def test_every_function_of_pytorch_is_there(torch):
    assert {name for name in dir(torch) if name.startswith("_foreach_")} - set(NAMES) == {"_foreach_powsum"}


def test_keywords_and_gradients(torch):
    for library in (distrt, torch):
        (tensors,) = lists(library)
        library._foreach_mul_(tensors, scalar=2.0)
        library._foreach_lerp_(tensors, lists(library)[0], weight=0.5)
        (found,) = library._foreach_add(tensors[:1], tensors[:1], alpha=2)
        assert np.allclose(found.tolist(), (3 * tensors[0]).tolist())
        leaf = library.ones(2, requires_grad=True)
        library._foreach_pow([leaf], 3)[0].sum().backward()
        assert leaf.grad.tolist() == [3.0, 3.0]
        assert library._foreach_pow(2.0, [leaf.detach()])[0].tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda library, tensors: library._foreach_add(tensors, [1.0]),
        lambda library, tensors: library._foreach_add(tensors, tensors[:1]),
        lambda library, tensors: library._foreach_add([], 1),
        lambda library, tensors: library._foreach_mul(tensors, library.ones(2)),
        lambda library, tensors: library._foreach_mul(tensors, "2"),
    ],
)
def test_lists_that_do_not_fit_raise_pytorchs_errors(torch, call):
    errors = []
    for library in (distrt, torch):
        (tensors,) = lists(library)
        with pytest.raises((RuntimeError, TypeError)) as caught:
            call(library, tensors)
        errors.append(caught.value)
    mine, theirs = errors
    assert isinstance(mine, type(theirs))
    assert isinstance(theirs, TypeError) or str(theirs)[:40] in str(mine)
