"""What the table of cases cannot say of reductions and sorting: refusals, warnings, and how results print."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import distrt
from tests.oracle.test_errors import BUILTINS, FOREIGN

x23 = lambda t: t.ones(2, 3)
none = lambda t: t.ones(0, 3)
numbers = lambda t: t.tensor([1, 3, 5])
whole = lambda t: t.tensor([1, 2], dtype=t.int64)
complexes = lambda t: t.ones(2, dtype=t.complex64)

WRONG: dict[str, Callable[[Any], Any]] = {
    "sum by a float dim": lambda t: x23(t).sum(1.5),
    "sum by a bool dim": lambda t: x23(t).sum(True),
    "sum of 0-d out of range": lambda t: t.ones(()).sum(1),
    "sum of a number": lambda t: t.sum(3.0),
    "mean to integers": lambda t: x23(t).mean(dtype=t.int64),
    "nanmean of integers": lambda t: whole(t).nanmean(),
    "nansum of complex": lambda t: complexes(t).nansum(),
    "prod of dims": lambda t: x23(t).prod((0, 1)),
    "prod out of range": lambda t: x23(t).prod(2),
    "all of a dim twice": lambda t: x23(t).all((0, 0)),
    "logsumexp without a dim": lambda t: x23(t).logsumexp(),
    "logsumexp out of range": lambda t: x23(t).logsumexp(2),
    "softmax of integers": lambda t: whole(t).softmax(0),
    "softmax without a dim": lambda t: x23(t).softmax(),
    "log_softmax of complex": lambda t: complexes(t).log_softmax(0),
    "amax of nothing at all": lambda t: none(t).amax(),
    "amax of nothing along": lambda t: none(t).amax(0),
    "amax of complex": lambda t: complexes(t).amax(),
    "aminmax of nothing": lambda t: none(t).aminmax(),
    "aminmax of nothing along": lambda t: none(t).aminmax(dim=0),
    "max of complex": lambda t: complexes(t).max(),
    "max of dims": lambda t: x23(t).max((0, 1)),
    "min of complex along": lambda t: complexes(t).min(0),
    "argmax of nothing along": lambda t: none(t).argmax(0),
    "argmin of bools": lambda t: t.tensor([True]).argmin(),
    "std by two corrections": lambda t: x23(t).std(0, True, correction=1),
    "std of integers": lambda t: whole(t).std(),
    "cov of 3-d": lambda t: t.ones(2, 3, 4).cov(),
    "cov of bools": lambda t: t.tensor([True]).cov(),
    "cov of float frequencies": lambda t: x23(t).cov(fweights=t.ones(3)),
    "cov of integer weights": lambda t: x23(t).cov(aweights=numbers(t)),
    "cov of too few frequencies": lambda t: x23(t).cov(fweights=whole(t)),
    "cov of negative frequencies": lambda t: x23(t).cov(fweights=-numbers(t)),
    "median of nothing along": lambda t: none(t).median(0),
    "median of bools": lambda t: t.tensor([True]).median(),
    "mode of nothing": lambda t: none(t).mode(0),
    "kthvalue 0": lambda t: x23(t).kthvalue(0),
    "kthvalue beyond": lambda t: x23(t).kthvalue(4),
    "kthvalue of nothing": lambda t: none(t).kthvalue(1, 0),
    "quantile of integers": lambda t: whole(t).quantile(0.5),
    "quantile of halves": lambda t: x23(t).half().quantile(0.5),
    "quantile beyond 1": lambda t: x23(t).quantile(1.5),
    "quantile of nothing": lambda t: none(t).quantile(0.5),
    "quantile of another dtype": lambda t: x23(t).quantile(t.tensor([0.5], dtype=t.float64)),
    "quantile of a table": lambda t: x23(t).quantile(t.ones(2, 2)),
    "quantile of several beyond 1": lambda t: x23(t).quantile(t.tensor([0.5, 1.5])),
    "quantile by a name": lambda t: x23(t).quantile(0.5, interpolation="bad"),
    "quantile out of range": lambda t: x23(t).quantile(0.5, 2),
    "sort of complex": lambda t: complexes(t).sort(),
    "sort out of range": lambda t: x23(t).sort(2),
    "argsort out of range": lambda t: x23(t).argsort(2),
    "topk beyond": lambda t: x23(t).topk(4),
    "topk of less than nothing": lambda t: x23(t).topk(-1),
    "topk by a float": lambda t: x23(t).topk(1.0),
    "topk of bools": lambda t: t.tensor([True]).topk(1),
    "searchsorted by a side": lambda t: t.searchsorted(numbers(t), 3, side="up"),
    "searchsorted by opposites": lambda t: t.searchsorted(numbers(t), 3, side="left", right=True),
    "searchsorted of rows": lambda t: t.searchsorted(x23(t), t.ones(3)),
    "searchsorted in 0-d": lambda t: t.searchsorted(t.ones(()), t.ones(3)),
    "searchsorted of a number in rows": lambda t: t.searchsorted(x23(t), 1.0),
    "searchsorted by a float sorter": lambda t: t.searchsorted(x23(t), x23(t), sorter=x23(t)),
    "searchsorted by a short sorter": lambda t: t.searchsorted(numbers(t), 3, sorter=whole(t)),
    "searchsorted by a wild sorter": lambda t: t.searchsorted(numbers(t), 3, sorter=numbers(t)),
    "bucketize in 2-d": lambda t: t.bucketize(x23(t), x23(t)),
    "cumsum without a dim": lambda t: x23(t).cumsum(),
    "cumsum of no dim": lambda t: x23(t).cumsum(None),
    "cumsum by a float dim": lambda t: x23(t).cumsum(1.0),
    "cumprod out of range": lambda t: x23(t).cumprod(2),
    "cummax of complex": lambda t: complexes(t).cummax(0),
    "logcumsumexp of integers": lambda t: whole(t).logcumsumexp(0),
    "diff of 0-d": lambda t: t.ones(()).diff(),
    "diff less than never": lambda t: x23(t).diff(-1),
    "diff with a flat end": lambda t: x23(t).diff(prepend=t.ones(3)),
    "trapezoid of 0-d": lambda t: t.trapezoid(t.ones(())),
    "trapezoid of bools": lambda t: t.trapezoid(t.tensor([True, True])),
    "trapezoid of too few places": lambda t: t.trapezoid(x23(t), t.ones(2)),
    "norm of integers": lambda t: whole(t).norm(),
    "norm of nothing by the largest": lambda t: t.ones(0).norm(float("inf")),
    "cdist of columns": lambda t: t.cdist(x23(t), t.ones(2, 4)),
    "cdist of 1-d": lambda t: t.cdist(x23(t), t.ones(3)),
    "cdist of integers": lambda t: t.cdist(whole(t)[None], whole(t)[None]),
    "cdist of dtypes": lambda t: t.cdist(x23(t), x23(t).double()),
    "cdist by a negative norm": lambda t: t.cdist(x23(t), x23(t), -1.0),
    "cdist by a mode": lambda t: t.cdist(x23(t), x23(t), compute_mode="bad"),
    "renorm of 1-d": lambda t: t.ones(3).renorm(2, 0, 1),
    "renorm by 0": lambda t: x23(t).renorm(0, 0, 1),
    "renorm to less than nothing": lambda t: x23(t).renorm(2, 0, -1),
    "unique of complex": lambda t: complexes(t).unique(),
    "unique of 0-d along": lambda t: t.ones(()).unique(dim=0),
    "unique of nothing along": lambda t: none(t).unique(dim=1),
    "isin of numbers": lambda t: t.isin(1, 2),
    "isin of bools": lambda t: t.isin(t.tensor([True]), t.tensor([True])),
    "bincount of floats": lambda t: t.ones(2).bincount(),
    "bincount of negatives": lambda t: (-whole(t)).bincount(),
    "bincount of 2-d": lambda t: whole(t)[None].bincount(),
    "bincount of too few weights": lambda t: whole(t).bincount(t.ones(1)),
    "bincount to less than nothing": lambda t: whole(t).bincount(minlength=-1),
    "histc of integers": lambda t: whole(t).histc(),
    "histc in no bins": lambda t: t.ones(2).histc(0),
    "histc of a turned range": lambda t: t.ones(2).histc(4, 3, 0),
    "histc of nan": lambda t: (t.ones(2) * float("nan")).histc(4),
    "histogram of integers": lambda t: t.histogram(whole(t), 3),
    "out that requires grad": lambda t: t.cumsum(x23(t), 0, out=t.ones(2, 3, requires_grad=True)),
}


def _raised(run: Callable[[Any], Any], library: Any) -> BaseException | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run(library)
        except Exception as fault:
            return fault
    return None


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_raise_the_class_that_pytorch_raises(name: str, torch: Any) -> None:
    expected = _raised(WRONG[name], torch)
    assert expected is not None, "PyTorch does not refuse this"
    found = _raised(WRONG[name], distrt)
    assert found is not None, f"nothing was raised; PyTorch: {expected!r}"
    wanted = next(each for each in BUILTINS if isinstance(expected, each))
    assert isinstance(found, wanted), f"{found!r} instead of {expected!r}"


@pytest.mark.parametrize("name", WRONG)
def test_messages_speak_of_tensors(name: str) -> None:
    found = _raised(WRONG[name], distrt)
    assert str(found).strip()
    assert not FOREIGN.search(str(found)), found


@pytest.mark.parametrize(
    "run",
    [
        lambda t: t.ones(1).std(),
        lambda t: x23(t).var(0, correction=2),
        lambda t: t.ones(0).var(),
        lambda t: t.var_mean(t.ones(1)),
        lambda t: t.ones(1).cov(),
    ],
)
def test_too_few_observations_warn_as_pytorch_warns(run: Any, torch: Any) -> None:
    for library in (torch, distrt):
        with pytest.warns(UserWarning, match="degrees of freedom is <= 0"):
            run(library)


@pytest.mark.parametrize(
    "variance",
    [lambda x: x.var(0, correction=2), lambda x: x.var(0, correction=3), lambda x: x.var(correction=4)],
)
def test_the_gradient_of_a_variance_by_nothing_is_pytorchs(variance: Any, torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        x = library.tensor([[1.0, 2.0], [1.0, 4.0]], requires_grad=True)
        with pytest.warns(UserWarning):
            variance(x).sum().backward()
        found.append([repr(each + 0.0) for row in x.grad.tolist() for each in row])
    assert found[0] == found[1]


NAMED = {
    "max": lambda t, x: x.max(1),
    "min": lambda t, x: x.min(0),
    "aminmax": lambda t, x: x.aminmax(),
    "sort": lambda t, x: x.sort(),
    "topk": lambda t, x: x.topk(1),
    "median": lambda t, x: x.median(1),
    "nanmedian": lambda t, x: x.nanmedian(1),
    "mode": lambda t, x: x.mode(),
    "kthvalue": lambda t, x: x.kthvalue(1),
    "cummax": lambda t, x: x.cummax(0),
    "cummin": lambda t, x: x.cummin(0),
    "histogram": lambda t, x: t.histogram(x, 2),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_results_print_as_pytorchs(name: str, torch: Any) -> None:
    data = [[1.0, 5.0, 3.0], [4.0, 2.0, 6.0]]
    found, expected = (NAMED[name](library, library.tensor(data)) for library in (distrt, torch))
    assert repr(found) == repr(expected)
    fields = [
        field for field in dir(expected) if not field.startswith(("_", "n_")) and field not in dir(tuple)
    ]
    for field in fields:
        assert getattr(found, field).tolist() == getattr(expected, field).tolist()


def test_indices_of_equal_elements_are_those_of_pytorch_where_it_promises_them(torch: Any) -> None:
    data = [2.0, 5.0, 5.0, 2.0, 5.0, 1.0, 1.0]
    for run in (
        lambda t: t.tensor(data).max(0)[1],
        lambda t: t.tensor(data).min(0)[1],
        lambda t: t.tensor(data).argmax(),
        lambda t: t.tensor(data).sort(stable=True, dim=0, descending=True)[1],
        lambda t: t.tensor(data).cummax(0)[1],
        lambda t: t.tensor(data).mode()[1],
    ):
        assert run(distrt).tolist() == run(torch).tolist()


def test_long_sums_keep_their_digits() -> None:
    ones = distrt.ones(1 << 20, dtype=distrt.float16)
    assert float((ones / 4).mean()) == 0.25
    assert float((ones / 256).sum()) == 4096.0
    assert float(distrt.full((1 << 20,), 0.1).cumsum(0)[-1]) == pytest.approx(104857.6, rel=1e-6)
    assert float(distrt.full((1 << 12,), 0.25, dtype=distrt.bfloat16).cumsum(0)[-1]) == 1024.0


def test_a_message_names_what_came() -> None:
    with pytest.raises(TypeError, match=re.escape("dim must be an int, not float")):
        distrt.ones(2, 3).sum(1.5)
    with pytest.raises(IndexError, match=re.escape("expected to be in range of [-2, 1], but got 2")):
        distrt.ones(2, 3).cumsum(2)


def test_a_mean_of_integers_says_which_they_are(torch: Any) -> None:
    said = []
    for library in (distrt, torch):
        for kind, options in (("int64", {}), ("bool", {}), ("float32", {"dtype": library.int32})):
            with pytest.raises(RuntimeError, match="could not infer output dtype") as caught:
                library.ones(2, dtype=getattr(library, kind)).mean(**options)
            said.append(str(caught.value))
    assert said[:3] == said[3:]
