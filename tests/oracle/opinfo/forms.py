"""The ways in which an entry of the table can be called: function, method, in place, ``out=``, operator, aliases."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import torch

from tests.oracle.opinfo import translation
from tests.oracle.opinfo.agreement import Options, call, differences

#: In the order of their importance.
DTYPES = ("float32", "float64", "int64", "bool", "bfloat16", "float16", "complex64", "complex128")


@dataclasses.dataclass(frozen=True)
class Difference:
    """One thing that differs, and where it was seen."""

    entry: str
    form: str
    dtype: str
    sample: int
    what: str

    def __str__(self) -> str:
        return f"{self.entry} | {self.form} | {self.dtype} #{self.sample} | {self.what}"


@dataclasses.dataclass
class Tally:
    """How many calls were compared, and how many of the table's samples have no counterpart in distrt."""

    compared: int = 0
    untranslatable: int = 0


def name_of(entry: Any) -> str:
    """``linalg.norm``, ``std.unbiased``: the name and, after another dot, the variant's."""
    return f"{entry.name}.{entry.variant_test_name}" if entry.variant_test_name else str(entry.name)


def compare(
    entry: Any, dtypes: tuple[str, ...] = DTYPES, limit: int | None = None, tally: Tally | None = None
) -> Iterator[Difference]:
    """Everything that differs, over the entry's forms, dtypes and (the first ``limit``) samples, and its errors."""
    name, tally = name_of(entry), tally or Tally()
    forms = {}
    for form, pair in _forms(entry):
        if isinstance(pair[1], Exception):
            yield Difference(name, form, "", 0, f"missing: {pair[1]}")
        else:
            forms[form] = pair
    for form, dtype, number, sample, pair in _calls(entry, forms, dtypes, limit):
        tally.compared += 1
        try:
            for what in _compare_form(entry, form, pair, dtype, sample):
                yield Difference(name, form, dtype, number, what)
        except translation.UntranslatableError:
            tally.untranslatable += 1
    if "function" in forms:
        yield from _compare_errors(entry, forms["function"])
    if forms and tally.compared and tally.compared == tally.untranslatable:
        yield Difference(name, "function", "", 0, "nothing to compare: no sample has a counterpart")


def _forms(entry: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Each form with PyTorch's function and distrt's, or the error that says why there is none."""
    given = {
        "function": entry.op,
        "method": entry.method_variant,
        "in place": entry.inplace_variant,
        "operator": entry.operator_variant,
        "operator in place": entry.inplace_operator_variant,
    }
    for alias in entry.aliases:
        given[f"alias {alias.name}"] = alias.op
        given[f"alias {alias.name} as a method"] = alias.method_variant
        given[f"alias {alias.name} in place"] = alias.inplace_variant
    for form, theirs in given.items():
        if theirs is None:
            continue
        try:
            yield form, (theirs, translation.function(theirs))
        except (translation.MissingNameError, translation.UntranslatableError) as reason:
            yield form, (theirs, reason)


def _calls(entry: Any, forms: dict[str, Any], dtypes: tuple[str, ...], limit: int | None) -> Iterator[Any]:
    supported = {str(each).removeprefix("torch.") for each in entry.dtypes}
    for dtype in dtypes:
        if dtype not in supported:
            continue
        kind = getattr(torch, dtype)
        grad = entry.supports_autograd and (kind.is_floating_point or kind.is_complex)
        torch.manual_seed(0)
        samples = itertools.islice(entry.sample_inputs("cpu", kind, requires_grad=grad), limit)
        for number, sample in enumerate(samples):
            for form, pair in forms.items():
                if _takes(form, sample):
                    yield form, dtype, number, sample, pair


def _takes(form: str, sample: Any) -> bool:
    if form.endswith("in place") and sample.broadcasts_input:
        return False
    return not (form.startswith("operator") and sample.kwargs)


def is_random(entry: Any) -> bool:
    """Whether the values of the result are not determined by the arguments."""
    code = getattr(entry.op, "__code__", None)
    drawn = code is not None and "wrapper_set_seed" in code.co_names
    return drawn or "empty" in entry.name or entry.name in ("resize_", "resize_as_")


def _compare_form(entry: Any, form: str, pair: Any, dtype: str, sample: Any) -> Iterator[str]:
    theirs, ours = pair
    arguments = ((sample.input, *sample.args), sample.kwargs)
    is_known = not is_random(entry)
    order = 2 if dtype in ("float64", "complex128") and entry.supports_gradgrad and form == "function" else 1
    options = Options(is_known, is_known, order, sample.output_process_fn_grad)
    if form.endswith("in place"):
        yield from differences(_on_a_clone(theirs), _on_a_clone(ours), arguments, options)
        return
    found = list(differences(theirs, ours, arguments, options))
    yield from found
    if form == "function" and entry.supports_out and not found and is_known:
        yield from _compare_out(theirs, ours, arguments, dataclasses.replace(options, gradients=False))


def _on_a_clone(run: Any) -> Any:
    return lambda first, *args, **kwargs: run(first.clone(), *args, **kwargs)


def _compare_out(theirs: Any, ours: Any, arguments: Any, options: Options) -> Iterator[str]:
    """``out=`` takes the result."""
    args, kwargs = _detached(arguments)
    expected = call(theirs, translation.fresh((args, kwargs)))
    out = expected.result
    if expected.error is None and isinstance(out, torch.Tensor | tuple | list):
        given = (args, {**kwargs, "out": _zeros_like(out)})
        for what in differences(_what_is_in_out(theirs), _what_is_in_out(ours), given, options):
            yield f"out=: {what}"


def _what_is_in_out(run: Any) -> Any:
    def ran(*args: Any, out: Any, **kwargs: Any) -> Any:
        run(*args, out=out, **kwargs)
        return out

    return ran


def _zeros_like(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return torch.zeros_like(value)
    made = (_zeros_like(each) for each in value)
    return list(made) if isinstance(value, list) else tuple(made)


def _detached(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if type(value) in (list, tuple):
        return type(value)(_detached(each) for each in value)
    if isinstance(value, dict):
        return {key: _detached(each) for key, each in value.items()}
    return value


def _compare_errors(entry: Any, pair: Any) -> Iterator[Difference]:
    if entry.error_inputs_func is None:
        return
    for number, wrong in enumerate(entry.error_inputs("cpu")):
        sample = wrong.sample_input
        arguments = ((sample.input, *sample.args), sample.kwargs)
        try:
            for what in differences(*pair, arguments, Options(False)):
                yield Difference(name_of(entry), "errors", "", number, what)
        except translation.UntranslatableError:
            continue
