"""Attention without scores in memory beside PyTorch's in float64, and beside the products that else do it.

``python -m tests.gpu.checks.fused_attention [few]``. Tiles have 64 to 128 rows, so shapes are a few tiles and a part.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt.core import ops
from distrt.core.kernels.cuda import fused_attention
from distrt.core.kernels.cuda.draws import moving
from distrt.core.random.draws import Replay
from distrt.nn.attention import SDPBackend, sdpa_kernel
from tests.gpu.checking import apart, run_all
from tests.gpu.checks.attention import TOLERANCES, attended

#: By name: query's, key's and value's batch, and queries, keys and the numbers of a row.
SHAPES: dict[str, tuple[tuple[tuple[int, ...], ...], int, int, int]] = {
    "tiles and parts": (((2, 1),) * 3, 133, 70, 64),
    "more keys": (((2,),) * 3, 30, 200, 16),
    "fewer keys": (((2,),) * 3, 200, 30, 16),
    "one key": (((2,),) * 3, 5, 1, 8),
    "one matrix": (((),) * 3, 65, 65, 24),
    "keys for all": (((2, 3), (), ()), 40, 70, 16),
    "broadcast": (((2, 1), (3,), (2, 3)), 70, 40, 16),
    "grouped heads": (((2, 2, 3), (2, 2, 1), (2, 2, 1)), 40, 70, 16),
}
WIDTHS = (32, 40, 48, 80, 96, 112, 128)
MASKS = (None, "causal", "bool", "number", "rows")


def shapes_of(batches: tuple[tuple[int, ...], ...], length: int, source: int, wide: int) -> Any:
    """Of query, key and value."""
    return tuple((*batch, many, wide) for batch, many in zip(batches, (length, source, source), strict=True))


@contextmanager
def counted() -> Iterator[list[str]]:
    """Which of these kernels' directions were called."""
    calls: list[str] = []
    real = {name: getattr(fused_attention, name) for name in ("attend", "attend_back")}
    for name in real:
        setattr(
            fused_attention,
            name,
            lambda *args, name=name: (calls.append(name), real[name](*args))[1],
        )
    try:
        yield calls
    finally:
        for name, each in real.items():
            setattr(fused_attention, name, each)


def far_apart(found: Any, expected: Any) -> float:
    """The norm of what differs, in parts of the expected one's; a gradient that is 0 has only its rounding."""
    return float(np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1))


def results_are_those_of_pytorch(few: bool) -> Iterator[str]:
    """Shapes by masks, and every width: near float64's, no further from it than what products give."""
    oracle = __import__("torch") if importlib.util.find_spec("torch") else torch
    cases = [
        (name, shapes_of(*each), kind) for (name, each), kind in itertools.product(SHAPES.items(), MASKS)
    ]
    cases += [(f"rows of {wide}", ((2, 80, wide),) * 3, "causal") for wide in WIDTHS]
    cases += [(f"rows of {wide}", ((2, 70, wide),) * 3, "bool") for wide in WIDTHS[::3]]
    for number, (name, shapes, kind) in enumerate(cases[::7] if few else cases):
        for dtype in ("float16", "bfloat16")[number % 2 :: 2] if few else ("float16", "bfloat16"):
            expected = attended(oracle, shapes, kind, dtype, "cpu", "float64")
            with counted() as calls:
                found = attended(torch, shapes, kind, dtype, "cuda")
            with sdpa_kernel(SDPBackend.MATH):
                products = attended(torch, shapes, kind, dtype, "cuda")
            what = f"{name}, mask {kind}, {dtype}"
            if calls != ["attend", "attend_back"]:
                yield f"{what}: not taken, {calls}"
            if not apart(found, expected) < TOLERANCES[dtype]:
                yield f"{what}: {apart(found, expected):.2g} apart"
            for each, one, other, exact in zip("oqkv", found, products, expected, strict=True):
                far, allowed = far_apart(one, exact), 1.5 * far_apart(other, exact)
                if not far <= allowed + 1e-5:
                    yield f"{what}, {each}: {far:.2g} from float64, the products {allowed / 1.5:.2g}"


def views_of_one_product_are_not_copied(few: bool) -> Iterator[str]:
    """Queries, keys and values as layers split them; nothing is allocated beside results."""
    packed = torch.randn(2, 64, 3, 2, 16, device="cuda").to(torch.bfloat16).requires_grad_()
    query, key, value = (packed[:, :, n].transpose(1, 2) for n in range(3))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.no_grad(), counted() as calls:
        F.scaled_dot_product_attention(query, key, value, is_causal=True)
    extra = torch.cuda.max_memory_allocated() - before
    most = query.numel() * 2 + 2 * 2 * 64 * 4  # the result, and the logarithms of sums
    if calls != ["attend"] or extra > most + 1024:
        yield f"{calls}: {extra} bytes, where {most} are the result's"
    seed = torch.randn(2, 64, 32, device="cuda").to(torch.bfloat16)
    pair = []
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH):
        with sdpa_kernel(backend):
            out = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            joined = out.transpose(1, 2).reshape(2, 64, 32)
            (slope,) = torch.autograd.grad(joined, packed, seed)
        pair.append([each.detach().float().cpu().numpy() for each in (joined, slope)])
    if not apart(*pair) < TOLERANCES["bfloat16"]:
        yield f"{apart(*pair):.2g} apart"


