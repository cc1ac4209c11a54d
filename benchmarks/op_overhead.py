"""What an operation costs beside its arithmetic: chains of small operations, forward and backward, beside PyTorch.

python benchmarks/op_overhead.py [--rounds N] [--output FILE.json]

One rank and one thread. A row's time is that of the whole chain; divide by the number of operations in its name.
"""

from collections.abc import Callable

from worlds import main

#: name -> (elements, operations in the chain, recorded, backward too)
CHAINS = {
    "1000 x mul+add, 16 el., fwd+bwd": (16, 1000, True, True),
    "1000 x mul+add, 1000 el., fwd+bwd": (1000, 1000, True, True),
    "1000 x mul+add, 16 el., fwd": (16, 1000, True, False),
    "1000 x mul+add, 1000 el., no_grad": (1000, 1000, False, False),
}


def mul_add(library, case):
    size, count, recorded, backward = CHAINS[case]
    x = library.rand(size, requires_grad=True)
    factor = library.full((size,), 0.999)

    def work():
        with library.set_grad_enabled(recorded):
            y = x
            for _ in range(count // 2):
                y = y * factor + factor
        if backward:
            x.grad = None
            y.backward(factor)

    return work


def element_wise(library, case):
    """The functions of one argument, one after another."""
    x = library.rand(1000) + 0.5
    names = ("exp", "log", "sqrt", "tanh", "sigmoid", "relu", "abs", "neg", "sin", "cos")

    def work():
        with library.no_grad():
            for _ in range(100):
                for name in names:
                    getattr(x, name)()

    return work


def views(library, case):
    x = library.rand(8, 16, 4)
    if "recorded" in case:
        x = x.requires_grad_() * 1

    def work():
        for _ in range(200):
            x[0]
            x[:, 2:5]
            x.transpose(0, 1)
            x.view(128, 4)
            x.unsqueeze(1)

    return work


def in_place(library, case):
    x = library.rand(16, requires_grad=True)

    def work():
        y = x * 1
        part = y[4:12]
        for _ in range(250):
            y.add_(1.0)
            part.mul_(0.5)
        x.grad = None
        y.sum().backward()

    return work


def functions(library, case):
    """A user's own operation."""

    class Scale(library.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x * 2

    x = library.rand(16, requires_grad=True)

    def work():
        y = x
        for _ in range(100):
            y = Scale.apply(y)
        x.grad = None
        y.backward(x.detach())

    return work


SETUPS: dict[str, Callable] = {
    **dict.fromkeys(CHAINS, mul_add),
    "1000 element-wise, 1000 el., no_grad": element_wise,
    "1000 views": views,
    "1000 views, recorded": views,
    "500 in-place, 16 el., fwd+bwd": in_place,
    "100 x Function, 16 el., fwd+bwd": functions,
}


def setup(library, case):
    return SETUPS[case](library, case)


if __name__ == "__main__":
    main("Overhead of small operations", __file__, list(SETUPS), setup, ranks=1)
