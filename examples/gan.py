"""Invents handwritten digits: a generator and a discriminator, both trained on all ranks.

    python examples/gan.py
    distrt-launch --nproc-per-node 2 examples/gan.py

`samples.png` has 64 inventions beside 64 scanned digits. The last line holds 256 inventions against the real digits:
how far the nearest one is (Euclidean, pixels from -1 to 1), beside what it is between one real digit and the others,
and to what the untrained generator made; and of how many kinds these nearest ones are, since a generator may settle
for few.

Source: Radford et al., Unsupervised representation learning with deep convolutional GANs (2015),
https://arxiv.org/abs/1511.06434.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel
from distrt.utils.data import DataLoader, TensorDataset
from distrt.utils.data.distributed import DistributedSampler
from distrt.vision.utils import make_grid, save_image

LATENT = 32


def make_generator():
    """Shape: (batch, LATENT, 1, 1) -> (batch, 1, 8, 8), from -1 to 1."""
    return nn.Sequential(
        nn.ConvTranspose2d(LATENT, 64, 2, bias=False),  # (batch, 64, 2, 2)
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, bias=False),  # (batch, 32, 4, 4)
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )


def make_discriminator():
    """Shape: (batch, 1, 8, 8) -> (batch, 1), the probability that a digit is real."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1),  # (batch, 32, 4, 4)
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),  # (batch, 64, 2, 2)
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 4, 1),
        nn.Sigmoid(),
    )


def initialize(module):
    """The paper's first values."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def train_one_step(generator, discriminator, optimizers, real):
    """Returns the discriminator's and the generator's loss."""
    criterion = nn.BCELoss()
    yes, no = torch.ones(len(real), 1, device=real.device), torch.zeros(len(real), 1, device=real.device)
    of_generator, of_discriminator = optimizers

    fake = generator(torch.randn(len(real), LATENT, 1, 1, device=real.device))
    of_discriminator.zero_grad()
    judged = discriminator(
        torch.cat([real, fake.detach()])
    )  # detached: the generator learns nothing from this
    discriminator_loss = criterion(judged, torch.cat([0.9 * yes, no]))  # 0.9: it shall not grow too sure
    discriminator_loss.backward()
    of_discriminator.step()

    of_generator.zero_grad()
    generator_loss = criterion(discriminator(fake), yes)
    generator_loss.backward()
    of_generator.step()
    return discriminator_loss.item(), generator_loss.item()


def nearest(images, others, skip=0):
    """The distances of images to their nearest others, and which those are; ``skip`` 1 leaves out the image itself."""
    distances, indices = torch.cdist(images.flatten(1), others.flatten(1)).topk(
        skip + 1, dim=1, largest=False
    )
    return distances[:, skip], indices[:, skip]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=64, help="over all ranks")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/gan")))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    rank, world_size = dist.get_rank(), dist.get_world_size()
    args.output.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    images = torch.from_numpy((digits.images / 8.0 - 1.0).astype(np.float32)[:, None])  # (1797, 1, 8, 8)
    dataset = TensorDataset(images)
    sampler = DistributedSampler(dataset)
    batch_size = max(1, args.batch_size // world_size)
    loader = DataLoader(
        dataset, batch_size, sampler=sampler, drop_last=True, pin_memory=device.type == "cuda"
    )

    torch.manual_seed(0)
    generator, discriminator = make_generator().apply(initialize), make_discriminator().apply(initialize)
    noise = torch.randn(256, LATENT, 1, 1).to(device)
    generator.to(device)
    discriminator.to(device)
    with torch.no_grad():
        before = generator(noise).cpu()
    parallel = [DistributedDataParallel(generator), DistributedDataParallel(discriminator)]
    optimizers = [torch.optim.Adam(model.parameters(), lr=args.lr, betas=(0.5, 0.999)) for model in parallel]
    torch.manual_seed(1 + rank)  # from here on each rank has its own noise
    for epoch in range(1, args.epochs + 1):
        sampler.set_epoch(epoch)
        batches = (real.to(device, non_blocking=True) for (real,) in loader)
        losses = torch.tensor([train_one_step(*parallel, optimizers, real) for real in batches]).mean(0)
        dist.all_reduce(losses, op=dist.ReduceOp.AVG)
        if rank == 0 and epoch % 5 == 0:
            print(f"epoch {epoch:3d}  discriminator {losses[0]:.4f}  generator {losses[1]:.4f}", flush=True)

    if rank == 0:
        generator.eval()
        with torch.no_grad():
            samples = generator(noise).cpu()
        picture = args.output / "samples.png"
        pair = [
            make_grid(each[:64], padding=1, normalize=True, value_range=(-1, 1)) for each in (samples, images)
        ]
        both = torch.cat([pair[0], torch.ones(3, pair[0].shape[1], 6), pair[1]], dim=2)
        save_image(nn.functional.interpolate(both[None], scale_factor=5), picture)
        distances, indices = nearest(samples, images)
        kinds = set(digits.target[indices.numpy()].tolist())
        print(f"picture: {picture}")
        real, untrained = nearest(images, images, skip=1)[0].mean(), nearest(before, images)[0].mean()
        print(
            f"to the nearest real digit: {distances.mean():.2f} (between real ones {real:.2f}, "
            f"untrained {untrained:.2f}), kinds: {len(kinds)} of 10"
        )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
