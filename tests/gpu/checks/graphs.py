"""CUDA graphs: replays compute anew, a whole training step among them; what cannot be captured is refused by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt import nn
from distrt.core.errors import CaptureError
from tests.gpu.checking import refused, run_all


def captured(run: Callable[[], Any], warmups: int = 1) -> tuple[Any, Any]:
    """A graph of what a function does, and what it gave."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warmups):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run()
    return graph, out


def replays_read_what_is_there() -> Iterator[str]:
    """New data in the captured tensors give new results in the captured outputs."""
    x, w = torch.randn(8, 16, device="cuda"), torch.randn(16, 16, device="cuda")
    graph, out = captured(lambda: F.softmax(F.gelu(x @ w), -1).sum(0))
    for _ in range(2):
        x.copy_(torch.randn(8, 16, device="cuda"))
        graph.replay()
        if not torch.allclose(out, F.softmax(F.gelu(x @ w), -1).sum(0), atol=1e-6):
            yield "another result"


def model(dropout: float = 0.0) -> Any:
    torch.manual_seed(0)
    layers = (nn.Linear(16, 32), nn.LayerNorm(32), nn.GELU(), nn.Dropout(dropout), nn.Linear(32, 10))
    return nn.Sequential(*layers).cuda()


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01, capturable=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
}


def training_steps_are_those_without_a_graph() -> Iterator[str]:
    """Forward, backward and step in one graph, with a schedule of the learning rate: the same parameters."""
    data = np.random.default_rng(0).standard_normal((6, 4, 16)).astype(np.float32)
    targets = torch.tensor([1, 2, 3, 4], device="cuda")
    for name, make in OPTIMIZERS.items():
        found = []
        for is_captured in (False, True):
            net = model()
            optimizer = make(net.parameters())
            schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
            x = torch.tensor(data[0]).cuda()

            def step(net: Any = net, optimizer: Any = optimizer, x: Any = x) -> Any:
                optimizer.zero_grad(set_to_none=True)
                loss = F.cross_entropy(net(x), targets)
                loss.backward()
                optimizer.step()
                return loss

            losses = [step().item()]
            if is_captured:
                graph, loss = captured(step, 0)
            for batch in data[1:]:
                schedule.step()
                x.copy_(torch.tensor(batch))
                if is_captured:
                    graph.replay()
                else:
                    loss = step()
                losses.append(loss.item())
            found.append((losses, [each.detach().cpu().numpy() for each in net.parameters()]))
        if not np.allclose(found[0][0], found[1][0], rtol=1e-5):
            yield f"{name}: losses {found[0][0]} and {found[1][0]}"
        elif not all(
            np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(found[0][1], found[1][1], strict=True)
        ):
            yield f"{name}: other parameters"


def dropout_differs_from_replay_to_replay() -> Iterator[str]:
    """Other elements each time; the same after the same seed."""
    x = torch.ones(1000, device="cuda")
    graph, out = captured(lambda: F.dropout(x, 0.5))
    seen = []
    for seed in (None, None, 7, 7):
        if seed is not None:
            torch.manual_seed(seed)
        graph.replay()
        seen.append(out.cpu().numpy())
    if (seen[0] == seen[1]).all() or (seen[2] != seen[3]).any() or not 400 < (seen[0] == 0).sum() < 600:
        yield "numbers do not follow from seeds and replays"


def waits_are_refused_by_name() -> Iterator[str]:
    """The value of an element, a copy to or from the CPU, a size that only the GPU knows, a first step."""
    x = torch.ones(5, device="cuda", requires_grad=True)
    fresh = torch.optim.Adam([x], lr=0.1)
    x.grad = torch.ones_like(x)
    for what, run in {
        "value of an element": lambda: x.sum().item(),
        "copy to the CPU": lambda: x.detach().cpu(),
        "copy from the CPU": lambda: torch.tensor([1.0], device="cuda"),
        "nonzero": lambda: torch.nonzero(x.detach()),
        "synchronize": torch.cuda.synchronize,
        "first step of Adam": fresh.step,
    }.items():
        yield from refused(CaptureError, what, lambda run=run: captured(run, 0))
        if torch.cuda.is_current_stream_capturing() or (x + 1).sum().item() != 10:
            yield f"after {what} something is left"


def graphed_modules_train_as_others() -> Iterator[str]:
    """make_graphed_callables: outputs and gradients of a module, called several times."""
    net, twin = model(), model()
    graphed = torch.cuda.make_graphed_callables(net, (torch.randn(4, 16, device="cuda"),))
    for _ in range(2):
        x = torch.randn(4, 16, device="cuda")
        pair = []
        for each in (graphed, twin):
            for parameter in each.parameters():
                parameter.grad = None
            out = each(x)
            out.square().sum().backward()
            pair.append([out.detach().clone(), *[parameter.grad.clone() for parameter in each.parameters()]])
        if not all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(*pair, strict=True)):
            yield "others"


LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "convolution and max pooling": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(3, 2, 1)),
        (2, 3, 9, 9),
    ),
    "average pooling": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.AvgPool2d(2)), (2, 3, 9, 9)),
    "batch norm": (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), (2, 3, 5, 5)),
    "group norm": (lambda: nn.Sequential(nn.GroupNorm(1, 3), nn.SiLU()), (2, 3, 5, 5)),
    "a transformer's layer with dropout": (
        lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        (2, 6, 16),
    ),
    "LSTM": (lambda: nn.LSTM(6, 5, batch_first=True), (2, 4, 6)),
    "LSTM with projections": (lambda: nn.LSTM(6, 5, 2, proj_size=3, bidirectional=True), (4, 2, 6)),
    "RNN": (lambda: nn.RNN(6, 5, 2, dropout=0.5), (4, 2, 6)),
    "GRU": (lambda: nn.GRU(6, 5, batch_first=True), (2, 4, 6)),
}


def layers_can_be_captured() -> Iterator[str]:
    """Forward and backward under autocast, and a step: nothing waits, and nothing is copied from the CPU."""
    for name, (make, shape) in LAYERS.items():
        layer = make().cuda()
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.01)
        x = torch.randn(shape, device="cuda", requires_grad=True)

        def step(layer: Any = layer, optimizer: Any = optimizer, x: Any = x) -> Any:
            optimizer.zero_grad()
            with torch.autocast("cuda", dtype=torch.bfloat16):
                out = layer(x)
            out = out[0] if isinstance(out, tuple) else out
            out.float().square().mean().backward()
            optimizer.step()
            return out

        try:
            graph, out = captured(step)
            graph.replay()
            if not torch.isfinite(out).all().item():
                yield f"{name}: not finite"
        except CaptureError as fault:
            yield f"{name}: {fault}"


CHECKS = (
    layers_can_be_captured,
    replays_read_what_is_there,
    training_steps_are_those_without_a_graph,
    dropout_differs_from_replay_to_replay,
    waits_are_refused_by_name,
    graphed_modules_train_as_others,
)


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS) else 0)
