"""Operations at sizes for which the CPU has kernels of its own: those must let arrays on a GPU alone."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt import nn

#: Of float32, and of half precision, against the largest number.
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.04, "float16": 0.01}


def lstm(input: Any) -> Any:
    """Eight steps of 64 sequences."""
    torch.manual_seed(1)
    return nn.LSTM(64, 64).to(input.device, input.dtype)(input)[0]


CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "linear": (F.linear, ((128, 128), (128, 128), (128,))),
    "batched matmul": (torch.matmul, ((4, 64, 96), (4, 96, 64))),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1), ((2, 16, 20, 20), (32, 16, 3, 3), (32,))),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, stride=2), ((2, 16, 16, 16), (16, 16, 3, 3))),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), ((4, 64, 16, 16),)),
    "channels last": (
        lambda x, w: F.relu(F.max_pool2d(x.to(memory_format=torch.channels_last), 2)) * w,
        ((4, 64, 32, 32), (1, 64, 1, 1)),
    ),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x.to(memory_format=torch.channels_last), None, None, w, b, True),
        ((4, 64, 20, 20), (64,), (64,)),
    ),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (256,), w, b), ((300, 256), (256,), (256,))),
    "softmax": (lambda x: F.softmax(x, -1), ((300, 256),)),
    "log_softmax": (lambda x: F.log_softmax(x, -1), ((300, 256),)),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, (torch.arange(300) % 256).to(x.device)),
        ((300, 256),),
    ),
    "attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        ((2, 4, 128, 64),) * 3,
    ),
    "lstm": (lstm, ((8, 64, 64),)),
    "gelu": (F.gelu, ((300, 256),)),
    "relu": (F.relu, ((300, 256),)),
    "add": (torch.add, ((300, 256), (300, 256))),
    "embedding": (lambda w: F.embedding((torch.arange(5000) % 300).to(w.device), w), ((300, 64),)),
}


def compare(run: Callable[..., Any], shapes: tuple[tuple[int, ...], ...], dtype: Any) -> None:
    """Result and gradients on the GPU beside the CPU."""
    rng, found = np.random.default_rng(0), []
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    for place in ("cpu", "cuda:0"):
        inputs = [torch.tensor(each).to(place, dtype).requires_grad_() for each in arrays]
        out = run(*inputs)
        seed = torch.tensor(np.random.default_rng(1).standard_normal(out.shape)).to(place, out.dtype)
        slopes = torch.autograd.grad(out, inputs, seed)
        assert all(each.device == torch.device(place) for each in (out, *slopes))
        found.append([each.detach().cpu().double().numpy() for each in (out, *slopes)])
    for mine, expected in zip(found[1], found[0], strict=True):
        far = np.abs(mine - expected).max() / np.abs(expected).max()
        assert far < TOLERANCES[str(dtype).partition(".")[2]], f"{far:.2g} of the largest number apart"


def main() -> int:
    """Compares all; returns how many differ."""
    failed = 0
    for name, (run, shapes) in CASES.items():
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            try:
                compare(run, shapes, dtype)
            except Exception as fault:
                failed += 1
                cause = fault.__cause__ or fault
                where = traceback.extract_tb(cause.__traceback__)[-1]
                print(f"FAILED {name} {dtype}: {cause!r:.300} ({where.filename}:{where.lineno})")
    print(f"{failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
