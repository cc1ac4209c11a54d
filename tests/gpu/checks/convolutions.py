"""Convolutions by cuDNN beside the CPU: all dims, groups, dtypes and orders, and what its switches choose.

Ends with 3 where cuDNN is not there.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt.core.kernels.cudnn.library import library
from tests.gpu.fixtures import NOT_THERE

TOLERANCES = {torch.float32: 2e-5, torch.float64: 1e-12, torch.float16: 4e-3, torch.bfloat16: 3e-2}
Case = tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...], dict[str, Any]]
CASES: dict[str, Case] = {
    "lines": (F.conv1d, (2, 4, 11), (6, 4, 3), {"stride": 2, "padding": 1}),
    "images": (
        F.conv2d,
        (2, 4, 9, 8),
        (6, 4, 3, 2),
        {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)},
    ),
    "groups": (F.conv2d, (2, 4, 9, 8), (6, 2, 3, 2), {"groups": 2}),
    "each channel": (F.conv2d, (2, 4, 9, 8), (8, 1, 3, 3), {"groups": 4}),
    "points": (F.conv2d, (2, 8, 9, 8), (16, 8, 1, 1), {}),
    "volumes": (F.conv3d, (2, 2, 5, 6, 4), (4, 2, 3, 2, 2), {"padding": 1}),
    "transposed lines": (F.conv_transpose1d, (2, 4, 7), (4, 3, 3), {"stride": 2, "output_padding": 1}),
    "transposed images": (
        F.conv_transpose2d,
        (2, 4, 7, 6),
        (4, 3, 3, 2),
        {"stride": 2, "padding": 1, "groups": 2},
    ),
    "transposed volumes": (F.conv_transpose3d, (2, 4, 3, 4, 3), (4, 3, 3, 2, 2), {"stride": 2}),
}


def results(case: Case, dtype: Any, place: str, last: bool = False) -> list[Any]:
    """Output and gradients of input, weight and bias."""
    run, image, weight, options = case
    rng = np.random.default_rng(0)
    outs = weight[1] * options.get("groups", 1) if "transpose" in run.__name__ else weight[0]
    inputs = [torch.tensor(rng.standard_normal(shape)).to(dtype) for shape in (image, weight, (outs,))]
    inputs = [each.to(place) for each in inputs]
    if last:
        inputs[0] = inputs[0].to(memory_format=torch.channels_last)
    inputs = [each.requires_grad_() for each in inputs]
    out = run(*inputs, **options)
    slopes = torch.autograd.grad(
        out, inputs, torch.tensor(rng.standard_normal(out.shape)).to(dtype).to(place)
    )
    return [each.detach().cpu().double().numpy() for each in (out, *slopes)]


def far(case: Case, dtype: Any, place: str, last: bool = False) -> float:
    """The largest difference from the CPU, of the largest number."""
    pairs = zip(results(case, dtype, "cpu", last), results(case, dtype, place, last), strict=True)
    return float(max(np.abs(here - there).max() / np.abs(here).max() for here, there in pairs))


def main() -> int:
    """Compares all; returns how many differ."""
    if library() is None:
        print("cuDNN is not here (extra cudnn13)")
        return -1
    print(f"cuDNN {torch.backends.cudnn.version()}")
    place, failed = f"cuda:{torch.cuda.device_count() - 1}", 0
    torch.backends.cudnn.allow_tf32 = False
    for benchmark, deterministic in ((False, False), (True, False), (False, True)):
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic
        for name, case in CASES.items():
            for dtype, tolerance in TOLERANCES.items():
                for last in (False, True) if len(case[1]) == 4 and dtype != torch.float64 else (False,):
                    said = f"{name} {dtype}{' channels last' * last}{' benchmark' * benchmark}"
                    try:
                        apart = far(case, dtype, place, last)
                        if not apart < tolerance:
                            failed += 1
                            print(f"FAILED {said}: {apart:.2g} apart")
                    except Exception:
                        failed += 1
                        print(f"FAILED {said}: {traceback.format_exc(limit=-3)}")
    print(f"{failed} failed")
    return failed


if __name__ == "__main__":
    found = main()
    sys.exit(NOT_THERE if found < 0 else 1 if found else 0)
