"""Recurrent layers on a GPU beside the CPU's in float64: PyTorch's where that is installed.

``python -m tests.gpu.checks.recurrent [few]``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import distrt as torch
from distrt.core.kernels import on_gpu
from distrt.core.kernels.cublas import product
from distrt.core.kernels.cudnn import recurrent as sequences
from tests.gpu.checking import apart, run_all

#: Of outputs, states and gradients, in parts of the largest number: half precision rounds at every step.
TOLERANCES = {"float32": 3e-6, "float64": 1e-12, "float16": 1e-2, "bfloat16": 6e-2}

LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "LSTM": ("LSTM", {}),
    "LSTM, projected": ("LSTM", {"proj_size": 3, "num_layers": 2, "bidirectional": True}),
    "LSTM of two layers": ("LSTM", {"num_layers": 2, "bidirectional": True, "dropout": 1.0, "bias": False}),
    "GRU": ("GRU", {}),
    "GRU of two layers": ("GRU", {"num_layers": 2, "bidirectional": True, "bias": False}),
    "RNN": ("RNN", {}),
    "RNN of two layers": ("RNN", {"num_layers": 2, "bidirectional": True, "nonlinearity": "relu"}),
}
FORMS = ("steps first", "batch first", "packed", "with states")
INPUT, HIDDEN, LENGTHS = 4, 5, (6, 3, 1)


def results(
    library: Any, kind: str, options: dict[str, Any], form: str, dtype: str, compute: str, place: str
) -> list[Any]:
    """Output, last states, and the gradients of all that went in; the numbers are rounded to ``dtype`` first."""
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> Any:
        made = library.tensor(rng.standard_normal(shape) / 2).to(getattr(library, dtype))
        return made.to(getattr(library, compute)).to(place)

    layer = getattr(library.nn, kind)(INPUT, HIDDEN, batch_first=form == "batch first", **options)
    layer = layer.to(getattr(library, compute)).to(place)
    with library.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(drawn(*parameter.shape))
    shape = (3, 6, INPUT) if form == "batch first" else (6, 3, INPUT)
    x = drawn(*shape).requires_grad_()
    given, states = x, ()
    if form == "packed":
        given = library.nn.utils.rnn.pack_padded_sequence(x, LENGTHS)
    if form == "with states":
        count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
        widths = (options.get("proj_size") or HIDDEN, HIDDEN)[: 2 if kind == "LSTM" else 1]
        states = tuple(drawn(count, 3, width).requires_grad_() for width in widths)
    hx = (states if len(states) > 1 else states[0]) if states else None
    out, last = layer(given, hx)
    out = out.data if form == "packed" else out
    made = [out, *(last if isinstance(last, tuple) else (last,))]
    loss = sum((each * drawn(*each.shape)).sum() for each in made)
    loss.backward()
    slopes = [each.grad for each in (x, *states, *layer.parameters())]
    return [each.detach().cpu().to(library.float64).numpy() for each in (*made, *slopes)]


def layers_are_those_of_the_cpu(few: bool) -> Iterator[str]:
    """Every kind and form in every dtype, step by step and by cuDNN; and some without cuBLAS."""
    with torch.backends.cudnn.flags(enabled=False):
        yield from _layers_apart(few)
    if sequences.library() is not None:
        with _whole_sequences() as calls:
            yield from _layers_apart(few)
        # All but those with projections, in one call for each layer and direction.
        if len(calls) != 15 * len(FORMS) * (2 if few else 4) + 3 or None in calls:
            yield f"{len(calls)} layers by cuDNN, which refused {calls.count(None)}"


@contextlib.contextmanager
def _whole_sequences() -> Iterator[list[Any]]:
    """What cuDNN made of the layers that it was asked for."""
    made: list[Any] = []
    real = sequences.forward

    def forward(*args: Any) -> Any:
        made.append(real(*args))
        return made[-1]

    sequences.forward = forward
    try:
        yield made
    finally:
        sequences.forward = real


def _layers_apart(few: bool) -> Iterator[str]:
    oracle = __import__("torch") if importlib.util.find_spec("torch") else torch
    dtypes = list(TOLERANCES)[::3] if few else list(TOLERANCES)
    for (name, (kind, options)), form, dtype in itertools.product(LAYERS.items(), FORMS, dtypes):
        expected = results(oracle, kind, options, form, dtype, "float64", "cpu")
        far = apart(results(torch, kind, options, form, dtype, dtype, "cuda"), expected)
        if not far < TOLERANCES[dtype]:
            yield f"{name}, {form}, {dtype}: {far:.2g} apart"
    found, product.library = product.library, lambda: None
    try:
        for kind in ("LSTM", "GRU", "RNN"):
            expected = results(oracle, kind, {}, "packed", "float16", "float64", "cpu")
            far = apart(results(torch, kind, {}, "packed", "float16", "float16", "cuda"), expected)
            if not far < TOLERANCES["float16"]:
                yield f"{kind} without cuBLAS: {far:.2g} apart"
    finally:
        product.library = found


def wide_layers_are_those_of_the_cpu(few: bool) -> Iterator[str]:
    """More units than a block has threads, and a cell's single step."""
    rng = np.random.default_rng(0)
    for kind in ("LSTM", "GRU", "RNN"):
        pair = []
        twin = getattr(torch.nn, kind)(3, 150)
        x = torch.tensor(rng.standard_normal((2, 2, 3)).astype(np.float32))
        cell = getattr(torch.nn, f"{kind}Cell")(3, 150)
        for place in ("cpu", "cuda"):
            twin, cell = twin.to(place), cell.to(place)
            after = cell(x[0].to(place))
            made = [twin(x.to(place))[0], after[0] if kind == "LSTM" else after]
            pair.append([each.detach().cpu().numpy() for each in made])
        if not apart(pair[1], pair[0]) < 1e-5:
            yield f"{kind}: {apart(pair[1], pair[0]):.2g} apart"


