"""Our own kernels for images in CUDA, norms by channel and pooling, beside the same on the CPU.

``python -m tests.gpu.checks.images [few]``: with "few" those whose compiling on the fake takes no long time.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt.core.kernels.cuda import images, pooling
from tests.gpu.checking import apart, run_all
from tests.gpu.checks.kernels import TOLERANCES, results


def _like(x: Any) -> Any:
    """Running statistics for an input."""
    return tuple(torch.linspace(low, 3, x.shape[1]).to(x) for low in (-1, 0.5))


def _float(value: Any) -> Any:
    return value.float() if value.itemsize == 2 else value


NORMS: dict[str, Callable[..., Any]] = {
    "batch_norm": lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    "batch_norm without parameters": lambda x: F.batch_norm(x, None, None, training=True),
    "batch_norm, parameters not in half": lambda x, w, b: F.batch_norm(
        x, None, None, _float(w), _float(b), training=True
    ),
    "batch_norm by running statistics": lambda x, w, b: F.batch_norm(x, *_like(x), w, b),
    "batch_norm by running statistics without parameters": lambda x: F.batch_norm(x, *_like(x)),
    "instance_norm": lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
    "group_norm": lambda x, w, b: F.group_norm(x, _groups(x), w, b),
    "group_norm without parameters": lambda x: F.group_norm(x, _groups(x)),
    "group_norm of all": lambda x, w, b: F.group_norm(x, 1, w, b),
}

#: Images that are wide, narrow or have no width; many lines, one line, one channel; whole vectors and odd ones.
IMAGES: dict[tuple[int, ...], str] = {
    (3, 4, 9, 8): "both",
    (70, 3, 5, 9): "plain",
    (2, 6, 40, 32): "both",
    (2, 3, 2, 3, 5): "plain",
    (300, 40): "plain",
    (2, 8, 3, 3): "last",
    (4, 1, 7): "plain",
    (1, 2, 20011): "plain",
    (5, 64, 1, 1): "plain",
    (600, 8, 4, 4): "last",
    (2, 96, 6): "plain",
}


def _groups(x: Any) -> int:
    return 2 if x.shape[1] % 2 == 0 else x.shape[1]


def channels_agree_with_the_cpu(few: bool) -> Iterator[str]:
    """Norms over batches, samples and groups, of images in both orders, with their gradients."""
    for dtype in list(TOLERANCES)[: 1 if few else None]:
        chosen = slice(0, 4) if few else slice(None, None, 1 if dtype == torch.float32 else 5)
        for shape, orders in list(IMAGES.items())[chosen]:
            for name, run in NORMS.items():
                if len(shape) < 3 and name == "instance_norm":
                    continue
                if shape[2:] == (1, 1) and "batch" not in name:
                    continue
                parameters = 0 if "without" in name else 2
                for is_last in {"plain": (False,), "last": (True,), "both": (False, True)}[orders]:
                    ordered = _in_order(run, is_last)
                    shapes = [shape, *[(shape[1],)] * parameters]
                    pairs = zip(
                        *(results(ordered, shapes, dtype, place) for place in ("cpu", "cuda:0")), strict=True
                    )
                    far = max(np.abs(there - here).max() / (1 + np.abs(here).max()) for here, there in pairs)
                    if not far < 2 * TOLERANCES[dtype]:
                        yield f"{name} {dtype} {shape}{' channels last' * is_last}: {far:.2g} apart"


def _in_order(run: Callable[..., Any], is_last: bool) -> Callable[..., Any]:
    def ordered(x: Any, *parameters: Any) -> Any:
        return run(x.to(memory_format=torch.channels_last) if is_last else x, *parameters)

    return ordered


def statistics_lose_nothing(few: bool) -> Iterator[str]:
    """Of channels whose mean is a thousand times their deviation, or whose first element is far off; odd addresses."""
    rng = np.random.default_rng(1)
    for shape in ((16, 3, 20, 11), (900, 5), (3, 2, 5000)):
        values = (1000 + rng.standard_normal(shape)).astype(np.float32)
        values[0, 0] = -3e5
        axes = (0, *range(2, len(shape)))
        expected = values.astype(np.float64).mean(axes), values.astype(np.float64).var(axes)
        row = torch.tensor(np.concatenate([[0], values.reshape(-1)]).astype(np.float32)).to("cuda:0")
        x = row[1:].view(shape)  # no vector can be read from here
        mean, variance = torch.zeros(shape[1], device="cuda:0"), torch.zeros(shape[1], device="cuda:0")
        F.batch_norm(x, mean, variance, training=True, momentum=1.0)
        count = values.size // shape[1]
        for name, found, right in (
            ("mean", mean, expected[0]),
            ("variance", variance, expected[1] * count / (count - 1)),
        ):
            far = (np.abs(found.cpu().numpy() - right) / np.abs(right)).max()
            if not far < 2e-5:
                yield f"{name} of {shape}: {far:.2g} off"


def launched(rooms: Sequence[Any], run: Callable[[], object]) -> list[str]:
    """The kernels of our own that ``run`` launches, of modules that get theirs by ``kernel``."""
    names: list[str] = []
    real = [room.kernel for room in rooms]

    def noting(find: Callable[..., Any]) -> Callable[..., Any]:
        def found(file: str, name: str, **defined: Any) -> Any:
            code = find(file, name, **defined)
            return lambda *given: (names.append(name), code(*given))[1]

        return found

    for room, find in zip(rooms, real, strict=True):
        room.kernel = noting(find)
    try:
        run()
    finally:
        for room, find in zip(rooms, real, strict=True):
            room.kernel = find
    return names


def frozen_norms_take_few_launches(few: bool) -> Iterator[str]:
    """Two for the gradient of the input, or of weight and bias, and three for all, which agree with the CPU's."""
    for wanted in ((1, 0, 0), (0, 1, 1), (0, 0, 1), (1, 1, 1)):
        pair = []
        for place in ("cpu", "cuda:0"):
            rng = np.random.default_rng(0)
            given = [torch.tensor(rng.standard_normal(shape)).float() for shape in ((3, 8, 5, 6), (8,), (8,))]
            given = [
                each.to(place).requires_grad_(bool(wish)) for each, wish in zip(given, wanted, strict=True)
            ]
            x, w, b = given
            out = F.batch_norm(x, *_like(x), w, b)
            slope = torch.tensor(rng.standard_normal(out.shape)).float().to(place)
            names = launched([images], functools.partial(out.backward, slope))
            if place != "cpu" and len(names) != 1 + wanted[0] + (wanted[2] or wanted[1]):
                yield f"{wanted}: {names}"
            pair.append([each.grad.cpu().numpy() for each in given if each.grad is not None])
        if not apart(*pair) < TOLERANCES[torch.float32]:
            yield f"{wanted}: {apart(*pair):.2g} apart"


