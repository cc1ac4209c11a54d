"""Products of matrices by cuBLAS beside the CPU: batches, broadcasting, transposes, biases, all dtypes.

Ends with 3 where cuBLAS is not there.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt.core.kernels.cublas.product import library
from tests.gpu.fixtures import NOT_THERE

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12, torch.float16: 4e-3, torch.bfloat16: 3e-2}
CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "mm": (torch.mm, ((5, 7), (7, 3))),
    "of the transpose": (lambda a, b: torch.mm(a.t(), b), ((7, 5), (7, 3))),
    "by the transpose": (lambda a, b: torch.mm(a, b.t()), ((5, 7), (3, 7))),
    "of both transposes": (lambda a, b: torch.mm(a.t(), b.t()), ((7, 5), (3, 7))),
    "of a part": (lambda a, b: torch.mm(a[1:6, 2:9], b[:, ::2]), ((8, 12), (7, 6))),
    "row by column": (torch.mm, ((1, 7), (7, 1))),
    "column by row": (torch.mm, ((5, 1), (1, 3))),
    "with vectors": (torch.matmul, ((5, 7), (7,))),
    "linear": (F.linear, ((5, 7), (3, 7), (3,))),
    "linear of a batch": (F.linear, ((2, 4, 7), (3, 7), (3,))),
    "addmm": (torch.addmm, ((3,), (5, 7), (7, 3))),
    "bmm": (torch.bmm, ((4, 5, 7), (4, 7, 3))),
    "broadcast": (torch.matmul, ((2, 1, 5, 7), (3, 7, 3))),
    "one by many": (torch.matmul, ((5, 7), (4, 7, 3))),
    "heads": (
        lambda q, k: torch.matmul(q.transpose(1, 2), k.transpose(1, 2).transpose(-1, -2)),
        ((2, 6, 3, 4), (2, 5, 3, 4)),
    ),
    "einsum": (lambda a, b: torch.einsum("bij,bkj->bik", a, b), ((2, 3, 4), (2, 5, 4))),
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


def main() -> int:
    """Compares all; returns how many differ."""
    if library() is None:
        print("cuBLAS is not here")
        return -1
    place, failed = f"cuda:{torch.cuda.device_count() - 1}", 0
    for name, (run, shapes) in CASES.items():
        for dtype, tolerance in TOLERANCES.items():
            try:
                pairs = zip(*(results(run, shapes, dtype, each) for each in ("cpu", place)), strict=True)
                far = max(np.abs(here - there).max() / np.abs(here).max() for here, there in pairs)
                if not far < tolerance:
                    failed += 1
                    print(f"FAILED {name} {dtype}: {far:.2g} apart")
            except Exception:
                failed += 1
                print(f"FAILED {name} {dtype}: {traceback.format_exc()}")
    failed += tf32_is_asked_for(place)
    print(f"{failed} failed")
    return failed


def tf32_is_asked_for(place: str) -> int:
    """Products of float32 are exact to float32, until somebody allows less; 1 where that does not hold."""
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 64, 64)).astype(np.float32)
    errors = []
    for precision in ("highest", "high", "highest"):
        torch.set_float32_matmul_precision(precision)
        found = torch.mm(torch.tensor(left).to(place), torch.tensor(right).to(place)).cpu().numpy()
        errors.append(np.abs(found - left.astype(np.float64) @ right).max())
    if errors[0] < 1e-4 and errors[2] < 1e-4 and errors[1] < 0.2:
        return 0
    print(f"FAILED precision: errors {errors}")
    return 1


if __name__ == "__main__":
    found = main()
    sys.exit(NOT_THERE if found < 0 else 1 if found else 0)
