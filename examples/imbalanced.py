"""Finds the few pixels that count: cross entropy, focal loss, dice loss and a mixture of them, side by side.

    python examples/imbalanced.py
    distrt-launch --nproc-per-node 2 examples/imbalanced.py

Each image is one of scikit-learn's bundled digits (8 x 8) somewhere on 32 x 32 pixels of noise; of a hundred pixels
about two are ink, so that a model that never says "ink" is right 98 times of 100 and good for nothing. The same small
convolutional network learns from each loss which pixels are ink, and is judged on digits it has not seen by its dice
score, 2 |A and B| / (|A| + |B|) of the pixels said to be ink and those that are. Prints a line for each loss, and keeps
them in ``scores.txt``; ``masks.png`` shows what each has found. Cross entropy gets there too, but later.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from tqdm import trange

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn import functional as F
from distrt.nn.parallel import DistributedDataParallel
from distrt.utils.data import DataLoader, TensorDataset
from distrt.utils.data.distributed import DistributedSampler

SIDE = 32


class FocalLoss(nn.Module):
    """Cross entropy that weighs what is already right less: alpha (1 - p)^gamma (-log p), p the right class's.

    Shape: logits (N, C, ...) and class numbers (N, ...). Source: Lin et al., 2017.
    """

    def __init__(self, alpha=1.0, gamma=2.0, reduction="mean"):
        super().__init__()
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction

    def forward(self, inputs, targets):
        ce_loss = F.cross_entropy(inputs, targets, reduction="none")
        loss = self.alpha * (1 - torch.exp(-ce_loss)) ** self.gamma * ce_loss
        return {"mean": loss.mean, "sum": loss.sum, "none": lambda: loss}[self.reduction]()


def dice_loss(inputs, targets, smooth=1e-6):
    """1 minus the dice score of the probabilities of class 1. Shape: logits (N, 2, ...) and class numbers (N, ...)."""
    probability = inputs.softmax(1)[:, 1]
    intersection = (probability * targets).sum()
    return 1 - (2 * intersection + smooth) / (probability.sum() + targets.sum() + smooth)


class CombinedLoss(nn.Module):
    """Cross entropy, which is steady, and dice, which does not mind how few there are."""

    def __init__(self, alpha=0.5):
        super().__init__()
        self.alpha = alpha

    def forward(self, inputs, targets):
        return self.alpha * F.cross_entropy(inputs, targets) + (1 - self.alpha) * dice_loss(inputs, targets)


LOSSES = {
    "cross entropy": nn.CrossEntropyLoss(),
    "focal": FocalLoss(),
    "dice": dice_loss,
    "combined": CombinedLoss(),
}


def load_splits(count):
    """(train, test) of ``count`` images in all: the same on every rank, and no digit in both."""
    random = np.random.default_rng(0)
    digits = load_digits().images[random.permutation(1797)[:count]] / 16.0
    images = random.normal(0.0, 0.35, (len(digits), 1, SIDE, SIDE))
    masks = np.zeros((len(digits), SIDE, SIDE), np.int64)
    for image, mask, digit in zip(images, masks, digits, strict=True):
        row, column = random.integers(0, SIDE - 8, 2)
        image[0, row : row + 8, column : column + 8] += digit
        mask[row : row + 8, column : column + 8] = digit > 0.5
    everything = torch.from_numpy(images.astype(np.float32)), torch.from_numpy(masks)
    cut = len(digits) * 4 // 5
    return TensorDataset(*(part[:cut] for part in everything)), TensorDataset(
        *(part[cut:] for part in everything)
    )


def make_model():
    """Logits of both classes for each pixel, which sees the 9 x 9 around it. Shape: (N, 1, H, W) -> (N, 2, H, W)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 2, 3, padding=1),
    )


def train(criterion, dataset, device, args, name):
    rank, world_size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)  # each loss begins with the same weights
    model = make_model().to(device)
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.Adam(parallel.parameters(), lr=args.lr)
    sampler = DistributedSampler(dataset)
    batch_size = max(1, args.batch_size // world_size)
    loader = DataLoader(dataset, batch_size, sampler=sampler, pin_memory=device.type == "cuda")
    for epoch in trange(args.epochs, desc=name, disable=rank != 0, leave=False):
        sampler.set_epoch(epoch)
        for images, masks in loader:
            images, masks = images.to(device, non_blocking=True), masks.to(device, non_blocking=True)
            optimizer.zero_grad()
            criterion(parallel(images), masks).backward()
            optimizer.step()
    return model


@torch.no_grad()
def evaluate(model, device, dataset):
    """(dice score, recall, precision) of the ink over all ranks' pixels, each counted once."""
    model.eval()
    counts = torch.zeros(3)  # said and true, said, true
    mine = DistributedSampler(dataset, shuffle=False, padding="none")
    for images, masks in DataLoader(dataset, 64, sampler=mine, pin_memory=device.type == "cuda"):
        images, masks = images.to(device, non_blocking=True), masks.to(device, non_blocking=True)
        said, true = model(images).argmax(1) == 1, masks == 1
        counts += torch.tensor([each.sum().item() for each in (said & true, said, true)])
    dist.all_reduce(counts)
    both, said, true = counts.tolist()
    return 2 * both / (said + true), both / true, both / max(said, 1.0)


@torch.no_grad()
def draw_masks(models, device, dataset, path, count=4):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    images, masks = dataset[:count]
    columns = {"image": images[:, 0], "ink": masks}
    columns |= {name: model(images.to(device)).argmax(1).cpu() for name, model in models.items()}
    figure, axes = plt.subplots(
        count, len(columns), figsize=(1.6 * len(columns), 1.7 * count), layout="constrained"
    )
    for column, (title, pictures) in zip(axes.T, columns.items(), strict=True):
        column[0].set_title(title)
        for cell, picture in zip(column, pictures, strict=True):
            cell.imshow(picture.numpy(), cmap="gray")
            cell.axis("off")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=1000, help="of which a fifth tests")
    parser.add_argument("--batch-size", type=int, default=32, help="over all ranks")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument(
        "--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/imbalanced"))
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    train_set, test_set = load_splits(args.images)
    models = {name: train(criterion, train_set, device, args, name) for name, criterion in LOSSES.items()}
    lines = []
    for name, model in models.items():
        dice, recall, precision = evaluate(model, device, test_set)
        lines.append(f"{name:14} dice score {dice:.4f}  recall {recall:.4f}  precision {precision:.4f}")

    if dist.get_rank() == 0:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "scores.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        draw_masks(models, device, test_set, args.output / "masks.png")
        print(*lines, f"masks: {args.output / 'masks.png'}", sep="\n")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
