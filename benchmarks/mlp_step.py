"""One training step of an MLP under DistributedDataParallel: forward, backward, all-reduce, SGD with momentum.

python benchmarks/mlp_step.py [--ranks N] [--output FILE.json]
"""

from importlib import import_module
from itertools import pairwise

from worlds import main

CASES = {
    "mlp 784-512-512-10 batch 64": ((784, 512, 512, 10), 64),
    "mlp 32-64-64-4 batch 16": ((32, 64, 64, 4), 16),
}


def setup(library, case):
    sizes, batch = CASES[case]
    nn = library.nn
    library.manual_seed(0)
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    parallel = import_module(f"{library.__name__}.nn.parallel")
    model = parallel.DistributedDataParallel(nn.Sequential(*layers[:-1]))
    optimizer = library.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    inputs = library.randn(batch, sizes[0])
    targets = library.randint(0, sizes[-1], (batch,))

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    main("Training step of an MLP", __file__, list(CASES), setup)
