"""One step of an optimizer over the parameters of a model, beside PyTorch's: as it is by default, and its fused form.

python benchmarks/optimizer_step.py [--ranks 1] [--output FILE.json]

11 million parameters in 62 tensors, as ResNet-18 has; and 0.67 million in 6, as a small multi-layer perceptron.
"""

from worlds import main

SIZES = {"11 M in 62": [11_000_000 // 62] * 62, "0.67 M in 6": [401_408, 512, 262_144, 512, 5_120, 10]}
OPTIMIZERS = {
    "SGD with momentum": ("SGD", {"lr": 1e-4, "momentum": 0.9}),
    "AdamW": ("AdamW", {"lr": 1e-4}),
}
CASES = [
    f"{optimizer}, {sizes}{form}"
    for optimizer in OPTIMIZERS
    for sizes in SIZES
    for form in ("", ", PyTorch's fused")
]


def setup(library, case):
    optimizer, sizes, *form = case.split(", ")
    name, options = OPTIMIZERS[optimizer]
    if form and library.__name__ == "torch":
        options = {**options, "fused": True}
    library.manual_seed(0)
    parameters = [library.randn(size).requires_grad_() for size in SIZES[sizes]]
    for each in parameters:
        each.grad = library.randn(each.shape)
    return getattr(library.optim, name)(parameters, **options).step


if __name__ == "__main__":
    main("Step of an optimizer", __file__, CASES, setup, ranks=1)
