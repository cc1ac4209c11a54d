"""What does the run record cost? A training step of one rank with it and without.

python benchmarks/run_record.py [--rounds N] [--output FILE.json]

The model is wrapped in DistributedDataParallel, so that all kinds are told: data, forward, backward, exchange, update.
The smallest width is a step of less than a millisecond, of which a fixed cost is the largest part.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from overhead import Case, main

import distrt as torch
import distrt.distributed as dist
from distrt.comm.run_record import RunRecord
from distrt.nn.parallel import DistributedDataParallel

WIDTHS = (64, 256, 1024)


def a_step(width: int) -> Callable[[], None]:
    torch.manual_seed(0)
    nn = torch.nn
    model = DistributedDataParallel(
        nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 8)
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    data = torch.utils.data.TensorDataset(torch.randn(64, width), torch.randn(64, 8))
    loader = torch.utils.data.DataLoader(data, batch_size=64)

    def step() -> None:
        for inputs, wanted in loader:
            optimizer.zero_grad()
            loss = (model(inputs) - wanted).square().mean()
            loss.backward()
            optimizer.step()
            dist.report(loss=loss, samples=64)

    return step


@contextlib.contextmanager
def recorded() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        record = RunRecord(Path(folder) / "record.jsonl", 0)
        try:
            yield
        finally:
            record.close()


def cases() -> Iterator[Case]:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    for width in WIDTHS:
        yield Case(f"width {width}", a_step(width), recorded, repeat=max(10, 20_000 // width))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(__doc__, cases, rounds=21)
