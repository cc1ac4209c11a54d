"""What the run record costs: a training step of one rank with it and without, in turns, by processor time.

python benchmarks/run_record.py [--rounds N]

The model is wrapped in DistributedDataParallel, so that all kinds are told: data, forward, backward, exchange, update.
The smallest width is a step of about a millisecond, of which a fixed cost is the largest part.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import distrt as torch
import distrt.distributed as dist
from distrt.comm.run_record import RunRecord
from distrt.nn.parallel import DistributedDataParallel

WIDTHS = (64, 256, 1024)


def a_step(width):
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

    def step():
        for inputs, wanted in loader:
            optimizer.zero_grad()
            loss = (model(inputs) - wanted).square().mean()
            loss.backward()
            optimizer.step()
            dist.report(loss=loss, samples=64)

    return step


def seconds(step, repeat):
    began = time.process_time()
    for _ in range(repeat):
        step()
    return (time.process_time() - began) / repeat


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    for width in WIDTHS:
        step, repeat = a_step(width), max(10, 20_000 // width)
        seconds(step, 2 * repeat)
        ratios, plains = [], []
        for number in range(args.rounds):
            with tempfile.TemporaryDirectory() as folder:
                first = seconds(step, repeat) if number % 2 else None
                record = RunRecord(Path(folder) / "record.jsonl", 0)
                recorded = seconds(step, repeat)
                record.close()
                plain = seconds(step, repeat) if first is None else first
            ratios.append(recorded / plain)
            plains.append(plain)
        print(
            f"width {width:5}: a step {1e3 * statistics.median(plains):7.3f} ms, recorded "
            f"{statistics.median(ratios):.4f} times ({min(ratios):.4f} - {max(ratios):.4f})"
        )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