class Alone:
    """A group of one rank, whose arrays may be on a GPU."""

    def size(self) -> int:
        return 1

    def rank(self) -> int:
        return 0

    def all_gather(self, output: Any, array: Any) -> None:
        output[0][...] = array

    def all_reduce(self, array: Any) -> None:
        """It is the sum."""


#: A rank's images, or several ranks' (as virtual shards have them), of which one is empty.
TOGETHER = [((3, 8, 5, 6), (2, 8, 5, 6)), ((4, 8),), ((2, 8, 33, 40),), ((3, 8, 5, 6), (0, 8, 5, 6))]


def statistics_of_several_ranks_agree_with_the_cpu(few: bool) -> Iterator[str]:
    """SyncBatchNorm: outputs, gradients and running statistics; six launches forward for each image, and four back."""
    for dtype in list(TOLERANCES)[: 1 if few else None]:
        for shapes in TOGETHER[: 2 if few else None]:
            for affine in (True, False):
                pair = []
                for place in ("cpu", "cuda:0"):
                    rng = np.random.default_rng(0)
                    layer = torch.nn.SyncBatchNorm(8, affine=affine).to(place)
                    layer = layer.double() if dtype == torch.float64 else layer
                    for parameter in layer.parameters():
                        parameter.data.copy_(torch.tensor(rng.standard_normal(8)))
                    given = [torch.tensor(rng.standard_normal(shape) * 2 + 1) for shape in shapes]
                    given = [each.to(dtype).to(place).requires_grad_() for each in given]
                    slopes = [
                        torch.tensor(rng.standard_normal(shape)).to(dtype).to(place) for shape in shapes
                    ]
                    found: list[Any] = []
                    names = launched(
                        [images], functools.partial(_differentiated, layer, given, slopes, found)
                    )
                    if place != "cpu" and len(shapes) == 1 and len(names) != 10:
                        yield f"{shapes}: {names}"
                    found += [each.grad for each in (*given, *layer.parameters())]
                    found += [layer.running_mean, layer.running_var]
                    pair.append([each.detach().cpu().double().numpy() for each in found])
                if not apart(*pair) < TOLERANCES[dtype]:
                    yield f"{dtype} {shapes}{' affine' * affine}: {apart(*pair):.2g} apart"


def _differentiated(layer: Any, given: list[Any], slopes: list[Any], found: list[Any]) -> None:
    """What a layer gives for a rank's images."""
    found.extend(layer.normalise_together([(x, layer.weight, layer.bias) for x in given], Alone()))
    torch.autograd.backward(found, slopes)


