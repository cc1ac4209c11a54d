"""Recurrent layers on a GPU beside the CPU's in float64: PyTorch's where that is installed.

``python -m tests.gpu.checks.recurrent [few]``.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import distrt as torch
from distrt.core.kernels import on_gpu
from distrt.core.kernels.cublas import product
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
    """Every kind and form in every dtype; and some without cuBLAS."""
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
        for kind in ("LSTM", "GRU", "RNN"):
            layer = getattr(torch.nn, kind)(4, 5).cuda()
            calls.clear()
            layer(torch.ones(7, 2, 4, device="cuda"))[0].sum().backward()
            if (calls.count("product"), calls.count("launch")) != (14, 14):
                yield f"{kind}: {calls}"
    finally:
        on_gpu.recurrent.multiply, on_gpu.recurrent._launcher = real, start


CHECKS: tuple[Callable[[bool], Iterator[str]], ...] = (
    layers_are_those_of_the_cpu,
    wide_layers_are_those_of_the_cpu,
    a_step_is_one_product_and_one_launch,
)


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS, "few" in sys.argv[1:]) else 0)