def a_step_is_one_product_and_one_launch(few: bool) -> Iterator[str]:
    """In both directions; so many more for more steps, and no others in the walk."""
    calls: list[str] = []
    real, start = on_gpu.recurrent.multiply, on_gpu.recurrent._launcher

    def multiply(*args: Any, **kwargs: Any) -> None:
        calls.append("product")
        real(*args, **kwargs)

    def launcher(name: str, *args: Any) -> Callable[..., None]:
        run = start(name, *args)
        return lambda *given: (calls.append("launch"), run(*given))[1]

    on_gpu.recurrent.multiply, on_gpu.recurrent._launcher = multiply, launcher
    try:
        torch.backends.cudnn.enabled = False
        for kind in ("LSTM", "GRU", "RNN"):
            layer = getattr(torch.nn, kind)(4, 5).cuda()
            calls.clear()
            layer(torch.ones(7, 2, 4, device="cuda"))[0].sum().backward()
            if (calls.count("product"), calls.count("launch")) != (14, 14):
                yield f"{kind}: {calls}"
    finally:
        torch.backends.cudnn.enabled = True
        on_gpu.recurrent.multiply, on_gpu.recurrent._launcher = real, start


def cudnn_keeps_what_users_may_change(few: bool) -> Iterator[str]:
    """Backward twice, outputs that are changed, weights that are frozen, evaluation, second derivatives, autocast."""
    if sequences.library() is None:
        return
    rng = np.random.default_rng(1)
    x = torch.tensor(rng.standard_normal((6, 3, INPUT)).astype(np.float32))
    for kind, reverse in itertools.product(("LSTM", "GRU", "RNN"), (False, True)):
        layer = getattr(torch.nn, kind)(INPUT, HIDDEN, bidirectional=reverse)
        layer.weight_hh_l0.requires_grad_(False)
        pair = []
        for place in ("cpu", "cuda"):
            twin, given = layer.to(place), x.to(place).requires_grad_()
            with _whole_sequences() as calls:
                out = twin(given)[0]
            if place == "cuda" and (len(calls) != 1 + reverse or None in calls):
                yield f"{kind}: cuDNN was asked {len(calls)} times"
            loss = out.square().sum()
            names = [each for each in twin.parameters() if each.requires_grad]
            slopes = [*torch.autograd.grad(loss, [given, *names], retain_graph=True)]
            slopes += torch.autograd.grad(loss, [given, *names])
            (first,) = torch.autograd.grad(twin(given)[0].square().sum(), given, create_graph=True)
            slopes += torch.autograd.grad(first.square().sum(), [given, *names], allow_unused=True)
            if kind == "LSTM" and not reverse:
                changed = twin(given)[0]
                before = changed.detach().clone()
                slopes += torch.autograd.grad(changed.mul_(2).sum(), given)
                slopes.append(changed.detach() - before)
            with torch.no_grad():
                slopes.append(twin(given)[0])
            pair.append([each.detach().cpu().numpy() for each in slopes if each is not None])
        if not apart(pair[1], pair[0]) < 1e-5:
            yield f"{kind}: {apart(pair[1], pair[0]):.2g} apart"


def cudnn_is_left_where_it_is_not_wanted(few: bool) -> Iterator[str]:
    """By users, for one order of sums, for a cell's step, and where it refuses."""
    if sequences.library() is None:
        return
    layer, x = torch.nn.GRU(INPUT, HIDDEN).cuda(), torch.ones(4, 2, INPUT, device="cuda")

    def ways() -> Iterator[tuple[str, Any]]:
        with torch.backends.cudnn.flags(enabled=False):
            yield "switched off", layer(x)
        with torch.backends.cudnn.flags(enabled=True, deterministic=True):
            yield "deterministic", layer(x)
        yield "one step", layer(x[:1])
        if torch.cuda.get_device_name() in ("Fake GPU", "Emulated GPU"):  # of 13, theirs has none
            for features, units in ((13, 3), (3, 13)):
                refused = torch.nn.LSTM(features, units)
                given = torch.ones(4, 2, features)
                expected = refused(given)[0]
                yield "refused", torch.allclose(refused.cuda()(given.cuda())[0].cpu(), expected, atol=1e-6)

    with _whole_sequences() as calls:
        found = list(ways())
    if any(made is not None for made in calls):
        yield "cuDNN is used"
    yield from (f"{name}: another result" for name, result in found if result is False)


CHECKS: tuple[Callable[[bool], Iterator[str]], ...] = (
    layers_are_those_of_the_cpu,
    wide_layers_are_those_of_the_cpu,
    a_step_is_one_product_and_one_launch,
    cudnn_keeps_what_users_may_change,
    cudnn_is_left_where_it_is_not_wanted,
)


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS, "few" in sys.argv[1:]) else 0)
