"""Scripted and traced models under data parallelism: the parameters are those of the plain model, bit by bit."""

from collections.abc import Callable

import pytest

from tests.multiprocess.conftest import RankRun

PROGRAM = """
import hashlib
import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)])
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        for layer in self.layers:
            x = layer(x).tanh()
        return x.sum(dim=1)

dist.init_process_group()

def train(make):
    torch.manual_seed(5)
    model = DistributedDataParallel(make(Model()))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(100 + dist.get_rank())
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.randn(4, 6)).square().mean().backward()
        optimizer.step()
    return hashlib.sha256(b"".join(each.detach().numpy().tobytes() for each in model.parameters())).hexdigest()

plain = train(lambda model: model)
scripted = train(torch.jit.script)
traced = train(lambda model: torch.jit.trace(model, torch.zeros(2, 6)))
print("same" if plain == scripted == traced else f"differ {plain} {scripted} {traced}")
dist.destroy_process_group()
"""


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [2, 3])
def test_scripted_and_traced_models_train_together(run_ranks: Callable[..., RankRun], ranks: int) -> None:
    run = run_ranks(PROGRAM, ranks)
    assert run.exit_code == 0, run
    assert [run.lines(rank) for rank in range(ranks)] == [["same"]] * ranks
