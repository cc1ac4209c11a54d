"""Trains a small CNN on handwritten digits, on one process or on many; nothing changes but the command.

    python examples/train_digits.py
    distrt-launch --nproc-per-node 2 examples/train_digits.py

The data are scikit-learn's bundled ``load_digits``: 1,797 scanned digits of 8 x 8 pixels. The checkpoint with the best
validation accuracy is kept, and its accuracy on the test digits, which chose nothing, is the last line.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel
from distrt.utils.data import DataLoader, Subset, TensorDataset
from distrt.utils.data.distributed import DistributedSampler


def make_model():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * 4 * 4, 10),
    )


def load_splits():
    """The digits as (train, validation, test): the same cut on every rank."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]  # (1797, 1, 8, 8), from 0 to 1
    everything = TensorDataset(torch.from_numpy(images), torch.from_numpy(digits.target.astype(np.int64)))
    order = np.random.default_rng(0).permutation(len(everything))
    return [Subset(everything, part.tolist()) for part in np.split(order, [1257, 1437])]


def train_one_epoch(model, device, optimizer, loader, epoch, is_first_rank):
    """Returns the mean loss over all ranks."""
    model.train()
    total = torch.zeros(2)
    for images, labels in tqdm(loader, desc=f"epoch {epoch:2d}", disable=not is_first_rank, leave=False):
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += torch.tensor([loss.item() * len(labels), len(labels)])
    dist.all_reduce(total)
    return (total[0] / total[1]).item()


@torch.no_grad()
def accuracy(model, device, dataset):
    """The share of right answers; no sample is counted twice, as it would be to make the ranks' shares equal."""
    model.eval()
    mine = DistributedSampler(dataset, shuffle=False, padding="none")
    counts = torch.zeros(2)
    for images, labels in DataLoader(dataset, 256, sampler=mine, pin_memory=device.type == "cuda"):
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        counts += torch.tensor([(model(images).argmax(1) == labels).sum().item(), len(labels)])
    dist.all_reduce(counts)
    return (counts[0] / counts[1]).item()


def draw_curves(history, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    epochs = range(1, len(history) + 1)
    losses, validation, test = zip(*history, strict=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    left.plot(epochs, losses, marker=".")
    left.set(title="training loss", xlabel="epoch", yscale="log")
    right.plot(epochs, validation, marker=".", label="validation")
    right.plot(epochs, test, marker=".", label="test")
    right.set(title="accuracy", xlabel="epoch")
    right.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def fit(model, device, epochs, folder, batch_size=64, lr=3e-3):
    """Trains on all ranks, keeps the best checkpoint in ``folder``, and returns each epoch's (loss, two accuracies)."""
    rank, world_size = dist.get_rank(), dist.get_world_size()
    folder.mkdir(parents=True, exist_ok=True)
    parallel = DistributedDataParallel(model.to(device))
    torch.manual_seed(1 + rank)  # from here on each rank draws its own dropout masks
    optimizer = torch.optim.Adam(parallel.parameters(), lr=lr)
    train, validation, test = load_splits()
    sampler = DistributedSampler(train)
    batch_size = max(1, batch_size // world_size)
    loader = DataLoader(train, batch_size, sampler=sampler, pin_memory=device.type == "cuda")

    history, best = [], -1.0
    for epoch in range(1, epochs + 1):
        sampler.set_epoch(epoch)
        loss = train_one_epoch(parallel, device, optimizer, loader, epoch, rank == 0)
        scores = accuracy(model, device, validation), accuracy(model, device, test)
        history.append((loss, *scores))
        if rank == 0:
            print(f"epoch {epoch:2d}  loss {loss:.4f}  validation {scores[0]:.4f}  test {scores[1]:.4f}")
            if scores[0] >= best:  # of equals the later one
                best = scores[0]
                torch.save(model.state_dict(), folder / "best.pt")  # there whole, or the one before

    dist.barrier()
    model.load_state_dict(torch.load(folder / "best.pt", map_location=device))
    return history


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64, help="over all ranks")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/digits")))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    torch.manual_seed(0)
    model = make_model()
    history = fit(model, device, args.epochs, args.output, args.batch_size, args.lr)
    final = accuracy(model, device, load_splits()[2])
    if dist.get_rank() == 0:
        world_size = dist.get_world_size()
        draw_curves(history, args.output / "curves.png")
        print(f"best checkpoint: {args.output / 'best.pt'}")
        print(f"curves: {args.output / 'curves.png'}")
        print(f"test accuracy: {final:.4f} ({world_size} rank{'s' if world_size > 1 else ''})")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
