"""One training step of an MLP under DistributedDataParallel: forward, backward, all-reduce, SGD with momentum.

Beside it stands what no library could leave out.

python benchmarks/mlp_step.py [--ranks N] [--output FILE.json]
"""

from importlib import import_module
from itertools import pairwise

import numpy as np
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


def floor(library, case):
    """The matrix products, one all-reduce of a buffer in the segment, one pass over the parameters; nothing else."""
    sizes, batch = CASES[case]
    pairs = list(pairwise(sizes))
    count = sum(a * b + b for a, b in pairs)
    group = import_module("distrt.comm.world").default_group()
    average = import_module("distrt.distributed").ReduceOp.AVG
    multiplied = import_module("distrt.core.ops.linalg.matrix").multiplied
    gradient = group.allocate((count,), np.dtype(np.float32))
    flat = library.zeros(count, requires_grad=True)
    flat.grad = library.from_numpy(gradient)
    optimizer = library.optim.SGD([flat], lr=0.01, momentum=0.9)
    rng = np.random.default_rng(0)
    weights, weight_gradients, start = [], [], 0
    for a, b in pairs:
        weights.append(flat.detach().numpy()[start : start + a * b].reshape(b, a))
        weight_gradients.append(gradient[start : start + a * b].reshape(b, a))
        start += a * b + b
    values = [rng.standard_normal((batch, size), np.float32) for size in sizes]
    others = [np.empty_like(each) for each in values]

    def step():
        for weight, inputs, outputs in zip(weights, values, others[1:], strict=False):
            multiplied(inputs, weight.T, out=outputs)
        for index in range(len(weights) - 1, -1, -1):
            multiplied(values[index + 1].T, values[index], out=weight_gradients[index])
            if index:
                multiplied(values[index + 1], weights[index], out=others[index])
        group.all_reduce(gradient, average)
        optimizer.step()

    return step


if __name__ == "__main__":
    main("Training step of an MLP", __file__, list(CASES), setup, floor=floor)
