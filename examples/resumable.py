"""Trains through kills, preemptions and time limits: five lines, numbered below, let it go on where it stood.

    distrt-launch --nproc-per-node 2 --max-restarts 3 examples/resumable.py --folder runs/moons
    distrt-launch submit --scheduler slurm --nodes 2 --nproc-per-node 2 --time 30 examples/resumable.py

Told to make room (SIGTERM, or SIGUSR1 before a time limit), all ranks save after the same step and end with code 75,
upon which a job that `distrt-launch submit` has made is queued again. Killed without a word, it goes on from the last
checkpoint. Either way the parameters come out as without any of it, bit for bit: the last line is their checksum.
"""

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path

import numpy as np

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.checkpoint import Batches, Checkpoints
from distrt.nn.parallel import DistributedDataParallel
from distrt.utils.data import DataLoader, TensorDataset
from distrt.utils.data.distributed import DistributedSampler


def moons(count):
    """Points of two half circles that reach into one another, and which of them each is of."""
    random = np.random.default_rng(0)
    label = random.integers(0, 2, count)
    angle = random.uniform(0, np.pi, count)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1) * (1 - 2 * label[:, None])
    points = circle + label[:, None] * [1.0, 0.5] + random.normal(0, 0.1, (count, 2))
    return TensorDataset(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(label))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/moons"), help="of the checkpoints")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--every", type=int, default=50, help="steps between two checkpoints")
    parser.add_argument(
        "--pause", type=float, default=0.0, help="seconds more for each step, to have time to kill it"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes of each rank that load batches")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Dropout(0.1), nn.Linear(32, 2))
    parallel = DistributedDataParallel(model.to(device))
    torch.manual_seed(1 + dist.get_rank())  # each rank drops its own features
    optimizer = torch.optim.Adam(parallel.parameters(), lr=0.01)
    dataset = moons(2000)
    sampler = DistributedSampler(dataset)
    is_on_gpu = device.type == "cuda"
    loader = DataLoader(dataset, 32, sampler=sampler, num_workers=args.workers, pin_memory=is_on_gpu)
    batches = Batches(loader)

    run = {"model": model, "optimizer": optimizer, "batches": batches}
    checkpoints = Checkpoints(args.folder)  # 1
    step = checkpoints.resume(run) or 0  # 2
    if dist.get_rank() == 0:
        print(f"begins at step {step}", flush=True)
    while batches.epoch < args.epochs:
        for points, labels in batches:
            points, labels = points.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(parallel(points), labels)
            loss.backward()
            optimizer.step()
            step += 1
            dist.report(loss=loss, samples=len(labels), step=step)  # what `distrt-launch top` shows
            time.sleep(args.pause)
            is_ending = dist.preemption_requested()  # 3
            if is_ending or step % args.every == 0:
                checkpoints.save(step, run)  # 4
            if is_ending:
                sys.exit(os.EX_TEMPFAIL)  # 5

    if dist.get_rank() == 0:
        bits = b"".join(parameter.detach().cpu().numpy().tobytes() for parameter in model.parameters())
        print(f"step {step}: loss {loss.item():.4f}, sha256 {hashlib.sha256(bits).hexdigest()[:16]}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
