"""Attention by products on a GPU beside the CPU's in float64, and beside PyTorch's where that is installed.

In half precision too, for which most shapes have kernels without scores in memory (``fused_attention``).

``python -m tests.gpu.checks.attention [few]``. Blocks are made small, so that small inputs have many.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt.core import ops
from distrt.core.kernels import on_gpu
from distrt.core.kernels.attention import plan
from distrt.core.kernels.cublas import product
from distrt.core.random.draws import Replay
from tests.gpu.checking import apart, run_all

#: Of results and gradients, in parts of the largest number: weights are rounded to these dtypes before they are used.
TOLERANCES = {"float32": 3e-6, "float64": 1e-12, "float16": 3e-3, "bfloat16": 2e-2}

#: Query, key and value; more keys than queries and fewer, rows that no four fill, dims that broadcast, one matrix.
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "heads": ((2, 3, 9, 8), (2, 3, 9, 8), (2, 3, 9, 8)),
    "many keys": ((2, 5, 6), (2, 150, 6), (2, 150, 3)),
    "few keys": ((2, 2, 21, 4), (2, 2, 3, 4), (2, 2, 3, 4)),
    "one matrix": ((7, 4), (9, 4), (9, 5)),
    "keys for all": ((2, 3, 7, 4), (7, 4), (7, 4)),
    "broadcast": ((2, 1, 5, 4), (3, 5, 4), (2, 3, 5, 4)),
}
BLOCKS = ((plan.GPU_BLOCK, plan.GPU_CAUSAL_ROWS), (40, 4))
MASKS = (None, "bool", "number", "rows", "causal")


def mask_of(kind: str | None, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """A mask as an array; its second row sees nothing where it is of bools."""
    rng = np.random.default_rng(7)
    length, source = shapes[0][-2], shapes[1][-2]
    batch = np.broadcast_shapes(*(each[:-2] for each in shapes))
    if kind == "bool":
        made = rng.random((length, source)) > 0.3
        made[1 % length] = False
        return made
    if kind == "number":
        return rng.standard_normal((*batch, length, source))
    return rng.standard_normal((*batch[:1], *[1] * len(batch[1:]), 1, source)) if kind == "rows" else None


def attended(
    library: Any,
    shapes: tuple[tuple[int, ...], ...],
    kind: str | None,
    dtype: str,
    place: str,
    compute: str | None = None,
) -> list[Any]:
    """The result and the three gradients, of numbers that are rounded to ``dtype``."""
    rng = np.random.default_rng(0)
    made = []
    for shape in shapes:
        each = library.tensor(rng.standard_normal(shape)).to(getattr(library, dtype))
        if len(shape) == 4:  # as layers make heads
            each = each.transpose(1, 2).contiguous().transpose(1, 2)
        made.append(each.to(getattr(library, compute or dtype)).to(place).requires_grad_())
    mask = mask_of(kind, shapes)
    if mask is not None:
        mask = library.tensor(mask).to(place)
        mask = mask if mask.dtype == library.bool else mask.to(made[0].dtype)
    out = library.nn.functional.scaled_dot_product_attention(*made, mask, is_causal=kind == "causal")
    seed = library.tensor(rng.standard_normal(tuple(out.shape))).to(getattr(library, dtype))
    slopes = library.autograd.grad(out, made, seed.to(out.dtype).to(place))
    return [each.detach().cpu().to(library.float64).numpy() for each in (out, *slopes)]


def results_are_those_of_the_cpu(few: bool) -> Iterator[str]:
    """Every shape, mask and dtype, in one block and in many; without cuBLAS, too."""
    oracle = __import__("torch") if importlib.util.find_spec("torch") else torch
    dtypes = list(TOLERANCES)[::3] if few else list(TOLERANCES)
    for (name, shapes), kind in itertools.product(SHAPES.items(), MASKS):
        for dtype, (scores, rows) in itertools.product(dtypes, BLOCKS[1:] if few else BLOCKS):
            expected = attended(oracle, shapes, kind, dtype, "cpu", "float64")
            plan.GPU_BLOCK, plan.GPU_CAUSAL_ROWS = scores, rows
            far = apart(attended(torch, shapes, kind, dtype, "cuda"), expected)
            plan.GPU_BLOCK, plan.GPU_CAUSAL_ROWS = BLOCKS[0]
            if not far < TOLERANCES[dtype]:
                yield f"{name}, mask {kind}, {dtype}, blocks of {scores}: {far:.2g} apart"
    found, product.library = product.library, lambda: None
    try:
        far = apart(
            attended(torch, SHAPES["heads"], "causal", "bfloat16", "cuda"),
            attended(oracle, SHAPES["heads"], "causal", "bfloat16", "cpu", "float64"),
        )
    finally:
        product.library = found
    if not far < TOLERANCES["bfloat16"]:
        yield f"without cuBLAS: {far:.2g} apart"


def rows_of_every_width_are_right(few: bool) -> Iterator[str]:
    """Rows for a warp, for a block, for one as large as there are, and such as are read twice."""
    for source in (300, 700, 5000) if few else (300, 700, 5000, 17000):
        shapes = ((1, 1, 3, 2), (1, 1, source, 2), (1, 1, source, 2))
        for dtype in ("float32", "float16"):
            for kind in (None, "bool"):
                expected = attended(torch, shapes, kind, dtype, "cpu", "float64")
                far = apart(attended(torch, shapes, kind, dtype, "cuda"), expected)
                if not far < TOLERANCES[dtype]:
                    yield f"{source} keys, {dtype}, mask {kind}: {far:.2g} apart"


def grouped_heads_are_right(few: bool) -> Iterator[str]:
    """Six heads of queries, two of keys and values."""
    rng = np.random.default_rng(0)
    shapes = ((2, 6, 7, 4), (2, 2, 7, 4), (2, 2, 7, 4))
    given = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    pair = []
    for place in ("cpu", "cuda"):
        made = [torch.tensor(each).to(place).requires_grad_() for each in given]
        out = F.scaled_dot_product_attention(*made, is_causal=True, enable_gqa=True)
        slopes = torch.autograd.grad(out.square().sum(), made)
        pair.append([each.detach().cpu().numpy() for each in (out, *slopes)])
    if not apart(pair[1], pair[0]) < 1e-5:
        yield f"{apart(pair[1], pair[0]):.2g} apart"


def dropout_meets_the_same_weights_in_both_directions(few: bool) -> Iterator[str]:
    """As in single operations, which draw the same numbers for a seed, and are differentiated by themselves."""
    for dtype, (scores, rows) in itertools.product(list(TOLERANCES)[:: 3 if few else 1], BLOCKS):
        plan.GPU_BLOCK, plan.GPU_CAUSAL_ROWS = scores, rows
        for shapes, is_causal in ((SHAPES["heads"], True), (SHAPES["many keys"], False)):
            rng = np.random.default_rng(0)
            given = [
                torch.tensor(rng.standard_normal(each)).to(getattr(torch, dtype)).cuda() for each in shapes
            ]
            found, draws = [], Replay()
            for run in (ops.attention, ops.attention.composite):
                made = [each.clone().requires_grad_() for each in given]
                out = run(*made, None, is_causal, 0.5, 0.4, draws)
                slopes = torch.autograd.grad(out, made, torch.ones_like(out))
                found.append([each.detach().cpu().double().numpy() for each in (out, *slopes)])
            if not apart(*found) < 4 * TOLERANCES[dtype]:
                yield f"{dtype}, blocks of {scores}: {apart(*found):.2g} apart"
    plan.GPU_BLOCK, plan.GPU_CAUSAL_ROWS = BLOCKS[0]


def memory_does_not_grow_with_the_scores(few: bool) -> Iterator[str]:
    """At most what the inputs, results and gradients hold, and one block, whatever the length."""
    plan.GPU_BLOCK, plan.GPU_CAUSAL_ROWS = 1 << 14, 64
    for length in (512, 1024):
        given = [torch.randn(1, 2, length, 8, device="cuda", requires_grad=True) for _ in range(3)]
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        F.scaled_dot_product_attention(*given, is_causal=True).sum().backward()
        peak = torch.cuda.max_memory_allocated() - before
        print(
            f"{length} queries: {peak} bytes at most beside the inputs, all scores would take {8 * length**2}"
        )
        if not peak < 12 * given[0].numel() * 4 + 4 * plan.GPU_BLOCK * 4:
            yield f"{length} queries: {peak} bytes"
    plan.GPU_BLOCK, plan.GPU_CAUSAL_ROWS = BLOCKS[0]


def it_is_taken(few: bool) -> Iterator[str]:
    """The layer comes here, in mixed precision too."""
    calls, real = [], on_gpu.attention.attend
    on_gpu.attention.attend = lambda *args: (calls.append(args[0].dtype), real(*args))[1]
    layer = torch.nn.MultiheadAttention(8, 2, batch_first=True).cuda()
    x = torch.randn(2, 5, 8, device="cuda")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        layer(x, x, x, need_weights=False)[0].float().sum().backward()
    on_gpu.attention.attend = real
    if [str(each) for each in calls] != ["bfloat16"]:
        yield f"{calls}"


CHECKS: tuple[Callable[[bool], Iterator[str]], ...] = (
    results_are_those_of_the_cpu,
    rows_of_every_width_are_right,
    grouped_heads_are_right,
    dropout_meets_the_same_weights_in_both_directions,
    memory_does_not_grow_with_the_scores,
    it_is_taken,
)


if __name__ == "__main__":
    torch.backends.cuda.enable_flash_sdp(False)
    sys.exit(1 if run_all(CHECKS, "few" in sys.argv[1:]) else 0)
