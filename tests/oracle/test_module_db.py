"""PyTorch's own table of modules and inputs (``common_modules.module_db``), on both libraries with the same weights.

Each sample: outputs, gradients of inputs and parameters, buffers, state_dict, repr; a copy by pickle and ``to(dtype)``;
and the samples that must fail: class and message. The table is read from the installed PyTorch, nothing of it is here.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import quietly, values
from tests.oracle.translation import Translation, Untranslatable
from tests.oracles import require_torch

torch = require_torch()
pytest.importorskip(
    "expecttest", reason="PyTorch's table of modules needs expecttest, which the extra test brings"
)
module_db = quietly(pytest.importorskip, "torch.testing._internal.common_modules").module_db

pytestmark = [pytest.mark.ci, pytest.mark.filterwarnings("ignore")]

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64)
TOLERANCE = {"float32": 1e-4, "float64": 1e-9, "complex64": 1e-4, "bfloat16": 3e-2, "float16": 3e-2}

#: Samples of one dtype and mode; of more, which one layer has, every second or third is taken.
MOST = 60

#: Sums in half precision, whose last bits depend on the order: further apart than a single rounding.
WIDER = {"nn.LinearCrossEntropyLoss": 5.0, "nn.CTCLoss": 3.0}

#: Layers whose forward pass draws numbers while training.
RANDOM = ("nn.AlphaDropout", "nn.Dropout", "nn.FeatureAlphaDropout", "nn.FractionalMaxPool", "nn.RReLU")

#: What distrt says in other words, by module and PyTorch's message: why.
OTHER_WORDS = {
    ("nn.Embedding", "index out of range in self"): "says which index, and how many rows there are"
}

TABLE = {info.name: info for info in module_db}


@pytest.mark.parametrize("name", TABLE)
def test_a_module_does_what_pytorchs_does(name: str) -> None:
    compared = 0
    for dtype, training, sample in _samples(TABLE[name]):
        case = _Case(name, dtype, training, sample)
        try:
            compared += case.compare()
        except Untranslatable:
            continue
    assert compared


@pytest.mark.parametrize("name", [name for name, info in TABLE.items() if info.module_error_inputs_func])
def test_a_module_refuses_what_pytorchs_refuses(name: str) -> None:
    info = TABLE[name]
    for training in (True, False):
        for case in info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=False, training=training
        ):
            sample = case.module_error_input
            theirs = _fault(info.module_cls, sample, training, lambda value: value)
            ours = _fault(getattr(distrt.nn, info.module_cls.__name__), sample, training, Translation())
            if theirs is None:  # the table speaks of another device
                continue
            assert isinstance(ours, type(theirs)), f"{sample}: {ours!r} instead of {theirs!r}"
            same = str(ours) == str(theirs)
            assert same != ((name, str(theirs)) in OTHER_WORDS), f"{ours!r} instead of {theirs!r}"


def _samples(info: Any) -> Iterator[tuple[Any, bool, Any]]:
    for dtype in DTYPES:
        if dtype in info.dtypes:
            for training in (True, False):
                options = {"device": "cpu", "dtype": dtype, "requires_grad": True, "training": training}
                samples = list(info.module_inputs_func(info, **options))
                for sample in samples[:: 1 + len(samples) // MOST]:
                    yield dtype, training, sample


def _fault(kind: Any, sample: Any, training: bool, translate: Any) -> Exception | None:
    made, given = sample.constructor_input, sample.forward_input
    try:
        module = kind(*translate(made.args), **translate(made.kwargs)).train(training)
        if given is not None:
            module(*translate(given.args), **translate(given.kwargs))
    except Exception as fault:
        return fault
    return None


class _Case:
    """One sample on both libraries."""

    def __init__(self, name: str, dtype: Any, training: bool, sample: Any) -> None:
        self.kind = TABLE[name].module_cls
        self.dtype, self.training, self.sample = dtype, training, sample
        self.draws = training and name.startswith(RANDOM)
        self.scale = WIDER.get(name, 1.0)
        made = sample.constructor_input
        self.what = (
            f"{name} {dtype} {'train' if training else 'eval'} {sample.desc} {made.args} {made.kwargs}"[:400]
        )

    def compare(self) -> int:
        """1; 0 where PyTorch itself fails."""
        pair = self._built()
        if pair is None:
            return 0
        theirs, ours = pair
        given = self.sample.forward_input
        translate = Translation()
        arguments = _copied((given.args, given.kwargs))
        mine = translate(arguments)
        try:
            expected = theirs(*arguments[0], **arguments[1])
        except Exception as fault:
            with pytest.raises(Exception) as raised:
                ours(*mine[0], **mine[1])
            assert isinstance(raised.value, type(fault)), self.what
            return 0
        found = ours(*mine[0], **mine[1])
        assert type(found).__name__ == type(expected).__name__, self.what
        self._compare_backward(found, expected, (mine, ours), (arguments, theirs))
        self._compare_copies(ours, theirs)
        return 1

    def _built(self) -> tuple[Any, Any] | None:
        """PyTorch's module and ours, with its weights."""
        made = self.sample.constructor_input
        placed = {**made.kwargs, "device": "cpu", "dtype": self.dtype}
        try:
            theirs, options = self.kind(*made.args, **placed), placed
        except TypeError:  # it has no parameters, and takes no dtype
            theirs, options = self.kind(*made.args, **made.kwargs), made.kwargs
        translate = Translation()
        ours = getattr(distrt.nn, self.kind.__name__)(*translate(made.args), **translate(options))
        for module in (theirs, ours):
            module.train(self.training)
        assert repr(ours) == repr(theirs), self.what
        assert list(ours.state_dict()) == list(theirs.state_dict()), self.what
        if any(torch.nn.parameter.is_lazy(each) for each in theirs.state_dict().values()):
            given = self.sample.forward_input
            theirs(*_copied(given.args), **given.kwargs)
            ours(*translate(_copied(given.args)), **translate(given.kwargs))
            assert repr(ours) == repr(theirs), self.what
        ours.load_state_dict(translate(dict(theirs.state_dict())))
        return theirs, ours

    def _compare_backward(self, found: Any, expected: Any, mine: Any, yours: Any) -> None:
        outputs = list(zip(_tensors(found), _tensors(expected), strict=True))
        self._close(outputs, "output")
        if self.draws:
            return
        roots = [(ours, theirs) for ours, theirs in outputs if theirs.requires_grad]
        assert [ours.requires_grad for ours, _ in outputs] == [theirs.requires_grad for _, theirs in outputs]
        if roots:
            starts = [torch.ones_like(theirs) for _, theirs in roots]
            torch.autograd.backward([theirs for _, theirs in roots], starts)
            distrt.autograd.backward([ours for ours, _ in roots], Translation()(starts))
        leaves = zip(_leaves(*mine), _leaves(*yours), strict=True)
        gradients = [(a.grad, b.grad) for a, b in leaves if b.is_leaf]
        assert [a is None for a, _ in gradients] == [b is None for _, b in gradients], self.what
        self._close([pair for pair in gradients if pair[1] is not None], "gradient")
        self._close(list(zip(mine[1].buffers(), yours[1].buffers(), strict=True)), "buffer")

    def _close(self, pairs: list[tuple[Any, Any]], what: str) -> None:
        for ours, theirs in pairs:
            assert (tuple(ours.shape), str(ours.dtype)) == (tuple(theirs.shape), str(theirs.dtype)), self.what
            if self.draws:
                continue
            expected = values(theirs)
            tolerance = self.scale * TOLERANCE.get(str(theirs.dtype).removeprefix("torch."), 0.0)
            largest = np.abs(expected[np.isfinite(expected)]).max(initial=1.0) if tolerance else 0.0
            np.testing.assert_allclose(
                values(ours), expected, tolerance, tolerance * largest, err_msg=f"{what} of {self.what}"
            )

    def _compare_copies(self, ours: Any, theirs: Any) -> None:
        if self.dtype is not torch.float32:
            return
        try:
            pickle.dumps(theirs)
        except Exception:
            pass  # PyTorch's cannot be pickled either
        else:
            assert repr(pickle.loads(pickle.dumps(ours))) == repr(ours), self.what
        for name in ("float64", "bfloat16", "int64"):
            told = []
            for module, library in ((ours, distrt), (theirs, torch)):
                try:
                    state = copy.deepcopy(module).to(getattr(library, name)).state_dict()
                    told.append(
                        [(key, str(each.dtype)) for key, each in state.items() if hasattr(each, "dtype")]
                    )
                except Exception as fault:
                    told.append(str(fault))
            assert told[0] == told[1], f"to({name}) of {self.what}"


def _copied(value: Any) -> Any:
    """The same values in leaves of their own, modules and functions as they are."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_copied(each) for each in value)
    return value


def _tensors(value: Any) -> list[Any]:
    if hasattr(value, "requires_grad"):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [each for part in value for each in _tensors(part)] if isinstance(value, list | tuple) else []


def _leaves(arguments: Any, module: Any) -> list[Any]:
    return [*_tensors(arguments[0]), *_tensors(arguments[1]), *module.parameters()]
