"""Shows where a network looks: heat maps of the pixels that speak for its answer, by two hooks on one layer.

    python examples/gradcam.py
    distrt-launch --nproc-per-node 2 examples/gradcam.py

A small CNN learns the digits of `train_digits.py`, and `gradcam.png` has a test digit of each class beside its map.
Whether the maps are true is measured: the quarter of the pixels that they show brightest is blotted out, and so is the
quarter that they show darkest; the last line says what is left of the probability of the class in either case.

Source: Selvaraju et al., Grad-CAM (2017), https://arxiv.org/abs/1610.02391.
"""

import argparse
import os
from pathlib import Path

from train_digits import fit, load_splits

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn import functional as F


def make_model():
    """Averages over all places before it judges, so that each place has its own say: what such maps assume."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class GradCAM:
    """Maps of one layer's say in an answer. Shape of images: (batch, channels, height, width)."""

    def __init__(self, model, layer):
        self.model = model
        layer.register_forward_hook(self._keep_activations)
        layer.register_full_backward_hook(self._keep_gradients)

    def _keep_activations(self, layer, inputs, output):
        self.activations = output.detach()

    def _keep_gradients(self, layer, grad_inputs, grad_outputs):
        self.gradients = grad_outputs[0].detach()

    def __call__(self, images, classes):
        """Maps from 0 to 1 of what speaks for ``classes``. Shape: (batch, 1, height, width)."""
        self.model.zero_grad()
        scores = self.model(images)
        scores.gather(1, classes[:, None]).sum().backward()
        weights = self.gradients.mean(dim=(2, 3), keepdim=True)
        maps = F.relu((weights * self.activations).sum(dim=1, keepdim=True))
        maps = F.interpolate(maps, size=images.shape[2:], mode="bilinear", align_corners=False)
        return maps / maps.amax(dim=(2, 3), keepdim=True).clamp(min=1e-8)


@torch.no_grad()
def probability_without(model, images, classes, pixels):
    """The mean probability of ``classes`` once the pixels, indices (batch, count), are blotted out with the mean."""
    blotted = images.flatten(1).scatter(1, pixels, images.mean().item()).view_as(images)
    return model(blotted).softmax(1).gather(1, classes[:, None]).mean()


def draw(images, maps, classes, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(images), figsize=(1.1 * len(images), 2.6), layout="constrained")
    for column, (image, heat, label) in enumerate(zip(images, maps, classes.tolist(), strict=True)):
        for axis in axes[:, column]:
            axis.imshow(image[0].cpu().numpy(), cmap="gray")
            axis.axis("off")
        axes[0, column].set_title(label)
        axes[1, column].imshow(
            heat[0].cpu().numpy(), cmap="jet", alpha=0.55, vmin=0, vmax=1, interpolation="bilinear"
        )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/gradcam")))
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
    camera = GradCAM(model, model[5])  # what the last convolution finds, before it is averaged
    mine = slice(rank, None, world_size)
    maps = camera(images[mine], classes[mine])
    order = maps.flatten(1).argsort(dim=1, descending=True)
    quarter = order.shape[1] // 4
    left = torch.stack(
        [
            probability_without(model, images[mine], classes[mine], pixels)
            for pixels in (order[:, :quarter], order[:, -quarter:])
        ]
    )
    dist.all_reduce(left, op=dist.ReduceOp.AVG)

    if rank == 0:
        firsts = torch.tensor([classes.tolist().index(digit) for digit in range(10)])
        picture = args.output / "gradcam.png"
        draw(images[firsts], camera(images[firsts], classes[firsts]), classes[firsts], picture)
        print(f"picture: {picture}")
        brightest, darkest = left.tolist()
        print(
            f"probability left without the brightest quarter: {brightest:.3f}, without the darkest: {darkest:.3f}"
        )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
