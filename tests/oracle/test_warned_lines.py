"""Warnings name the line of the script that has led to them, however deep they arise, and have PyTorch's class."""

import importlib
import linecache
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import distrt

#: What scripts do; an arrow marks the line that the warning is to name.
SCRIPTS: dict[str, str] = {
    "implicit dim": "F.softmax(torch.ones(2, 2))  # <-",
    "implicit dim in a layer": "nn.Softmax()(torch.ones(2, 2))  # <-",
    "implicit dim in a container": (
        "model = nn.Sequential(nn.Linear(2, 2), nn.LogSoftmax())\nmodel(torch.ones(2, 2))  # <-"
    ),
    "implicit dim in a forward of the script's": (
        "class Net(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return F.softmin(x)  # <-\n"
        "nn.Sequential(Net())(torch.ones(2, 2))"
    ),
    "under a decorator": "@torch.no_grad()\ndef f(x):\n    return F.softmax(x)  # <-\nf(torch.ones(2))",
    "under autocast": "with torch.autocast('cpu'):\n    F.mse_loss(torch.ones(2, 1), torch.ones(2))  # <-",
    "sizes of a loss": "nn.L1Loss()(torch.ones(3, 1), torch.ones(3))  # <-",
    "older reduction": "nn.MSELoss(size_average=False)  # <-",
    "older activation": "F.upsample(torch.ones(1, 1, 2, 2), scale_factor=2)  # <-",
    "dropout of a recurrent layer": "nn.LSTM(2, 2, dropout=0.5)  # <-",
    "dropout of a recurrent layer of the script's": (
        "class Cells(nn.GRU):\n"
        "    def __init__(self):\n"
        "        super().__init__(2, 2, dropout=0.5)  # <-\n"
        "Cells()"
    ),
    "schedule before the optimizer": (
        "o = torch.optim.SGD([torch.ones(1, requires_grad=True)], 0.1)\n"
        "s = torch.optim.lr_scheduler.StepLR(o, 1)\n"
        "s.step()  # <-"
    ),
    "schedule with an epoch": (
        "o = torch.optim.SGD([torch.ones(1, requires_grad=True)], 0.1)\n"
        "s = torch.optim.lr_scheduler.StepLR(o, 1)\n"
        "o.step()\ns.step(3)  # <-"
    ),
    "rate of a schedule": (
        "o = torch.optim.SGD([torch.ones(1, requires_grad=True)], 0.1)\n"
        "s = torch.optim.lr_scheduler.StepLR(o, 1)\n"
        "s.get_lr()  # <-"
    ),
    "older initialisation": "nn.init.xavier_normal(torch.ones(2, 2))  # <-",
    "initialisation of nothing": "nn.init.kaiming_uniform_(torch.empty(0, 2))  # <-",
    "a layer of nothing": "nn.Linear(2, 0)  # <-",
    "older clipping": (
        "p = nn.Parameter(torch.ones(1))\np.grad = torch.ones(1)\nnn.utils.clip_grad_norm([p], 1.0)  # <-"
    ),
    "clipping of nothing": "nn.utils.clip_grad_norm_((p for p in ()), 1.0)  # <-",
    "older weight norm": "nn.utils.weight_norm(nn.Linear(2, 2))  # <-",
    "positional state_dict": "nn.Linear(2, 2).state_dict({})  # <-",
    "tensor of a tensor": "torch.tensor(torch.ones(2))  # <-",
    "new_tensor of a tensor": "torch.ones(1).new_tensor(torch.ones(2))  # <-",
    "array that is read-only": "a = numpy.ones(2)\na.flags.writeable = False\ntorch.from_numpy(a)  # <-",
    "range": "torch.range(0, 3)  # <-",
    "bytes as a mask": "torch.ones(2)[torch.tensor([1, 0], dtype=torch.uint8)]  # <-",
    "transposed in three dims": "torch.ones(2, 3, 4).T  # <-",
    "grad of no leaf": "y = torch.ones(2, requires_grad=True) * 2\ny.grad  # <-",
    "resize": "torch.ones(4).resize(2, 2)  # <-",
    "grids": "torch.meshgrid(torch.ones(2), torch.ones(3))  # <-",
    "spread of one": "torch.std(torch.ones(1))  # <-",
    "spread of one, as a method": "torch.ones(1).var()  # <-",
    "imaginary parts dropped": "torch.ones(2, dtype=torch.complex64).to(torch.float32)  # <-",
    "out of another size": "out = torch.empty(3)\ntorch.add(torch.ones(2), 1, out=out)  # <-",
    "older order of arguments": "torch.ones(2).add_(2, torch.ones(2))  # <-",
    "autocast without a GPU": "torch.autocast('cuda')  # <-",
    "older autocast": "torch.cuda.amp.autocast()  # <-",
    "older scaler": "torch.cuda.amp.GradScaler()  # <-",
    "older cpu autocast": "torch.cpu.amp.autocast()  # <-",
    "anomalies": "torch.autograd.detect_anomaly()  # <-",
    "parts of a split": "torch.utils.data.random_split([1], [1, 0])  # <-",
    "traced truth": (
        "def f(x):\n"
        "    return x if x.sum() > 0 else -x  # <-\n"
        "torch.jit.trace(f, torch.ones(2), check_trace=False)"
    ),
    "distribution without constraints": (
        "D = torch.distributions\n"
        "class Mine(D.Distribution):\n"
        "    @property\n"
        "    def event_shape(self): return ()\n"
        "Mine(validate_args=True)  # <-"
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_warning_names_the_line_of_the_script(name: str, torch: ModuleType) -> None:
    wanted = next(i for i, line in enumerate(SCRIPTS[name].split("\n"), 1) if line.endswith("# <-"))
    mine, theirs = warned(name, distrt), warned(name, torch)
    assert [(file, line) for _, file, line in mine] == [(file_of(name), wanted)] * len(mine) and mine
    kinds = [kind for kind, _, _ in theirs if kind != "DeprecationWarning"]  # of all of torch.jit
    assert [kind for kind, _, _ in mine] == kinds


def file_of(name: str) -> str:
    return f"/scripts of users/{name}.py"


def warned(name: str, lib: ModuleType) -> list[tuple[str, str, int]]:
    """The class, file and line of each warning of a script."""
    text = SCRIPTS[name]
    importlib.import_module(f"{lib.__name__}.distributions")
    lib.set_warn_always(True)
    names: dict[str, Any] = {
        "torch": lib,
        "nn": lib.nn,
        "F": lib.nn.functional,
        "numpy": np,
        "__name__": "script",
    }
    linecache.cache[file_of(name)] = (len(text), None, text.splitlines(True), file_of(name))
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            exec(compile(text, file_of(name), "exec"), names)
    finally:
        lib.set_warn_always(False)
    return [(each.category.__name__, each.filename, each.lineno) for each in found]
