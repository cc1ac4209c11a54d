"""Collectives with gradients, beyond what gloo can be compared with."""

import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.distributed.nn import functional
from tests.comm.ranks import run_ranks


def test_the_gradient_of_gathered_tensors_comes_back_summed():
    def run(rank):
        tensor = torch.ones(2, requires_grad=True)
        whole = functional._all_gather_base(torch.zeros(4), tensor)
        (whole * torch.arange(4.0) * (rank + 1)).sum().backward()
        return tensor.grad.tolist()

    assert run_ranks(run, 2) == [[0.0, 3.0], [6.0, 9.0]]


def test_subgroups_take_ranks_of_the_job():
    def run(rank):
        pairs = [dist.new_group([0, 2]), dist.new_group([1, 3])]
        group, root = pairs[rank % 2], rank % 2 + 2
        tensor = torch.full((1,), float(rank), requires_grad=True)
        gathered = functional.gather(tensor, root, group)
        sum(each.sum() * (place + 1) for place, each in enumerate(gathered)).backward()
        return [each.item() for each in gathered], tensor.grad.item()

    found = run_ranks(run, 4)
    assert found == [([0, 0], 1), ([0, 0], 1), ([0, 2], 2), ([1, 3], 2)]


@pytest.mark.parametrize(
    "call",
    [
        lambda: functional.broadcast(torch.ones(1), 0),
        lambda: functional.all_reduce(torch.ones(1)),
        lambda: functional.all_gather(torch.ones(1)),
        lambda: functional.reduce_scatter(torch.ones(1), [torch.ones(1)]),
        lambda: functional.all_to_all_single(torch.ones(1), torch.ones(1)),
    ],
)
def test_what_pytorch_deprecates_says_so(call):
    def run(rank):
        with pytest.warns(FutureWarning, match="torch.distributed._functional_collectives") as caught:
            call()
        assert caught[0].filename == __file__

    run_ranks(run, 1)