def what_no_kernel_reads_as_it_lies_is_copied(few: bool) -> Iterator[str]:
    """Rows that are turned, or begin at odd places, and a slope that is one number."""
    rng = np.random.default_rng(0)
    turned = torch.tensor(rng.standard_normal((2, 16, 20))).to(torch.float16)
    odd = torch.tensor(rng.standard_normal((2, 20, 17))).to(torch.float16)
    pair = []
    for place in ("cpu", "cuda"):
        made = [each.clone().to(place).requires_grad_() for each in (turned, odd, odd)]
        given = (made[0].transpose(-1, -2), made[1][..., 1:], made[2][..., :16])
        out = F.scaled_dot_product_attention(*given)
        slopes = torch.autograd.grad(out.sum(), made)
        pair.append([each.detach().float().cpu().numpy() for each in (out, *slopes)])
    if not apart(pair[1], pair[0]) < TOLERANCES["float16"]:
        yield f"{apart(pair[1], pair[0]):.2g} apart"


def queries_that_see_nothing_else_see_what_the_least_number_hides(few: bool) -> Iterator[str]:
    """All alike, where the least finite number hides every key; no key at all, where -inf does."""
    rng = np.random.default_rng(0)
    given = [torch.tensor(rng.standard_normal((2, 5, 16))).to(torch.bfloat16).cuda() for _ in range(3)]
    numbers = {torch.bfloat16: (torch.finfo(torch.bfloat16).min, -1e9, -np.inf)}
    if not few:
        numbers[torch.float32] = (torch.finfo(torch.float32).min, -np.inf)
    for dtype, least in ((dtype, each) for dtype, some in numbers.items() for each in some):
        mask = torch.zeros(5, 5)
        mask[2] = mask[:, 4] = least
        pair = []
        for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH):
            made = [each.clone().requires_grad_() for each in given]
            with sdpa_kernel(backend):
                out = F.scaled_dot_product_attention(*made, mask.to(dtype).cuda())
                slopes = torch.autograd.grad(out, made, torch.ones_like(out))
            pair.append([each.detach().float().cpu().numpy() for each in (out, *slopes)])
        if not apart(*pair) < TOLERANCES["bfloat16"]:
            yield f"{least} in {dtype}: {apart(*pair):.2g} apart"


def dropout_meets_the_same_weights_in_both_directions(few: bool) -> Iterator[str]:
    """As in single operations, which draw the same numbers for a seed, and as in the products; moved ones, too."""
    many_keys = ((1, 35, 16), (1, 150, 16), (1, 150, 16))
    for shapes, is_causal, is_masked in ((((2, 2, 70, 16),) * 3, True, False), (many_keys, False, True)):
        rng = np.random.default_rng(0)
        given = [torch.tensor(rng.standard_normal(each)).to(torch.float16).cuda() for each in shapes]
        mask = torch.tensor(rng.random((35, 150)) > 0.3).cuda() if is_masked else None
        found: dict[str, Any] = {}
        draws = Replay()
        by = torch.tensor([12345], device="cuda")
        for what in ("fused", "moved", "products", "products, moved", "operations"):
            made = [each.clone().requires_grad_() for each in given]
            moving.by = by._array if "moved" in what else None
            run = ops.attention.composite if what == "operations" else ops.attention
            with sdpa_kernel(SDPBackend.MATH if "products" in what else SDPBackend.FLASH_ATTENTION):
                out = run(*made, mask, is_causal, 0.25, 0.4, draws)
                slopes = torch.autograd.grad(out, made, torch.ones_like(out))
            moving.by = None
            found[what] = [each.detach().cpu().double().numpy() for each in (out, *slopes)]
        for one, other in (("fused", "operations"), ("fused", "products"), ("moved", "products, moved")):
            far = apart(found[one], found[other])
            if not far < 4 * TOLERANCES["float16"]:
                yield f"{one} and {other}: {far:.2g} apart"
        if apart(found["moved"], found["fused"]) < 0.1:
            yield "what moves the key moves nothing"


def switches_count(few: bool) -> Iterator[str]:
    """PyTorch's, and the variable's; wider rows, odd ones and float32 go to the products."""
    x = torch.randn(1, 4, 16, device="cuda").to(torch.float16)

    def taken(*inputs: Any) -> bool:
        with counted() as calls:
            F.scaled_dot_product_attention(*inputs)
        return bool(calls)

    found = [taken(x, x, x), *(taken(each, each, each) for each in (x.float(), x[..., :15]))]
    wide = torch.randn(1, 4, 136, device="cuda").to(torch.float16)
    found += [taken(wide, wide, wide), taken(x, x, x[..., :8])]
    with sdpa_kernel([SDPBackend.MATH]):
        found.append(taken(x, x, x))
    torch.backends.cuda.enable_flash_sdp(False)
    found.append(taken(x, x, x))
    torch.backends.cuda.enable_flash_sdp(True)
    if found != [True, *[False] * 6]:
        yield f"{found}"


CHECKS: tuple[Callable[[bool], Iterator[str]], ...] = (
    results_are_those_of_pytorch,
    views_of_one_product_are_not_copied,
    what_no_kernel_reads_as_it_lies_is_copied,
    queries_that_see_nothing_else_see_what_the_least_number_hides,
    dropout_meets_the_same_weights_in_both_directions,
    switches_count,
)


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS, "few" in sys.argv[1:]) else 0)
