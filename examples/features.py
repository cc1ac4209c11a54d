"""Looks inside a network: what its layers give, and how the digits lie in its features, next to how they lie as pixels.

    python examples/features.py
    distrt-launch --nproc-per-node 2 examples/features.py

The CNN of `train_digits.py` is trained; forward hooks keep what its layers make of the test digits, each rank of its
share. Rank 0 prints every layer's shape, mean, spread and share of zeros, and draws the first two principal components
(`torch.pca_lowrank`) of the pixels and of the features that the last layer reads: `features.png`. The last line says
how well the classes stand apart: how much of the variance, in all dimensions, lies between the classes' means.
"""

import argparse
import os
from pathlib import Path

from train_digits import fit, load_splits, make_model

import distrt as torch
import distrt.distributed as dist


class FeatureAnalyzer:
    """Keeps what the named layers of a model give."""

    def __init__(self, model, names):
        self.model, self.names, self.activations = model, names, {}

    def _keep(self, name):
        def hook(module, inputs, output):
            self.activations[name] = output.detach()

        return hook

    @torch.no_grad()
    def __call__(self, images):
        """Returns {name: activations, (batch, ...)}; the model has no hooks before or after."""
        modules = dict(self.model.named_modules())
        handles = [modules[name].register_forward_hook(self._keep(name)) for name in self.names]
        try:
            self.model(images)
        finally:
            for handle in handles:
                handle.remove()
        return dict(self.activations)


def gather(mine, count):
    """Puts together what the ranks have, every world_size-th row each. Shape: (share, ...) -> (count, ...)."""
    world_size = dist.get_world_size()
    share = -(-count // world_size)
    padded = torch.zeros(share, *mine.shape[1:], device=mine.device)
    padded[: len(mine)] = mine
    parts = [torch.empty_like(padded) for _ in range(world_size)]
    dist.all_gather(parts, padded)
    return torch.stack(parts, dim=1).flatten(0, 1)[:count]


def principal_plane(rows):
    """Shape: (count, width) -> (count, 2), along the two directions in which the rows differ most."""
    _, _, directions = torch.pca_lowrank(
        rows, q=8, niter=8
    )  # random at first: these make the first two exact
    return (rows - rows.mean(0)) @ directions[:, :2]


def share_between_classes(rows, classes):
    """The variance of the classes' means as a share of all variance: 0 where classes are all alike, 1 where points."""
    rows = rows - rows.mean(0)
    means = torch.stack([rows[classes == each].mean(0) for each in range(10)])
    return (means[classes].square().sum() / rows.square().sum()).item()


def draw(planes, classes, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(planes), figsize=(5 * len(planes), 4.4), layout="constrained")
    for axis, (name, plane) in zip(axes, planes.items(), strict=True):
        dots = axis.scatter(
            *plane.T.cpu().numpy(), c=classes.cpu().numpy(), cmap="tab10", vmin=-0.5, vmax=9.5, s=14
        )
        axis.set(title=name, xlabel="first component", ylabel="second component")
    figure.colorbar(dots, ax=axes, ticks=range(10), label="digit")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument(
        "--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/features"))
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    rank, world_size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = make_model()
    fit(model, device, args.epochs, args.output)

    model.eval()
    images, classes = (each.to(device) for each in load_splits()[2][:])
    layers = {name: f"{name} {type(layer).__name__}" for name, layer in model.named_children()}
    found = FeatureAnalyzer(model, layers)(images[rank::world_size])
    found = {layers[name]: gather(activations, len(images)) for name, activations in found.items()}
    if rank == 0:
        for name, activations in found.items():
            print(
                f"{name:15} {tuple(activations.shape)!s:20} mean {activations.mean():7.3f}  "
                f"std {activations.std():6.3f}  zeros {(activations == 0).float().mean():.2f}"
            )
        *_, features, scores = found.values()  # what the last layer reads, and what it says
        rows = {"pixels": images.flatten(1), "features of the last layer": features, "scores": scores}
        planes = {name: principal_plane(each) for name, each in rows.items()}
        picture = args.output / "features.png"
        draw(planes, classes, picture)
        print(f"picture: {picture}")
        said = ", ".join(f"{name} {share_between_classes(each, classes):.3f}" for name, each in rows.items())
        print(f"share of the variance between classes: {said}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