def running_statistics_move_as_on_the_cpu(few: bool) -> Iterator[str]:
    """Of batches and of samples, in several dtypes, and once for each call."""
    for dtype in (torch.float32, torch.bfloat16):
        for kind in (torch.nn.BatchNorm2d, torch.nn.InstanceNorm2d):
            pair = []
            for place in ("cpu", "cuda:0"):
                torch.manual_seed(0)
                layer = kind(6, affine=True, track_running_stats=True).to(place)
                before = layer.running_mean._version
                for _ in range(2):
                    layer((torch.randn(4, 6, 5, 5) * 3 + 1).to(place, dtype))
                if layer.running_mean._version == before:
                    yield f"{kind.__name__}: a change is not counted"
                layer.eval()
                out = layer(torch.ones(2, 6, 3, 3).to(place, dtype))
                pair.append([layer.running_mean, layer.running_var, out])
            for here, there in zip(*pair, strict=True):
                if not np.allclose(here.detach().float(), there.detach().float().cpu(), 1e-5, 1e-5):
                    yield f"{kind.__name__} {dtype}"


def pooling_agrees_with_the_cpu(few: bool) -> Iterator[str]:
    """Images in both orders, lines and volumes, with padding, dilation and NaN: values, places and gradients."""
    rng = np.random.default_rng(0)
    for pool, shape, options in (
        (F.max_pool2d, (2, 3, 9, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
        (F.max_pool2d, (2, 3, 9, 8), {"kernel_size": (2, 3), "dilation": (2, 1)}),
        (F.max_pool1d, (2, 3, 9), {"kernel_size": 2}),
        (F.max_pool3d, (2, 3, 5, 4, 6), {"kernel_size": 2, "padding": 1}),
    ):
        values = rng.standard_normal(shape).astype(np.float32).round(1)
        values.reshape(-1)[::17] = np.nan
        for is_last in (False, True) if len(shape) == 4 else (False,):
            pair = []
            for place in ("cpu", "cuda:0"):
                x = torch.tensor(values).to(place)
                x = (x.to(memory_format=torch.channels_last) if is_last else x).requires_grad_()
                out, where = pool(x, **options, return_indices=True)
                out.nansum().backward()
                pair.append([each.detach().cpu().numpy() for each in (out, where, x.grad)])
            if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*pair, strict=True)):
                yield f"{pool.__name__} {shape}{' channels last' * is_last}"


