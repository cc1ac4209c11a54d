"""Products with a bias, or with a bias's gradient, as a part: beside the CPU, in all floating dtypes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt.core.kernels.cublas import epilogues
from tests.gpu.checking import run_all
from tests.gpu.fixtures import NOT_THERE

TOLERANCES = {torch.float32: 2e-6, torch.float64: 1e-12, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}

#: Each with the shapes of its inputs. A result that is 13 wide is what the fake has no algorithm for.
CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "linear": (F.linear, ((5, 7), (3, 7), (3,))),
    "linear of a batch": (F.linear, ((2, 4, 7), (3, 7), (3,))),
    "linear of one row": (F.linear, ((1, 7), (8, 7), (8,))),
    "linear of a turned input": (lambda x, w, b: F.linear(x.t(), w, b), ((7, 5), (3, 7), (3,))),
    "linear of a turned weight": (lambda x, w, b: F.linear(x, w.t(), b), ((5, 7), (7, 3), (3,))),
    "linear that no algorithm suits": (F.linear, ((5, 7), (13, 7), (13,))),
    "linear of one bias for all": (F.linear, ((5, 7), (3, 7), (1,))),
    "linear of a part": (lambda x, w, b: F.linear(x[:, 1:], w[:, 1:], b[1:]), ((5, 8), (3, 8), (4,))),
    "addmm": (torch.addmm, ((3,), (5, 7), (7, 3))),
    "addmm of a matrix": (torch.addmm, ((5, 3), (5, 7), (7, 3))),
    "addmm of a row": (torch.addmm, ((1, 3), (5, 7), (7, 3))),
    "scaled addmm": (lambda b, x, y: torch.addmm(b, x, y, beta=2, alpha=0.5), ((3,), (5, 7), (7, 3))),
}


def results(
    run: Callable[..., Any], shapes: tuple[tuple[int, ...], ...], dtype: Any, place: str
) -> list[Any]:
    """The product and its gradients."""
    rng = np.random.default_rng(0)
    inputs = [
        torch.tensor(rng.standard_normal(shape)).to(dtype).to(place).requires_grad_() for shape in shapes
    ]
    out = run(*inputs)
    seed = torch.tensor(rng.standard_normal(out.shape)).to(dtype).to(place)
    return [each.detach().cpu().double().numpy() for each in (out, *torch.autograd.grad(out, inputs, seed))]


def products_are_those_of_the_cpu() -> Iterator[str]:
    """All cases; results are rounded once."""
    place = f"cuda:{torch.cuda.device_count() - 1}"
    for name, (run, shapes) in CASES.items():
        for dtype, tolerance in TOLERANCES.items():
            pairs = zip(*(results(run, shapes, dtype, each) for each in ("cpu", place)), strict=True)
            far = np.max([np.abs(here - there).max() / np.abs(here).max() for here, there in pairs])
            if not far < tolerance:
                yield f"{name} {dtype}: {far:.2g} apart"


def a_layer_is_three_products() -> Iterator[str]:
    """Bias and its gradient are parts of the first and the last; in a mixed-precision block, too."""
    calls, real = [], epilogues._multiply

    def noted(left: Any, right: Any, made: Any, epilogue: int, vector: Any) -> bool:
        is_done = real(left, right, made, epilogue, vector)
        calls.append((epilogue, is_done))
        return is_done

    layer, x = torch.nn.Linear(8, 16).cuda(), torch.ones(4, 8, device="cuda")
    epilogues._multiply = noted
    try:
        for is_mixed in (False, True):
            calls.clear()
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=is_mixed):
                out = layer(x)
            out.float().sum().backward()
            if calls != [(4, True), (512, True)]:
                yield f"{calls}"
    finally:
        epilogues._multiply = real


def a_size_is_searched_for_once() -> Iterator[str]:
    """Per thread, GPU and case, whatever the addresses are."""
    epilogues._plan.cache_clear()
    weight, bias = torch.ones(16, 8, device="cuda"), torch.ones(16, device="cuda")
    for _ in range(3):
        F.linear(torch.ones(4, 8, device="cuda"), weight, bias)
    F.linear(torch.ones(5, 8, device="cuda"), weight, bias)
    if epilogues._plan.cache_info().misses != 2:
        yield f"{epilogues._plan.cache_info()}"


CHECKS = (products_are_those_of_the_cpu, a_layer_is_three_products, a_size_is_searched_for_once)


def main() -> int:
    """Runs all; returns how many failed."""
    if epilogues.library() is None:
        print("cuBLASLt is not here")
        return -1
    return run_all(CHECKS)


if __name__ == "__main__":
    found = main()
    sys.exit(NOT_THERE if found < 0 else 1 if found else 0)
