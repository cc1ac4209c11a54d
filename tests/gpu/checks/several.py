"""Several GPUs of one process: DataParallel and its parts. Ends with 3 where there is one GPU only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import distrt as torch
import distrt.nn.functional as F
from distrt import nn
from distrt.cuda import comm
from tests.gpu.checking import refused, run_all
from tests.gpu.fixtures import NOT_THERE


def net() -> Any:
    """A model with shared weights, buffers and a recurrent layer."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(6, 8), nn.BatchNorm1d(8, affine=False)
            self.lstm, self.last = nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 6)
            self.again = self.first

        def forward(self, x: Any, scale: float = 1.0) -> Any:
            hidden = self.lstm(self.norm(self.first(x))[:, None])[0][:, 0]
            return {"out": self.again(self.last(hidden)) * scale, "hidden": hidden}

    torch.manual_seed(0)
    return Net()


def training_gives_the_gradients_of_one_gpu() -> Iterator[str]:
    """Outputs and gradients of a batch over two GPUs, in eval mode, so that each row stands alone."""
    x = torch.randn(5, 6)
    pair = []
    for is_parallel in (False, True):
        model = net().to("cuda:0").eval()
        run = nn.DataParallel(model, device_ids=[0, 1]) if is_parallel else model
        given = x.to("cuda:0").requires_grad_()
        out = run(given, scale=2.0)
        assert out["out"].device == torch.device("cuda:0")
        (out["out"].square().mean() + out["hidden"].sum()).backward()
        pair.append([out["out"].detach(), given.grad, *(each.grad for each in model.parameters())])
    if not all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(*pair, strict=True)):
        yield "others"


def running_statistics_and_autocast_reach_the_replicas() -> Iterator[str]:
    """The first GPU's batch moves the running statistics; autocast and no_grad hold in the threads."""
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)).to("cuda:0")
    run = nn.DataParallel(model)
    x = torch.randn(8, 4, device="cuda:0") + 3
    with torch.no_grad(), torch.autocast("cuda", dtype=torch.bfloat16):
        out = run(x)
    if out.dtype != torch.bfloat16 or out.requires_grad:
        yield f"{out.dtype}, requires_grad={out.requires_grad}"
    if not torch.allclose(model[0].running_mean, x[:4].mean(0) * 0.1, atol=1e-5):
        yield "running statistics"


def replicas_draw_their_own_numbers() -> Iterator[str]:
    """Dropout differs between the GPUs and from call to call, and follows from the seed."""
    run = nn.DataParallel(nn.Dropout(0.5))
    x = torch.ones(2, 200, device="cuda:0")
    seen = []
    for seed in (0, None, 0):
        if seed is not None:
            torch.manual_seed(seed)
        seen.append(run(x))
    if (
        torch.equal(seen[0][0], seen[0][1])
        or torch.equal(seen[0], seen[1])
        or not torch.equal(seen[0], seen[2])
    ):
        yield "numbers are not each one's own"


def the_parts_do_as_pytorchs() -> Iterator[str]:
    """broadcast, reduce_add, scatter, gather."""
    x = torch.arange(6.0, device="cuda:0").reshape(3, 2)
    copies = comm.broadcast(x, [0, 1])
    if [each.get_device() for each in copies] != [0, 1] or not torch.equal(copies[1].cpu(), x.cpu()):
        yield "broadcast"
    if (
        not torch.equal(comm.reduce_add(copies, 1).cpu(), 2 * x.cpu())
        or comm.reduce_add(copies, 1).get_device() != 1
    ):
        yield "reduce_add"
    parts = comm.scatter(x, [0, 1], dim=0)
    if [tuple(each.shape) for each in parts] != [(2, 2), (1, 2)]:
        yield "scatter"
    if (
        not torch.equal(comm.gather(parts, 0, 1).cpu(), x.cpu())
        or comm.gather(parts, 0, "cpu").device.type != "cpu"
    ):
        yield "gather"
    parts = comm.scatter(x, [0, 1], chunk_sizes=[1, 2])
    if [tuple(each.shape) for each in parts] != [(1, 2), (2, 2)]:
        yield "scatter by sizes"


def faults_name_the_gpu() -> Iterator[str]:
    """A model that fails, and one that is elsewhere."""
    model = nn.DataParallel(nn.Linear(3, 2).to("cuda:0"))
    for run, words in (
        (lambda: model(torch.ones(4, 5, device="cuda:0")), "in replica on device cuda:0"),
        (lambda: nn.DataParallel(nn.Linear(3, 2))(torch.ones(4, 3)), "but found one of them on device: cpu"),
    ):
        yield from refused(RuntimeError, words, run)


def losses_of_replicas_become_a_vector() -> Iterator[str]:
    """Scalars are gathered into a vector, with PyTorch's warning."""
    import warnings

    class Loss(nn.Module):
        def forward(self, x: Any) -> Any:
            return F.mse_loss(x, torch.zeros_like(x))

    x = torch.ones(4, 2, device="cuda:0", requires_grad=True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        out = nn.DataParallel(Loss())(x)
    out.mean().backward()
    if tuple(out.shape) != (2,) or not said or not torch.allclose(x.grad, torch.full_like(x, 0.25)):
        yield f"{out}, {x.grad}"


def a_block_in_a_stream_leaves_both_gpus_as_they_were() -> Iterator[str]:
    """The one that was current, and the one whose stream it is."""
    other, before = torch.cuda.Stream(device=1), torch.cuda.current_stream(1)
    with torch.cuda.stream(other):
        if (torch.cuda.current_device(), torch.cuda.current_stream()) != (1, other):
            yield f"inside: cuda:{torch.cuda.current_device()}, {torch.cuda.current_stream()}"
    if torch.cuda.current_device() != 0 or torch.cuda.current_stream(1) != before:
        yield f"after: cuda:{torch.cuda.current_device()}, {torch.cuda.current_stream(1)}"


CHECKS = (
    a_block_in_a_stream_leaves_both_gpus_as_they_were,
    training_gives_the_gradients_of_one_gpu,
    running_statistics_and_autocast_reach_the_replicas,
    replicas_draw_their_own_numbers,
    the_parts_do_as_pytorchs,
    faults_name_the_gpu,
    losses_of_replicas_become_a_vector,
)


def main() -> int:
    """Runs all; returns how many failed."""
    if torch.cuda.device_count() < 2:
        print("there is one GPU only")
        return -1
    return run_all(CHECKS)


if __name__ == "__main__":
    found = main()
    sys.exit(NOT_THERE if found < 0 else 1 if found else 0)
