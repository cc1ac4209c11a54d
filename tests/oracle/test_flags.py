"""Flags are True or False: ``x.sum(0, 1)``, meant as a sum over two dims, is refused as by PyTorch."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracles import builtin_kind

REDUCTIONS = (
    "sum mean prod max min argmax argmin any all std var median mode amax amin logsumexp nansum nanmean nanmedian "
    "sort argsort"
).split()
WITH_MORE: dict[str, Callable[[Any, Any], Any]] = {
    "topk": lambda x, flag: x.topk(1, 0, flag),
    "kthvalue": lambda x, flag: x.kthvalue(1, 0, flag),
    "norm": lambda x, flag: x.norm(2, 0, flag),
    "quantile": lambda x, flag: x.quantile(0.5, 0, flag),
    "unique": lambda x, flag: x.unique(return_inverse=flag),
    "keepdim of var": lambda x, flag: x.var(0, keepdim=flag),
}


def outcome(call: Callable[[], Any]) -> Any:
    try:
        found = call()
    except Exception as error:
        return builtin_kind(error)
    return [tuple(each.shape) for each in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.parametrize("name", [*REDUCTIONS, *WITH_MORE])
def test_a_flag_is_true_or_false(name: str, torch: ModuleType) -> None:
    call = WITH_MORE.get(name, lambda x, flag: getattr(x, name)(0, flag))
    for flag in (True, False, 1, 0, 1.0, "yes"):
        mine, theirs = (
            outcome(lambda lib=lib, flag=flag: call(lib.ones(2, 3), flag)) for lib in (distrt, torch)
        )
        assert mine == theirs, flag
    if name in REDUCTIONS and name not in ("std", "var"):
        mine, theirs = (
            outcome(lambda lib=lib: getattr(lib, name)(lib.ones(2, 3), 0, 1)) for lib in (distrt, torch)
        )
        assert (mine, theirs) == (TypeError, TypeError)


def test_numpys_flags_and_tensors_without_dims_are_flags() -> None:
    assert distrt.ones(2, 3).sum(0, np.True_).shape == (1, 3)
    assert distrt.ones(2, 3).sum(0, keepdim=distrt.tensor(True)).shape == (1, 3)
    assert distrt.ones(2, 3).var(0, keepdim=np.bool_(True)).shape == (1, 3)
    with pytest.raises(TypeError, match=r"sum\(\): argument 'keepdim' must be bool, not int"):
        distrt.ones(2, 3).sum(0, 1)


def test_methods_take_dims_one_by_one(torch: ModuleType) -> None:
    for lib in (distrt, torch):
        x = lib.ones(1, 2, 1)
        assert x.squeeze(0, 2).shape == x.squeeze((0, 2)).shape == x.squeeze().shape == (2,)
        assert x.squeeze(0).shape == x.squeeze(dim=0).shape == (2, 1) and x.squeeze(1, 2).shape == (1, 2)
        assert x.count_nonzero(0, 1).tolist() == x.count_nonzero((0, 1)).tolist() == [2]
        assert x.count_nonzero().item() == x.count_nonzero(dim=1)[0, 0].item() == 2
        assert lib.ones(1, 2, 1).squeeze_(0, 2).shape == (2,)
