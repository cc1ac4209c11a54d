"""Products, convolutions, memory-bound kernels, attention, recurrent layers and training steps on a GPU, beside PyTorch
where that is installed.

By events on the stream: warm-up, then so many rounds, libraries in turns, medians. Without a GPU it says so.

python benchmarks/gpu.py [--rounds N] [--only WORD] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import importlib.util
import itertools
import json
import statistics
import sys
from typing import Any

import distrt

COPY_ELEMENTS = 1 << 27


def median_ms(library: Any, run: Any, rounds: int) -> float:
    """Milliseconds on the GPU."""
    for _ in range(3):
        run()
    times = []
    for _ in range(rounds):
        start, end = (library.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def products(library: Any) -> Any:
    """TFLOP/s by name: an operation, and its floating point operations."""
    for size in (1024, 4096, 8192):
        for dtype in ("bfloat16", "float16", "float32"):
            kind = getattr(library, dtype)
            a, b = (library.randn(size, size).to("cuda", kind) for _ in range(2))
            yield f"matmul {size} {dtype}", lambda a=a, b=b: library.matmul(a, b), 2 * size**3


def convolutions(library: Any) -> Any:
    """ResNet-50's layers, channels last, batch 64: forward."""
    nn = library.nn
    for cin, cout, kernel, stride, pixels in (
        (3, 64, 7, 2, 224),
        (64, 64, 3, 1, 56),
        (256, 512, 1, 2, 56),
        (512, 512, 3, 1, 7),
    ):
        layer = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False).to("cuda", library.bfloat16)
        layer = layer.to(memory_format=library.channels_last)
        x = library.randn(64, cin, pixels, pixels).to("cuda", library.bfloat16)
        x = x.to(memory_format=library.channels_last)
        work = 2 * 64 * cout * cin * kernel**2 * (pixels // stride) ** 2

        def run(layer: Any = layer, x: Any = x) -> None:
            with library.no_grad():
                layer(x)

        yield f"conv {cin}-{cout} {kernel}x{kernel}/{stride} at {pixels} bfloat16", run, work


def passes(library: Any) -> Any:
    """Memory-bound operations, and the bytes that they have to move."""
    functional = library.nn.functional
    x = library.randn(32768, 1024).to("cuda", library.bfloat16)
    weight = library.ones(1024).to("cuda", library.bfloat16)
    size = x.numel() * 2
    yield "gelu", lambda: functional.gelu(x), 2 * size
    yield "softmax", lambda: functional.softmax(x, -1), 2 * size
    yield "layer_norm", lambda: functional.layer_norm(x, (1024,), weight, weight), 2 * size
    yield "dropout", lambda: functional.dropout(x, 0.1), 2 * size
    yield "add", lambda: x + x, 2 * size
    parameters = [library.randn(1024, 1024).to("cuda").requires_grad_() for _ in range(100)]
    for each in parameters:
        each.grad = library.ones_like(each)
    optimizer = library.optim.AdamW(parameters, lr=1e-3, fused=True)
    optimizer.step()
    yield "AdamW of 105 million parameters", optimizer.step, 100 * 1024 * 1024 * 4 * 7


def images(library: Any) -> Any:
    """Norms and pooling of images in both orders, forward and backward, and the bytes that they have to move."""
    functional = library.nn.functional
    weight = library.ones(256, device="cuda")
    for order in ("contiguous_format", "channels_last"):
        x = library.randn(64, 256, 56, 56).to("cuda", library.bfloat16)
        x = x.to(memory_format=getattr(library, order)).requires_grad_()
        size = x.numel() * 2
        for name, run, there, back in (
            ("batch_norm", lambda x: functional.batch_norm(x, None, None, weight, weight, True), 3, 5),
            (
                "group_norm",
                lambda x: functional.group_norm(x, 32, weight.to(x.dtype), weight.to(x.dtype)),
                3,
                5,
            ),
            ("max_pool2d", lambda x: functional.max_pool2d(x, 3, 2, 1), 1.25, 1.25),
            ("avg_pool2d", lambda x: functional.avg_pool2d(x, 2), 1.25, 1.25),
            ("adaptive_avg_pool2d", lambda x: functional.adaptive_avg_pool2d(x, 1), 1, 1),
        ):
            yield f"{name}, {order}", functools.partial(run, x.detach()), there * size
            out = run(x)
            slope = library.ones_like(out)

            def back_through(out: Any = out, x: Any = x, slope: Any = slope) -> None:
                library.autograd.grad(out, x, slope, retain_graph=True)

            yield f"{name}'s gradient, {order}", back_through, back * size


def sums(library: Any) -> Any:
    """The gradient of an embedding, and rows added by number; bytes: the rows, and the sums twice."""
    table = library.randn(50304, 768).to("cuda").requires_grad_()
    numbers = library.randint(0, 50304, (8, 1024)).to("cuda")
    out = library.nn.functional.embedding(numbers, table)
    slope = library.ones_like(out)
    moved = 4 * 768 * (8192 + 2 * 50304)
    yield "embedding's gradient", lambda: library.autograd.grad(out, table, slope, retain_graph=True), moved
    rows, index = library.randn(1 << 20, 64).to("cuda"), library.randint(0, 1 << 16, (1 << 20,)).to("cuda")
    target = library.zeros(1 << 16, 64, device="cuda")
    yield (
        "index_add of a million rows",
        lambda: target.index_add_(0, index, rows),
        4 * 64 * ((1 << 20) + (2 << 16)),
    )


def sequences(library: Any) -> Any:
    """Attention and recurrent layers in bfloat16, forward and backward."""
    attend = library.nn.functional.scaled_dot_product_attention
    for heads, length in ((96, 1024), (12, 16384)):
        qkv = [library.randn(1, heads, length, 64).to("cuda", library.bfloat16) for _ in range(3)]
        qkv = [each.requires_grad_() for each in qkv]
        yield (
            f"causal attention, {heads} heads of {length}",
            lambda qkv=qkv: attend(*qkv, is_causal=True).sum().backward(),
            None,
        )
    for kind in ("LSTM", "GRU"):
        layer = getattr(library.nn, kind)(512, 512, 2).to("cuda", library.bfloat16)
        x = library.randn(256, 64, 512).to("cuda", library.bfloat16)
        yield (
            f"{kind} of 2 layers, 256 steps of 64 x 512",
            lambda layer=layer, x=x: layer(x)[0].sum().backward(),
            None,
        )


def attention(library: Any) -> Any:
    """Attention in bfloat16 forward, and forward and backward; distrt's by products of scores in memory, too."""
    attend = library.nn.functional.scaled_dot_product_attention
    ways = [("", None)]
    if library is distrt:
        backend = importlib.import_module("distrt.nn.attention")
        ways.append((", by products", lambda: backend.sdpa_kernel(backend.SDPBackend.MATH)))
    for length, wide, is_causal in itertools.product((1024, 4096), (64, 128), (False, True)):
        heads = 96 * 1024 * 64 // (length * wide)
        given = [library.randn(1, heads, length, wide).to("cuda", library.bfloat16) for _ in range(3)]
        trained = [each.clone().requires_grad_() for each in given]
        slope = library.randn(1, heads, length, wide).to("cuda", library.bfloat16)
        work = 4 * heads * length**2 * wide // (2 if is_causal else 1)

        def forward(way: Any, given: Any = given, is_causal: bool = is_causal) -> Any:
            with way() if way else contextlib.nullcontext():
                return attend(*given, is_causal=is_causal)

        def both_ways(
            way: Any, given: Any = trained, is_causal: bool = is_causal, slope: Any = slope
        ) -> None:
            with way() if way else contextlib.nullcontext():
                library.autograd.grad(attend(*given, is_causal=is_causal), given, slope)

        name = f"{'causal ' if is_causal else ''}attention {length} x {wide}"
        for suffix, way in ways:
            yield f"{name}{suffix}", functools.partial(forward, way), work
            # Two products forward, and five backward; distrt makes two of them once more.
            yield f"{name} and back{suffix}", functools.partial(both_ways, way), work * 7 // 2


class Gpt:
    """GPT-2 small's shape, by a library's own layers: 12 blocks of 768 features and 12 heads."""

    def __new__(cls, library: Any) -> Any:
        nn, functional = library.nn, library.nn.functional

        class Block(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.one, self.two = nn.LayerNorm(768), nn.LayerNorm(768)
                self.qkv, self.out = nn.Linear(768, 3 * 768), nn.Linear(768, 768)
                self.mlp = nn.Sequential(nn.Linear(768, 3072), nn.GELU(), nn.Linear(3072, 768))

            def forward(self, x: Any) -> Any:
                n, t, _ = x.shape
                q, k, v = (
                    each.view(n, t, 12, 64).transpose(1, 2) for each in self.qkv(self.one(x)).split(768, 2)
                )
                seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                x = x + self.out(seen.transpose(1, 2).reshape(n, t, 768))
                return x + self.mlp(self.two(x))

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.words, self.places = nn.Embedding(50304, 768), nn.Embedding(1024, 768)
                self.blocks = nn.Sequential(*(Block() for _ in range(12)))
                self.norm, self.head = nn.LayerNorm(768), nn.Linear(768, 50304, bias=False)
                self.head.weight = self.words.weight

            def forward(self, numbers: Any, places: Any) -> Any:
                return self.head(self.norm(self.blocks(self.words(numbers) + self.places(places))))

        return Model()


def steps(library: Any) -> Any:
    """Training steps under bfloat16 autocast: eager, and captured."""
    functional = library.nn.functional
    numbers = library.randint(0, 50304, (8, 1024)).to("cuda")
    places = library.arange(1024).to("cuda")
    gpt = Gpt(library).to("cuda")
    yield from both(
        library,
        "GPT-small, 8 x 1024",
        gpt,
        lambda: functional.cross_entropy(gpt(numbers, places).view(-1, 50304), numbers.view(-1)),
    )
    if library is distrt or importlib.util.find_spec("torchvision"):
        package = "distrt.vision" if library is distrt else "torchvision"
        models = importlib.import_module(f"{package}.models")
        net = models.resnet50().to("cuda").to(memory_format=library.channels_last)
        images = library.randn(64, 3, 224, 224).to("cuda").to(memory_format=library.channels_last)
        targets = library.randint(0, 1000, (64,)).to("cuda")
        yield from both(
            library, "ResNet-50, 64 images", net, lambda: functional.cross_entropy(net(images), targets)
        )


def both(library: Any, name: str, model: Any, loss: Any) -> Any:
    """A step as it is, and the same captured in a graph."""
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-4, fused=True, capturable=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with library.autocast("cuda", dtype=library.bfloat16, cache_enabled=False):
            found = loss()
        found.backward()
        optimizer.step()

    yield name, step, None
    side = library.cuda.Stream()
    side.wait_stream(library.cuda.current_stream())
    with library.cuda.stream(side):
        for _ in range(3):
            step()
    library.cuda.current_stream().wait_stream(side)
    graph = library.cuda.CUDAGraph()
    with library.cuda.graph(graph):
        step()
    yield f"{name}, captured", graph.replay, None


def copied_ms(library: Any, rounds: int) -> float:
    """Of a copy within the GPU's memory."""
    source, target = (library.zeros(COPY_ELEMENTS, device="cuda") for _ in range(2))
    return median_ms(library, lambda: target.copy_(source), rounds)


def measured(library: Any, rounds: int, only: str) -> dict[str, dict[str, float]]:
    """All of a library; what fails says so, and the rest goes on."""
    copy = copied_ms(library, rounds)
    bandwidth = 2 * 4 * COPY_ELEMENTS / copy / 1e6
    found: dict[str, dict[str, float]] = {"copy": {"ms": copy, "GB/s": bandwidth}}
    for kind in (products, convolutions, passes, images, sums, attention, sequences, steps):
        cases = iter(kind(library))
        while True:
            try:
                name, run, work = next(cases)
                if only not in name:
                    continue
                row = {"ms": median_ms(library, run, rounds)}
            except StopIteration:
                break
            except Exception as fault:
                print(
                    f"{library.__name__}, {kind.__name__}: {type(fault).__name__}: {fault}", file=sys.stderr
                )
                break
            if kind in (products, convolutions, attention):
                row["TFLOP/s"] = work / row["ms"] / 1e9
            elif work is not None:
                row["share of copy"] = work / row["ms"] / 1e6 / bandwidth
            found[name] = row
    return found


def main() -> int:
    """Prints a line for each, and writes JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="cases whose name has this")
    parser.add_argument("--output")
    options = parser.parse_args()
    if not distrt.cuda.is_available():
        print("no GPU: CuPy is not installed, or finds none; nothing was measured")
        return 0
    ours = measured(distrt, options.rounds, options.only)
    theirs: dict[str, dict[str, float]] = {}
    if importlib.util.find_spec("torch"):
        import torch

        theirs = measured(torch, options.rounds, options.only) if torch.cuda.is_available() else {}
    for name, row in ours.items():
        other = theirs.get(name)
        beside = (
            f"  {other['ms'] / row['ms']:.2f} times PyTorch's speed ({other['ms']:.3f} ms)" if other else ""
        )
        print(f"{name:44} " + "  ".join(f"{value:10.3f} {unit}" for unit, value in row.items()) + beside)
    if options.output:
        with open(options.output, "w") as file:
            gpu = distrt.cuda.get_device_name()
            json.dump({"gpu": gpu, "distrt": ours, "torch": theirs}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
