"""Our own kernels in CUDA, beside the same on the CPU.

``python -m tests.gpu.checks.kernels [few]``: with "few" those whose compiling on the fake takes no long time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt.core.kernels.cuda import draws
from tests.gpu.checking import run_all

TOLERANCES = {torch.float32: 3e-6, torch.float64: 1e-12, torch.float16: 3e-3, torch.bfloat16: 2e-2}
#: For a warp of threads to each row, for a block, for one as large as there are, and for rows that are read twice.
WIDTHS = (1, 7, 33, 600, 5000, 17000)
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "RMSprop": {},
    "Adagrad": {},
    "NAdam": {},
    "RAdam": {},
    "Adadelta": {},
    "Adamax": {},
    "ASGD": {},
    "Rprop": {},
}


def stepped(name: str, dtype: Any, place: str) -> list[Any]:
    """Parameters after three steps; more of them than one launch takes."""
    rng = np.random.default_rng(0)
    shapes = [(3, 5), (1030,), (), (70, 70), (0,), (5000,), *[(7,)] * 120]
    parameters = [
        torch.tensor(rng.standard_normal(shape)).to(dtype).to(place).requires_grad_() for shape in shapes
    ]
    parameters.append(torch.ones(6, 5, dtype=dtype, device=place).t().detach().requires_grad_())
    optimizer = getattr(torch.optim, name)(parameters, lr=0.1, **OPTIMIZERS[name])
    for step in range(3):
        for each in parameters:
            each.grad = each.detach() * 0.3 + step
        optimizer.step()
    wide = torch.complex128 if dtype.is_complex else torch.float64
    return [each.detach().cpu().to(wide).numpy() for each in parameters]


def optimizers_have_the_bits_of_the_cpu(few: bool) -> Iterator[str]:
    """Each optimizer, in all dtypes that parameters have, on the GPU that is not the current one if there are two."""
    place = f"cuda:{torch.cuda.device_count() - 1}"
    for name in list(OPTIMIZERS)[: 3 if few else None]:
        for dtype in (torch.float32, torch.bfloat16, torch.float64, torch.float16, torch.complex64)[
            : 2 if few else 5
        ]:
            pairs = zip(stepped(name, dtype, "cpu"), stepped(name, dtype, place), strict=True)
            if not all(np.array_equal(here, there, equal_nan=True) for here, there in pairs):
                yield f"{name} {dtype}"


ROWS: dict[str, tuple[Callable[..., Any], int]] = {
    "softmax": (lambda x: F.softmax(x, -1), 0),
    "log_softmax": (lambda x: F.log_softmax(x, -1), 0),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, w.shape, w, b), 2),
    "layer_norm without parameters": (lambda x: F.layer_norm(x, x.shape[1:]), 0),
    "rms_norm": (lambda x, w: F.rms_norm(x, w.shape, w), 1),
    "cross_entropy": (lambda x: F.cross_entropy(x, targets(x)), 0),
    "cross_entropy, summed": (lambda x: F.cross_entropy(x, targets(x), reduction="sum"), 0),
    "cross_entropy of each": (lambda x: F.cross_entropy(x, targets(x), reduction="none"), 0),
    "cross_entropy, weighted": (
        lambda x: F.cross_entropy(x, targets(x), weight=(torch.arange(x.shape[1]) % 5 + 1).to(x)),
        0,
    ),
}


def targets(input: Any) -> Any:
    """A class for each row, but for the second, which is ignored."""
    numbers = [(7 * row) % input.shape[1] for row in range(len(input))]
    numbers[1] = -100
    return torch.tensor(numbers).to(input.device)


def results(run: Callable[..., Any], shapes: list[tuple[int, ...]], dtype: Any, place: str) -> list[Any]:
    """The result and the gradients."""
    rng = np.random.default_rng(0)
    inputs = [
        torch.tensor(rng.standard_normal(shape)).to(dtype).to(place).requires_grad_() for shape in shapes
    ]
    out = run(*inputs)
    slopes = torch.autograd.grad(
        out, inputs, torch.tensor(rng.standard_normal(out.shape)).to(dtype).to(place)
    )
    assert all(each.dtype == dtype and each.device == torch.device(place) for each in (out, *slopes))
    return [each.detach().cpu().double().numpy() for each in (out, *slopes)]


def rows_agree_with_the_cpu(few: bool) -> Iterator[str]:
    """Softmax, cross entropy and normalisation of rows of many widths, with their gradients."""
    for dtype in list(TOLERANCES)[: 1 if few else None]:
        for width in WIDTHS[1:4] if few else WIDTHS:
            for name, (run, parameters) in ROWS.items():
                if width == 1 and "norm" in name:
                    continue
                shapes = [(19 if width < 600 else 3, width), *[(width,)] * parameters]
                pairs = zip(*(results(run, shapes, dtype, place) for place in ("cpu", "cuda:0")), strict=True)
                far = max(np.abs(there - here).max() / (1 + np.abs(here).max()) for here, there in pairs)
                if not far < TOLERANCES[dtype]:
                    yield f"{name} {dtype}, {width} wide: {far:.2g} apart"


def dropout_keeps_its_share(few: bool) -> Iterator[str]:
    """The mean and the share of zeros; the same seed gives the same numbers; the gradient meets the same elements."""
    for dtype in TOLERANCES:
        torch.manual_seed(3)
        input = torch.ones(100_003, device="cuda:0", dtype=dtype, requires_grad=True)
        out = F.dropout(input, 0.3)
        (slope,) = torch.autograd.grad(out.sum(), input)
        share = (out == 0).float().mean().item()
        if not abs(share - 0.3) < 0.01:
            yield f"{dtype}: {share} are zero"
        if not torch.equal(slope, out.detach()):
            yield f"{dtype}: the gradient meets others"
        torch.manual_seed(3)
        if not torch.equal(F.dropout(input, 0.3), out) or torch.equal(F.dropout(input, 0.3), out):
            yield f"{dtype}: numbers do not follow from the seed"


def philox_has_its_published_words(few: bool) -> Iterator[str]:
    """Known answers: NumPy has no Philox of 32 bits, so the rounds are written out."""
    like = torch.empty(0, device="cuda:0")._array
    for key in (0, 2**63 - 12345):
        drawn = draws.kept((64,), 0.5, 1, key, np.float32, like).get()
        expected = [word >> 8 >= 1 << 23 for four in range(16) for word in philox(four, key)]
        if drawn.tolist() != [float(each) for each in expected]:
            yield f"key {key}"


def philox(counter: int, key: int) -> list[int]:
    """Philox 4x32-10. Source: Salmon et al. 2011."""
    low, words = 0xFFFFFFFF, [counter & 0xFFFFFFFF, counter >> 32, 0, 0]
    keys = [key & low, key >> 32]
    for _ in range(10):
        one, two = 0xD2511F53 * words[0], 0xCD9E8D57 * words[2]
        words = [two >> 32 ^ words[1] ^ keys[0], two & low, one >> 32 ^ words[3] ^ keys[1], one & low]
        keys = [keys[0] + 0x9E3779B9 & low, keys[1] + 0xBB67AE85 & low]
    return words


def wrong_indices_are_told_later(few: bool) -> Iterator[str]:
    """An index out of range raises where the host waits next, and once."""
    weight, rows = torch.ones(5, 3, device="cuda:0"), torch.tensor([1, 7], device="cuda:0")
    for name, run in {
        "embedding": lambda: F.embedding(rows, weight),
        "cross_entropy": lambda: F.cross_entropy(torch.ones(2, 5, device="cuda:0"), rows),
        "nll_loss": lambda: F.nll_loss(torch.ones(2, 5, device="cuda:0"), rows),
        "index_select": lambda: weight.index_select(0, rows),
        "index_add": lambda: weight.index_add(0, rows, torch.ones(2, 3, device="cuda:0")),
        "index_copy": lambda: weight.index_copy(0, rows, torch.ones(2, 3, device="cuda:0")),
        "index_fill": lambda: weight.index_fill(0, rows, 1.0),
        "x[i]": lambda: weight[rows],
        "x[:, i] = 1": lambda: weight.T.clone().index_put((None, rows), weight[0, 0]),
        "index_put": lambda: weight.index_put((rows,), torch.ones(2, 3, device="cuda:0"), accumulate=True),
        "gather": lambda: weight.gather(0, rows[:, None]),
        "scatter": lambda: weight.scatter(0, rows[:, None], 1.0),
        "take": lambda: weight.take(rows * 7),
        "one_hot": lambda: F.one_hot(rows, 5),
    }.items():
        out = run()
        try:
            out.cpu()
            yield f"{name} says nothing"
        except (IndexError, RuntimeError) as fault:
            if "7" not in str(fault) and "49" not in str(fault):
                yield f"{name}: {fault}"
        out.cpu()
    F.cross_entropy(torch.ones(2, 5, device="cuda:0"), rows, ignore_index=7).item()


def scaler_finds_what_overflows(few: bool) -> Iterator[str]:
    """Gradients are divided as on the CPU, steps are skipped, and the first overflow is named."""
    seen = []
    for place in ("cpu", "cuda:0"):
        parameters = [torch.ones(size, device=place, requires_grad=True) for size in (3, 5000, 0, 7)]
        optimizer = torch.optim.SGD([{"params": parameters[:1]}, {"params": parameters[1:]}], lr=0.1)
        scaler = torch.amp.GradScaler("cuda", init_scale=8.0)
        for worst in (1.0, float("inf"), float("nan")):
            scaler.scale(torch.ones((), device=place))
            for each in parameters:
                each.grad = torch.full_like(each, 3.0)
            parameters[1].grad[4999] = worst
            parameters[3].grad[0] = worst
            scaler.step(optimizer)
            scaler.update()
        found = scaler.overflow
        gradient = parameters[0].grad.tolist()
        seen.append((scaler.get_scale(), found, gradient, [each.tolist() for each in parameters]))
    if seen[0] != seen[1] or (seen[1][1].group, seen[1][1].number) != (1, 0):
        yield f"{[each[:3] for each in seen]}"


def orders_are_the_cpus(few: bool) -> Iterator[str]:
    """Sorting in either direction: every dtype, ties, both zeros, nan and infinities, in few rows or many."""
    rng = np.random.default_rng(0)
    kinds = ("float32", "bfloat16") if few else (
        "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"
    )  # fmt: skip
    for kind in kinds:
        dtype = getattr(torch, kind)
        for shape, dim in (((5000,), 0), ((3, 700), 1), ((300, 5, 2), 0), ((1,), 0), ((70, 4), -1)):
            numbers = torch.tensor(rng.integers(-40, 40, shape).astype(np.float64))
            x = (numbers.abs() > 20 if kind == "bool" else numbers.abs() if kind == "uint8" else numbers).to(
                dtype
            )
            if x.is_floating_point() and x.numel() > 40:
                flat = x.reshape(-1)
                for value in (float("nan"), float("inf"), -float("inf"), -0.0, 0.0):
                    flat[torch.tensor(rng.integers(0, x.numel(), 9))] = value
            for descends in (False, True):
                expected = x.argsort(dim, descends, stable=True)
                if not torch.equal(x.cuda().argsort(dim, descends, stable=True).cpu(), expected):
                    yield f"{kind} {shape} along {dim}, {'descending' if descends else 'ascending'}"


def rows_of_every_kind_are_added_up(few: bool) -> Iterator[str]:
    """Whatever adds up by number, with its gradients: named often or never, from the back, along any dim."""
    rng = np.random.default_rng(0)
    often = rng.integers(0, 40, 3000) ** 2 % 37  # some many times, others never
    index = torch.tensor(often)

    def at(x: Any) -> Any:
        return index.to(x.device)

    cases: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
        "embedding": (lambda w: F.embedding(at(w).view(60, 50), w), [(37, 12)]),
        "embedding, padded": (lambda w: F.embedding(at(w).int(), w, padding_idx=4), [(300, 5)]),
        "embedding, by frequency": (lambda w: F.embedding(at(w), w, scale_grad_by_freq=True), [(37, 8)]),
        "embedding_bag": (lambda w: F.embedding_bag(at(w).view(60, 50), w), [(37, 3)]),
        "index_select": (lambda x: x.index_select(1, at(x)[:70]), [(3, 37, 4)]),
        "index_add": (lambda x, y: x.index_add(0, at(x), y), [(37, 6), (3000, 6)]),
        "index_add, last": (lambda x, y: x.index_add(-1, at(x)[:90], y, alpha=2), [(5, 37), (5, 90)]),
        "x[i]": (lambda x: x[at(x) - 37], [(37, 2)]),
        "x[:, i, j]": (lambda x: x[:, at(x)[:99], at(x)[-99:] - 37], [(2, 37, 37, 3)]),
        "index_put": (lambda x, y: x.index_put((at(x),), y, accumulate=True), [(37,), (3000,)]),
        "index_put, turned": (
            lambda x, y: x.t().index_put((at(x),), y, accumulate=True),
            [(2, 37), (3000, 2)],
        ),
        "gather": (lambda x: x.gather(0, at(x).view(500, 6)), [(37, 6)]),
        "scatter_add": (lambda x, y: x.scatter_add(0, at(x).view(500, 6), y), [(37, 6), (500, 6)]),
        "take": (lambda x: x.take(at(x)), [(6, 7)]),
    }
    for dtype in list(TOLERANCES)[: 1 if few else None]:
        for name, (run, shapes) in cases.items():
            pairs = zip(*(results(run, shapes, dtype, place) for place in ("cpu", "cuda:0")), strict=True)
            far = max(np.abs(there - here).max() / (1 + np.abs(here).max()) for here, there in pairs)
            # In half precision the CPU rounds some sums at each step, and the GPU once.
            if not far < TOLERANCES[dtype] * (4 if dtype.itemsize == 2 else 1):
                yield f"{name} {dtype}: {far:.2g} apart"
    wide = torch.zeros(200_000, 2, device="cuda:0")  # numbers of three digits, one for most rows
    places = np.where(rng.random(140_000) < 0.7, 199_999, rng.integers(0, 200_000, 140_000))
    wide.index_add_(0, torch.tensor(places).cuda(), torch.ones(140_000, 2, device="cuda:0"))
    if not np.array_equal(wide[:, 1].cpu().numpy(), np.bincount(places, minlength=200_000)):
        yield "many rows of one number"


def values_are_added_in_order(few: bool) -> Iterator[str]:
    """At places named many times: the sums of one order, time after time."""
    rng = np.random.default_rng(0)
    for dtype in (torch.float32, torch.bfloat16) if few else TOLERANCES:
        target = torch.tensor(rng.standard_normal((7, 5))).to(dtype)
        values = torch.tensor(rng.standard_normal((300, 5))).to(dtype)
        rows = torch.tensor(rng.integers(-7, 7, 300))
        found = target.cuda().index_put((rows.cuda(),), values.cuda(), accumulate=True).cpu()
        wide = target.double().numpy().copy()
        for row, value in zip(rows.tolist(), values.double().numpy(), strict=True):
            wide[row] += value
        limit = TOLERANCES[dtype] * 40
        if not np.allclose(found.double().numpy(), wide, rtol=limit, atol=limit):
            yield f"{dtype}: {found[0].tolist()}, expected {wide[0]}"
        again = target.cuda().index_put((rows.cuda(),), values.cuda(), accumulate=True).cpu()
        if not torch.equal(found, again):
            yield f"{dtype}: other bits the second time"


CHECKS = (
    values_are_added_in_order,
    rows_of_every_kind_are_added_up,
    optimizers_have_the_bits_of_the_cpu,
    rows_agree_with_the_cpu,
    dropout_keeps_its_share,
    philox_has_its_published_words,
    wrong_indices_are_told_later,
    scaler_finds_what_overflows,
    orders_are_the_cpus,
)


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS, "few" in sys.argv[1:]) else 0)
