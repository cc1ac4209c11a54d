"""Trains an MLP on handwritten digits with a ``Trainer`` class, early stopping and the best checkpoint kept.

    python examples/trainer.py
    distrt-launch --nproc-per-node 2 examples/trainer.py

The classes are there to be copied: `Trainer` has a bar per epoch, gradient clipping, a schedule, and a validation whose
figures are those of all ranks, so that all of them stop after the same epoch. The data are scikit-learn's bundled
``load_digits``. Prints both losses of each epoch, why it stopped, and the accuracy on the test digits of the weights
in ``best_model.pth``; ``losses.png`` has the curves.
"""

import argparse
import copy
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


class SimpleNet(nn.Module):
    def __init__(self, features, hidden, classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, classes)
        )

    def forward(self, x):
        return self.layers(x)


class EarlyStopping:
    """Says True once the loss has not gone down by ``min_delta`` for ``patience`` epochs; brings the best weights back.

    The weights are copied deeply: the values of ``state_dict()`` are the parameters' own memory, which training goes
    on changing, so that a ``.copy()`` of the dictionary would restore nothing.
    """

    def __init__(self, patience=7, min_delta=0.0, restore_best_weights=True):
        self.patience = patience
        self.min_delta = min_delta
        self.restore_best_weights = restore_best_weights
        self.best_loss = float("inf")
        self.best_weights = None
        self.counter = 0

    def __call__(self, loss, model):
        if loss < self.best_loss - self.min_delta:
            self.best_loss, self.counter = loss, 0
            self.best_weights = copy.deepcopy(model.state_dict())
            return False
        self.counter += 1
        if self.counter < self.patience:
            return False
        if self.restore_best_weights and self.best_weights is not None:
            model.load_state_dict(self.best_weights)
        return True


class Trainer:
    """Fits a model on this rank's share of the data; `fit` is called by all ranks."""

    def __init__(
        self, model, train_loader, val_loader, criterion, optimizer, scheduler=None, device="cpu", amp=False
    ):
        self.model = model.to(device)
        self.parallel = DistributedDataParallel(self.model)
        self.train_loader, self.val_loader = train_loader, val_loader
        self.criterion, self.optimizer, self.scheduler = criterion, optimizer, scheduler
        self.device, self.amp = torch.device(device), amp
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=amp)
        self.is_first = dist.get_rank() == 0
        self.train_losses, self.val_losses = [], []

    def train_epoch(self, epoch):
        """Returns the loss and the accuracy over all ranks."""
        self.model.train()
        self.train_loader.sampler.set_epoch(epoch)
        sums = torch.zeros(3)
        bar = tqdm(self.train_loader, desc=f"epoch {epoch:2d}", disable=not self.is_first, leave=False)
        for data, targets in bar:
            data, targets = self.moved(data, targets)
            self.optimizer.zero_grad()
            with torch.autocast(self.device.type, enabled=self.amp):  # float16 on a GPU, bfloat16 on a CPU
                outputs = self.parallel(data)
                loss = self.criterion(outputs, targets)
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=1.0)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            sums += self.count(outputs, targets, loss)
            bar.set_postfix(loss=f"{loss.item():.4f}", acc=f"{100 * (sums[1] / sums[2]).item():.2f}%")
        return self.means(sums)

    @torch.no_grad()
    def validate(self, loader):
        """Returns the loss and the accuracy over all ranks."""
        self.model.eval()
        sums = torch.zeros(3)
        for data, targets in loader:
            data, targets = self.moved(data, targets)
            outputs = self.model(data)
            sums += self.count(outputs, targets, self.criterion(outputs, targets))
        return self.means(sums)

    def moved(self, *tensors):
        return [each.to(self.device, non_blocking=True) for each in tensors]

    def count(self, outputs, targets, loss):
        right = (outputs.argmax(1) == targets).sum().item()
        return torch.tensor([loss.item() * len(targets), right, len(targets)])

    def means(self, sums):
        dist.all_reduce(sums)  # every rank decides by the same figures
        return (sums[0] / sums[2]).item(), (sums[1] / sums[2]).item()

    def fit(self, epochs, save_path="best_model.pth", early_stopping=None):
        """Trains for ``epochs`` or until ``early_stopping`` says so, keeping the best weights in ``save_path``."""
        for epoch in range(1, epochs + 1):
            train_loss, train_accuracy = self.train_epoch(epoch)
            val_loss, val_accuracy = self.validate(self.val_loader)
            is_best = val_loss < min(self.val_losses, default=float("inf"))
            self.train_losses.append(train_loss)
            self.val_losses.append(val_loss)
            if self.scheduler:
                self.scheduler.step()
            if self.is_first:
                print(
                    f"epoch {epoch:2d}  train loss {train_loss:.4f} accuracy {train_accuracy:.4f}"
                    f"  validation loss {val_loss:.4f} accuracy {val_accuracy:.4f}{'  saved' if is_best else ''}"
                )
                if is_best:
                    torch.save(self.model.state_dict(), save_path)
            if early_stopping and early_stopping(val_loss, self.model):
                if self.is_first:
                    print(f"stopped early: no better for {early_stopping.patience} epochs")
                break
        dist.barrier()  # the file is there for all ranks


