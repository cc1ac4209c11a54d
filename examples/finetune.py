"""Fine-tunes a ResNet-18: learn some classes, keep the file, freeze what is general, teach the rest other classes.

    python examples/finetune.py
    distrt-launch --nproc-per-node 2 examples/finetune.py

There are no weights to download here, so the example makes its own: scikit-learn's digits are written as PNG files,
`vision.datasets.ImageFolder` reads them, and a ResNet-18 learns 0 to 6 (`backbone.pt`). That file is loaded, `fc`
replaced, all before `layer4` frozen, and the rest learns 7 to 9 from 20 images of each. The last line has the accuracy
on images of 7 to 9 that it has not seen, beside what the same gives when the frozen layers have learned nothing, and
when nothing is loaded and nothing frozen. `predictions.png` shows some.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from train_digits import accuracy, train_one_epoch

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel
from distrt.utils.data import DataLoader
from distrt.utils.data.distributed import DistributedSampler
from distrt.vision import transforms
from distrt.vision.datasets import ImageFolder
from distrt.vision.models import resnet18

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write_images(folder, shots):
    """Writes ``low/{train,test}/{0..6}`` and ``high/{train,test}/{7..9}``; of high, ``shots`` images a class train."""
    digits = load_digits()
    for label in range(10):
        name, in_train = ("low", 120) if label < 7 else ("high", shots)
        for number, index in enumerate(np.flatnonzero(digits.target == label)):
            path = (
                folder / name / ("train" if number < in_train else "test") / str(label) / f"{number:03d}.png"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[index] * 15.9).astype(np.uint8)).save(path)


def datasets(folder):
    """The images below ``folder`` as (train, test)."""
    of_test = [transforms.Resize(32), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    of_train = [transforms.RandomAffine(15, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=10), *of_test]
    return [
        ImageFolder(folder / name, transforms.Compose(steps))
        for name, steps in (("train", of_train), ("test", of_test))
    ]


def train(model, device, dataset, epochs, lr, batch_size):
    """Trains what ``requires_grad`` on all ranks."""
    rank, world_size = dist.get_rank(), dist.get_world_size()
    parallel = DistributedDataParallel(model.to(device))
    optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    sampler = DistributedSampler(dataset)
    batch_size = max(1, batch_size // world_size)
    loader = DataLoader(dataset, batch_size, sampler=sampler, pin_memory=device.type == "cuda")
    for epoch in range(1, epochs + 1):
        sampler.set_epoch(epoch)
        loss = train_one_epoch(parallel, device, optimizer, loader, epoch, rank == 0)
        scheduler.step()
        if rank == 0:
            print(f"epoch {epoch:2d}  loss {loss:.4f}", flush=True)


def fine_tune(model, device, data, epochs, free):
    """Replaces ``fc``, trains what is named like ``free``; returns the accuracy on the test images."""
    model.fc = nn.Linear(model.fc.in_features, len(data[0].classes))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith(free)
    train(model, device, data[0], epochs, lr=1e-3, batch_size=20)
    return accuracy(model, device, data[1])


@torch.no_grad()
def draw_predictions(model, device, dataset, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    chosen = np.random.default_rng(0).choice(len(dataset), 24, replace=False)
    images = torch.stack([dataset[int(index)][0] for index in chosen])
    predicted = model.eval()(images.to(device)).argmax(1).tolist()
    figure, axes = plt.subplots(3, 8, figsize=(8, 3.8), layout="constrained")
    for axis, image, index, guess in zip(axes.flat, images, chosen, predicted, strict=True):
        is_right = guess == dataset.targets[index]
        axis.imshow(image[0].numpy(), cmap="gray")
        axis.set_title(dataset.classes[guess], color="green" if is_right else "red")
        axis.axis("off")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5, help="of the backbone")
    parser.add_argument("--tuning-epochs", type=int, default=10)
    parser.add_argument("--shots", type=int, default=20, help="training images of each new class")
    parser.add_argument(
        "--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/finetune"))
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    rank = dist.get_rank()
    if rank == 0:
        write_images(args.output / "images", args.shots)
    dist.barrier()
    low, high = datasets(args.output / "images" / "low"), datasets(args.output / "images" / "high")

    torch.manual_seed(0)
    model = resnet18(num_classes=len(low[0].classes))
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, device, low[0], args.epochs, lr=1e-3, batch_size=32)
    learned = accuracy(model, device, low[1])
    if rank == 0:
        torch.save(model.state_dict(), args.output / "backbone.pt")
        print(f"backbone: {args.output / 'backbone.pt'}, accuracy on 0 to 6: {learned:.4f}")
    dist.barrier()

    scores = []
    for state, free in (
        (fresh, ("",)),  # every name begins with this
        (fresh, ("layer4.", "fc.")),
        (torch.load(args.output / "backbone.pt", map_location=device), ("layer4.", "fc.")),
    ):
        model = resnet18(num_classes=len(low[0].classes))
        model.load_state_dict(state)
        scores.append(fine_tune(model, device, high, args.tuning_epochs, free))
    if rank == 0:
        draw_predictions(model, device, high[1], args.output / "predictions.png")
        print(f"picture: {args.output / 'predictions.png'}")
        print(
            f"accuracy on 7 to 9: {scores[2]:.4f} (frozen layers that learned nothing: {scores[1]:.4f}, "
            f"nothing loaded or frozen: {scores[0]:.4f})"
        )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
