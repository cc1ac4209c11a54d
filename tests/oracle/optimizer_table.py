"""Every optimizer with every option, and the same training run in either library."""

from __future__ import annotations

from typing import Any

import numpy as np

import distrt
from tests.oracle.compare import values

SHAPES = [(4, 3), (5,), (), (2, 0), (3, 2, 2)]
MATRICES = [(4, 3), (3, 5), (2, 2), (1, 6)]

#: Relative tolerance of 50 steps. Rprop decides by signs of products and Muon computes in bfloat16.
PRECISION = {"float64": 1e-10, "float32": 1e-5}

TABLE: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, "weight_decay": 0.02},
        {"lr": 0.1, "maximize": True, "weight_decay": 0.1},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        {"lr": 0.01, "momentum": 0.5, "dampening": 0.1, "maximize": True, "weight_decay": 0.01},
        {},
    ],
    "Adam": [
        {},
        {"lr": 0.05},
        {"lr": 0.05, "betas": (0.5, 0.7), "eps": 1e-3},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": 0.05, "amsgrad": True, "betas": (0.9, 0.5)},
        {"lr": 0.05, "amsgrad": True, "maximize": True, "weight_decay": 0.01},
        {"lr": 0.05, "betas": (0.0, 0.0)},
    ],
    "AdamW": [
        {},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "betas": (0.4, 0.8), "eps": 1e-4, "weight_decay": 0},
        {"lr": 0.05, "amsgrad": True, "maximize": True},
    ],
    "RMSprop": [
        {},
        {"lr": 0.02, "alpha": 0.6, "eps": 1e-3},
        {"momentum": 0.8},
        {"centered": True},
        {"centered": True, "momentum": 0.9, "weight_decay": 0.1},
        {"maximize": True, "weight_decay": 0.1},
    ],
    "Adagrad": [
        {},
        {"lr": 0.1, "lr_decay": 0.1},
        {"lr": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1},
        {"lr": 0.1, "eps": 1e-2, "maximize": True},
    ],
    "Adadelta": [{}, {"rho": 0.5, "eps": 1e-3}, {"lr": 0.5, "weight_decay": 0.1}, {"maximize": True}],
    "Adamax": [
        {},
        {"lr": 0.02, "betas": (0.5, 0.7)},
        {"eps": 1e-2, "weight_decay": 0.1},
        {"maximize": True, "lr": 0.02},
    ],
    "NAdam": [
        {},
        {"lr": 0.02, "betas": (0.5, 0.7), "momentum_decay": 0.1},
        {"eps": 1e-2, "weight_decay": 0.1},
        {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"maximize": True, "lr": 0.02, "momentum_decay": 0},
    ],
    "RAdam": [
        {},
        {"lr": 0.02, "betas": (0.5, 0.7)},
        {"lr": 0.02, "betas": (0.5, 0.99), "eps": 1e-2, "weight_decay": 0.1},
        {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"maximize": True, "lr": 0.02},
    ],
    "Rprop": [{}, {"lr": 0.1, "etas": (0.3, 1.5)}, {"step_sizes": (1e-3, 0.2)}, {"maximize": True}],
    "ASGD": [
        {},
        {"lr": 0.1, "lambd": 0.01, "alpha": 0.5},
        {"lr": 0.1, "t0": 5, "weight_decay": 0.1},
        {"lr": 0.1, "t0": 0, "maximize": True},
    ],
    "Adafactor": [
        {},
        {"lr": 0.1, "beta2_decay": -0.5},
        {"lr": 0.1, "eps": (1e-3, 1e-2), "d": 2.0},
        {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
    ],
    "Muon": [
        {},
        {"lr": 0.02, "momentum": 0.5, "nesterov": False},
        {"lr": 0.02, "weight_decay": 0, "adjust_lr_fn": "match_rms_adamw"},
        {"lr": 0.02, "ns_steps": 3, "ns_coefficients": (3.0, -4.0, 2.0), "adjust_lr_fn": "original"},
    ],
}

RUNS = [(name, options) for name, rows in TABLE.items() for options in rows]
NAMED = [f"{name}({', '.join(f'{k}={v}' for k, v in options.items())})" for name, options in RUNS]


class Run:
    """The same parameters in one library, and a convex loss whose minimum jumps about."""

    def __init__(self, library: Any, arrays: list[np.ndarray[Any, Any]]) -> None:
        self.library = library
        self.parameters = [library.tensor(array).requires_grad_() for array in arrays]

    def backward(self, step: int) -> None:
        """The last parameter gets a gradient in every other step only."""
        rng = np.random.default_rng(step)
        for number, parameter in enumerate(self.parameters):
            drawn = np.asarray(rng.standard_normal(tuple(parameter.shape)))
            if number == len(self.parameters) - 1 and step % 2:
                continue
            target = self.library.from_numpy(drawn).to(parameter.dtype)
            ((parameter * target).sum() + (parameter * parameter).sum() / 20).backward()

    def step(self, optimizer: Any, number: int) -> None:
        optimizer.zero_grad()
        self.backward(number)
        optimizer.step()


def two_runs(torch: Any, name: str, dtype: str, seed: int) -> tuple[Run, Run]:
    """The same parameters in distrt and in PyTorch, of shapes that the optimizer takes."""
    rng = np.random.default_rng(seed)
    shapes = MATRICES if name == "Muon" else SHAPES
    arrays = [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in shapes]
    if name == "Adafactor":
        arrays = [array for array in arrays if array.size]  # PyTorch divides by the number of elements
    return Run(distrt, arrays), Run(torch, arrays)


def made(library: Any, name: str, params: Any, **options: Any) -> Any:
    return getattr(library.optim, name)(params, **options)


def assert_equal(ours: Any, theirs: Any, rtol: float) -> None:
    """Dtypes, shapes and values of two lists of tensors."""
    for mine, reference in zip(ours, theirs, strict=True):
        assert str(mine.dtype) == str(reference.dtype)
        assert tuple(mine.shape) == tuple(reference.shape)
        np.testing.assert_allclose(values(mine), values(reference), rtol, rtol)


def carried(value: Any, source: Any, target: Any) -> Any:
    """The tensors of one library as copies in the other, inside dicts, lists and tuples."""
    if isinstance(value, source.Tensor):
        return target.tensor(value.detach().numpy())
    if isinstance(value, dict):
        return {key: carried(each, source, target) for key, each in value.items()}
    return (
        type(value)(carried(each, source, target) for each in value)
        if isinstance(value, list | tuple)
        else value
    )