def load_splits():
    """The digits as (train, validation, test): the same cut on every rank."""
    digits = load_digits()
    images = torch.from_numpy((digits.images / 16.0).astype(np.float32))  # (1797, 8, 8), from 0 to 1
    everything = TensorDataset(images, torch.from_numpy(digits.target.astype(np.int64)))
    order = np.random.default_rng(0).permutation(len(everything))
    return [Subset(everything, part.tolist()) for part in np.split(order, [1257, 1437])]


def draw_losses(trainer, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    epochs = range(1, len(trainer.val_losses) + 1)
    axes.plot(epochs, trainer.train_losses, marker=".", label="training")
    axes.plot(epochs, trainer.val_losses, marker=".", label="validation")
    axes.axvline(1 + int(np.argmin(trainer.val_losses)), linestyle=":", color="gray", label="kept")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100, help="at most")
    parser.add_argument("--patience", type=int, default=5, help="epochs without a better validation loss")
    parser.add_argument("--batch-size", type=int, default=32, help="over all ranks")
    parser.add_argument("--amp", action="store_true", help="compute in half precision where that is enough")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/trainer")))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    rank, world_size = dist.get_rank(), dist.get_world_size()
    args.output.mkdir(parents=True, exist_ok=True)
    save_path = args.output / "best_model.pth"

    train, validation, test = load_splits()
    batch_size = max(1, args.batch_size // world_size)
    pin_memory = device.type == "cuda"
    train_loader = DataLoader(train, batch_size, sampler=DistributedSampler(train), pin_memory=pin_memory)
    val_loader, test_loader = (
        DataLoader(
            part,
            256,
            sampler=DistributedSampler(part, shuffle=False, padding="none"),
            pin_memory=pin_memory,
        )
        for part in (validation, test)
    )
    torch.manual_seed(0)
    model = SimpleNet(64, 128, 10).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
    trainer = Trainer(
        model, train_loader, val_loader, nn.CrossEntropyLoss(), optimizer, scheduler, device, args.amp
    )
    torch.manual_seed(1 + rank)  # from here on each rank draws its own dropout masks
    trainer.fit(args.epochs, save_path, EarlyStopping(args.patience))

    model.load_state_dict(torch.load(save_path, map_location=device))
    _, accuracy = trainer.validate(test_loader)
    if rank == 0:
        draw_losses(trainer, args.output / "losses.png")
        print(f"best model: {save_path}\nlosses: {args.output / 'losses.png'}")
        print(f"test accuracy: {accuracy:.4f} ({world_size} rank{'s' if world_size > 1 else ''})")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
