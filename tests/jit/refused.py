"""Functions that cannot be scripted, by PyTorch or by distrt; the line that each error must show is marked.

Read as text by ``test_refusals.py``, as ``programs.py`` is.
"""
# ruff: noqa

from typing import Dict, List, Optional

LIMIT = 3


def undefined_name(x):
    return missing_function(x)  # HERE


def one_branch_only(x):
    if x.sum() > 0:
        y = x
    return y  # HERE


def other_type_in_a_branch(x):
    y = "text"
    if x.sum() > 0:
        y = x  # HERE
    return y


def branches_disagree(x):
    if x.sum() > 0:  # HERE
        y = x
    else:
        y = 2
    return y


def unknown_method(x):
    return x.frobnicate()  # HERE


def unknown_attribute(x):
    y = x + 1
    return y.colour  # HERE


def try_block(x):
    try:  # HERE
        return x
    except ValueError:
        return x


def lambda_inside(x):
    f = lambda y: y + 1  # HERE
    return f(x)


def generator(x):
    yield x  # HERE


def star_arguments(x, *rest):  # HERE
    return x


def wrong_return_type(x) -> str:
    return x  # HERE


def two_return_types(x):
    if x.sum() > 0:
        return x
    return 1  # HERE


def global_number(x):
    return x * LIMIT  # HERE


def set_literal(x):
    y = {1, 2}  # HERE
    return x


def else_of_a_loop(x):
    for i in range(3):  # HERE
        x = x + i
    else:
        x = x * 2
    return x


def nested_function(x):
    def inner(y):  # HERE
        return y

    return inner(x)


def import_inside(x):
    import math  # HERE

    return x


def missing_argument(x):
    return _takes_two(x)  # HERE


def _takes_two(x, y):
    return x + y


def too_many_arguments(x):
    return _takes_two(x, x, x)  # HERE


def wrong_argument_type(x):
    return _takes_number("a", x)  # HERE


def _takes_number(n: int, x):
    return x * n


def optional_used(x: Optional[torch.Tensor]):
    return x + 1  # HERE


def not_on_all_paths(x) -> torch.Tensor:
    for i in range(2):
        if i > 3:
            return x


def iterates_a_number(n: int):
    total = 0
    for i in n:  # HERE
        total += i
    return total


def keyword_expansion(x):
    return torch.add(x, **{"other": x})  # HERE


def recursive(x):
    return recursive(x)  # HERE


def walrus(x):
    if (y := x.sum()) > 0:  # HERE
        return y
    return x


def context_manager(x):
    with open("file"):  # HERE
        return x


def two_generators(x):
    return [i + j for i in range(2) for j in range(2)]  # HERE


def wrong_default(x, n: int = "a"):
    return x


def unknown_keyword(x):
    return _takes_two(x, z=x)  # HERE