AVERAGES: list[tuple[Callable[..., Any], tuple[int, ...], dict[str, Any]]] = [
    (F.avg_pool1d, (2, 3, 11), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    (F.avg_pool2d, (2, 3, 9, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    (F.avg_pool2d, (3, 9, 8), {"kernel_size": (2, 3), "padding": (0, 1), "count_include_pad": False}),
    (F.avg_pool2d, (2, 3, 9, 9), {"kernel_size": 4, "stride": 3, "ceil_mode": True, "padding": 2}),
    (F.avg_pool2d, (2, 3, 9, 9), {"kernel_size": 2, "stride": 3, "divisor_override": -5}),
    (F.avg_pool2d, (1, 2, 30, 31), {"kernel_size": 11, "stride": 1, "padding": 5}),
    (F.avg_pool3d, (2, 3, 5, 4, 6), {"kernel_size": 2, "padding": 1, "ceil_mode": True}),
    (F.avg_pool3d, (0, 3, 5, 4, 6), {"kernel_size": 2}),
    (F.adaptive_avg_pool1d, (2, 3, 11), {"output_size": 4}),
    (F.adaptive_avg_pool2d, (2, 5, 7, 9), {"output_size": 1}),
    (F.adaptive_avg_pool2d, (2, 3, 7, 9), {"output_size": (3, 5)}),
    (F.adaptive_avg_pool2d, (2, 3, 4, 3), {"output_size": (7, 5)}),
    (F.adaptive_avg_pool2d, (1, 2, 33, 40), {"output_size": (2, 3)}),
    (F.adaptive_avg_pool3d, (3, 5, 4, 6), {"output_size": 3}),
    (F.adaptive_max_pool1d, (2, 3, 11), {"output_size": 4}),
    (F.adaptive_max_pool2d, (2, 3, 7, 9), {"output_size": (3, 5)}),
    (F.adaptive_max_pool3d, (2, 3, 5, 4, 6), {"output_size": 3}),
    (F.max_pool2d, (2, 3, 9, 8), {"kernel_size": 3, "stride": 1, "padding": 1}),
    (
        F.max_pool2d,
        (3, 12, 11),
        {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True},
    ),
    (F.max_pool3d, (3, 5, 4, 6), {"kernel_size": 2}),
    (F.max_pool3d, (2, 3, 5, 4, 6), {"kernel_size": 3, "stride": (1, 2, 1), "padding": 1}),
]


def pooling_of_every_kind_agrees_with_the_cpu(few: bool) -> Iterator[str]:
    """Means and largest elements of windows and bins, overlapping or with gaps, in both orders; the gradients."""
    for dtype in list(TOLERANCES)[: 1 if few else None]:
        for pool, shape, options in AVERAGES:
            for is_last in (False, True) if len(shape) == 4 else (False,):
                run = _in_order(functools.partial(pool, **options), is_last)
                pairs = zip(
                    *(results(run, [shape], dtype, place) for place in ("cpu", "cuda:0")), strict=True
                )
                far = max(np.abs(there - here).max(initial=0) for here, there in pairs)
                if not far < TOLERANCES[dtype]:
                    yield f"{pool.__name__} {dtype} {shape} {options}{' channels last' * is_last}: {far:.2g} apart"


def pooling_of_nan_takes_the_last(few: bool) -> Iterator[str]:
    """The places of the largest elements of bins, where there are NaN and ties."""
    values = np.random.default_rng(0).standard_normal((2, 3, 9, 8)).astype(np.float32).round(1)
    values.reshape(-1)[::17] = np.nan
    values[1] = -np.inf
    pair = [
        F.adaptive_max_pool2d(torch.tensor(values).to(place), (4, 3), True) for place in ("cpu", "cuda:0")
    ]
    for here, there in zip(*pair, strict=True):
        if not np.array_equal(here.numpy(), there.cpu().numpy(), equal_nan=True):
            yield f"{here.dtype}"


#: Windows at random steps: the pooling, its input, window and number of windows.
FRACTIONAL: list[tuple[Callable[..., Any], tuple[int, ...], Any, Any]] = [
    (F.fractional_max_pool2d, (2, 3, 13, 17), 3, (5, 7)),
    (F.fractional_max_pool3d, (2, 3, 9, 7, 8), 2, (4, 3, 1)),
    (F.fractional_max_pool2d, (1, 2, 300, 170), 2, (150, 90)),
    (F.fractional_max_pool2d, (3, 13, 700), (3, 2), (5, 600)),
    (F.fractional_max_pool3d, (3, 9, 7, 8), (2, 1, 3), (7, 6, 2)),
    (F.fractional_max_pool2d, (0, 3, 9, 9), 2, 3),
]


def pooling_at_random_steps_agrees_with_the_cpu(few: bool) -> Iterator[str]:
    """Values and places to the bit, in one launch; gradients in another one, with overlapping windows, ties and NaN."""
    for dtype in list(TOLERANCES)[: 1 if few else None]:
        for pool, shape, kernel, size in FRACTIONAL[: 2 if few else None]:
            dims = 2 if pool is F.fractional_max_pool2d else 3
            planes = (1, *shape)[-dims - 2 : -dims]
            pair = []
            for place in ("cpu", "cuda:0"):
                rng = np.random.default_rng(0)
                values = rng.standard_normal(shape).round(1)
                values.reshape(-1)[::31] = np.nan
                x = torch.tensor(values).to(dtype).to(place).requires_grad_()
                samples = torch.tensor(rng.random((*planes, dims))).to(dtype).to(place)
                slope = torch.tensor(rng.standard_normal((*shape[:-dims], *np.broadcast_to(size, dims))))
                run = functools.partial(pool, x, kernel, size, _random_samples=samples, return_indices=True)
                found: list[Any] = []
                names = launched(
                    [pooling], functools.partial(_extend_by, found, run, slope.to(dtype).to(place))
                )
                if place != "cpu" and names != ["largest", "gathered"] * bool(x.numel()):
                    yield f"{pool.__name__}: {names}"
                pair.append([each.detach().cpu().double().numpy() for each in (*found, x.grad)])
            what = f"{pool.__name__} {dtype} {shape}"
            if not all(
                np.array_equal(a, b, equal_nan=True) for a, b in zip(pair[0][:2], pair[1][:2], strict=True)
            ):
                yield what
            if not apart(pair[0][2:], pair[1][2:]) < TOLERANCES[dtype]:
                yield f"the gradient of {what}: {apart(pair[0][2:], pair[1][2:]):.2g} apart"


def _extend_by(found: list[Any], run: Callable[[], Any], slope: Any) -> None:
    """What a pooling gives, whose first result is differentiated."""
    found.extend(run())
    found[0].backward(slope)


CHECKS = (
    channels_agree_with_the_cpu,
    statistics_lose_nothing,
    frozen_norms_take_few_launches,
    statistics_of_several_ranks_agree_with_the_cpu,
    running_statistics_move_as_on_the_cpu,
    pooling_agrees_with_the_cpu,
    pooling_of_every_kind_agrees_with_the_cpu,
    pooling_of_nan_takes_the_last,
    pooling_at_random_steps_agrees_with_the_cpu,
)


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS, "few" in sys.argv[1:]) else 0)
