"""Tests a model as a test engineer would: does it answer, learn, repeat itself, survive a file, and how fast is it?

    python examples/model_tester.py
    distrt-launch --nproc-per-node 2 examples/model_tester.py
    python examples/model_tester.py --model resnet18

Every check runs on every rank, and passes if it passes on all of them. The report, a line for each check and one for
each batch size, is printed and kept as `report.txt`; the exit code is 1 if a check failed. The digits CNN of
`train_digits.py` is tested on real digits, or any model of `distrt.vision.models` by its name on random images.
"""

import argparse
import io
import os
import statistics
import sys
import time
from pathlib import Path

from train_digits import load_splits, make_model

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn import functional as F
from distrt.vision import models


class ModelTester:
    """Checks of a classifier that ``make`` makes anew, on one batch of images and their classes.

    Each ``check_`` method raises AssertionError with what it saw, or returns what the report shall say.
    """

    def __init__(self, make, images, classes):
        self.make, self.images, self.classes = make, images, classes

    def fresh(self, seed=0):
        torch.manual_seed(seed)
        return self.make().to(self.images.device)

    @torch.no_grad()
    def answer(self, model, images=None):
        return model.eval()(self.images if images is None else images)

    def check_inference(self):
        """One score for each class, all of them finite."""
        scores = self.answer(self.fresh())
        assert scores.dim() == 2 and len(scores) == len(self.images), f"scores of shape {tuple(scores.shape)}"
        assert scores.shape[1] > self.classes.max(), f"{scores.shape[1]} scores, class {self.classes.max()}"
        assert torch.isfinite(scores).all(), "some scores are not finite"
        return f"{tuple(self.images.shape)} -> {tuple(scores.shape)}"

    def check_independence(self):
        """In evaluation an image's scores do not depend on its neighbours in the batch."""
        model = self.fresh()
        together = self.answer(model)
        alone = torch.cat([self.answer(model, image[None]) for image in self.images[:8]])
        worst = (together[:8] - alone).abs().max().item()
        assert worst < 1e-4 * max(1.0, together.abs().max().item()), f"scores differ by {worst:.2e}"
        return f"largest difference {worst:.1e}"

    def check_gradients(self):
        """Every parameter gets a finite gradient that is not all zero."""
        model = self.fresh().train()
        F.cross_entropy(model(self.images), self.classes).backward()
        parameters = dict(model.named_parameters())
        without = [name for name, each in parameters.items() if each.grad is None or not each.grad.any()]
        broken = [
            name
            for name, each in parameters.items()
            if name not in without and not each.grad.isfinite().all()
        ]
        assert not without, f"no gradient reaches {', '.join(without)}"
        assert not broken, f"gradients are not finite in {', '.join(broken)}"
        return f"{len(parameters)} parameters, {sum(each.numel() for each in parameters.values()):,} values"

    def check_slope(self):
        """The loss changes along the gradient as the gradient says (central difference, float64)."""
        model = self.fresh().double().eval()
        images = self.images.double()
        F.cross_entropy(model(images), self.classes).backward()
        parameters = list(model.parameters())
        gradients = [each.grad.clone() for each in parameters]
        said = torch.stack([each.square().sum() for each in gradients]).sum().sqrt().item()
        losses = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):  # to either side of where it stands
                for each, gradient in zip(parameters, gradients, strict=True):
                    each += step / said * gradient
                losses.append(F.cross_entropy(model(images), self.classes).item())
        seen = (losses[0] - losses[1]) / 2e-6
        assert abs(seen - said) < 1e-3 * said, f"the slope is {seen:.6g}, the gradient says {said:.6g}"
        return f"{seen:.6g}, by the gradient {said:.6g}"

    def check_overfits_one_batch(self, steps=60):
        """What cannot learn one batch by heart is wired wrongly."""
        model = self.fresh().train()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(self.images), self.classes)
            loss.backward()
            optimizer.step()
        right = (model(self.images).argmax(1) == self.classes).float().mean().item()
        assert right > 0.95, f"after {steps} steps {right:.0%} of the batch is right, loss {loss.item():.3f}"
        return f"{right:.0%} after {steps} steps"

    def check_determinism(self):
        """The same seed trains the same model, bit for bit, on every rank."""
        first, second = (self._after_three_steps() for _ in range(2))
        assert torch.equal(first, second), f"two runs differ by {(first - second).abs().max():.2e}"
        of_first_rank = first.clone()
        dist.broadcast(of_first_rank, src=0)
        assert torch.equal(first, of_first_rank), "differs from rank 0"
        return "two runs and all ranks agree in every bit"

    def _after_three_steps(self):
        model = self.fresh().train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(self.images), self.classes).backward()
            optimizer.step()
        return nn.utils.parameters_to_vector(model.parameters()).detach()

    def check_file(self):
        """Saved and loaded into a model of other first values, it answers the same."""
        model, other, file = self.fresh(), self.fresh(seed=1), io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, map_location=self.images.device))
        assert torch.equal(self.answer(model), self.answer(other)), "the loaded model answers otherwise"
        return f"{file.getbuffer().nbytes:,} bytes"

    def run(self):
        """Returns {check: (whether it passed on all ranks, what this rank says)}."""
        report = {}
        for name in [name for name in dir(self) if name.startswith("check_")]:
            try:
                passed, said = True, getattr(self, name)()
            except AssertionError as failure:
                passed, said = False, str(failure)
            failures = torch.tensor(float(not passed))
            dist.all_reduce(failures)
            report[name.removeprefix("check_").replace("_", " ")] = (failures.item() == 0, said)
        return report

    def benchmark(self, batch_sizes=(1, 8, 32), repeats=10):
        """Returns {batch size: median seconds of a forward pass}."""
        model, seconds = self.fresh(), {}
        for size in batch_sizes:
            images = self.images[torch.arange(size, device=self.images.device) % len(self.images)]
            self.answer(model, images).cpu()  # the first is slower
            times = []
            for _ in range(repeats):
                start = time.perf_counter()
                self.answer(model, images).cpu()  # a GPU is done when its answer is here
                times.append(time.perf_counter() - start)
            seconds[size] = statistics.median(times)
        return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="digits", help="or a name of distrt.vision.models")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/model_tester"))
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    args.output.mkdir(parents=True, exist_ok=True)
    if args.model == "digits":
        make = make_model
        images, classes = load_splits()[0][: args.batch_size]
    else:
        torch.manual_seed(0)
        images, classes = torch.randn(args.batch_size, 3, 64, 64), torch.randint(0, 10, (args.batch_size,))

        def make():
            return models.get_model(args.model, num_classes=10)

    tester = ModelTester(make, images.to(device), classes.to(device))
    report = tester.run()
    if dist.get_rank() == 0:
        lines = [f"{'passed' if ok else 'FAILED'}  {name:20}  {said}" for name, (ok, said) in report.items()]
        for size, seconds in tester.benchmark().items():
            lines.append(
                f"speed   batches of {size:3}        {seconds * 1e3:.2f} ms, {size / seconds:,.0f} images/s"
            )
        passed = sum(ok for ok, _ in report.values())
        lines.append(f"{passed} of {len(report)} checks passed")
        (args.output / "report.txt").write_text("\n".join(lines) + "\n")
        print("\n".join(lines))
    dist.destroy_process_group()
    sys.exit(0 if all(ok for ok, _ in report.values()) else 1)


if __name__ == "__main__":
    main()
