"""ZeroRedundancyOptimizer where ranks share memory and where they do not."""

import pytest

from tests.conformance.ranks import Serving

MACHINES = """
import numpy as np
import distrt as torch
from distrt.parallel import DistributedDataParallel
from distrt.parallel.sharding.zero import ZeroRedundancyOptimizer
from tests.parallel.models import batches, make
from tests.parallel.test_zero import backward, values
found, states = [], []
for kind in (None, "in place", "views"):
    model = make("mlp", seed=group.rank())
    model = DistributedDataParallel(model, process_group=group)
    optimizer = torch.optim.Adam(model.parameters()) if kind is None else ZeroRedundancyOptimizer(
        model.parameters(), torch.optim.Adam, process_group=group, parameters_as_bucket_view=kind == "views"
    )
    for batch in batches("mlp", 4):
        optimizer.zero_grad()
        backward(model, group, batch)
        optimizer.step()
    found.append(values(model))
    if kind is not None:
        optimizer.consolidate_state_dict(to=3)
    if group.rank() == 3:
        state = optimizer.state_dict()["state"]
        states.append([value.numpy().tobytes() for each in state.values() for value in each.values()])
print([all(map(np.array_equal, found[0], other)) for other in found[1:]], [each == states[0] for each in states[1:]])
"""


@pytest.mark.slow
def test_ranks_of_several_machines_get_the_same_bits(two_by_two: Serving) -> None:
    same = [True] * 2
    assert two_by_two.output(MACHINES) == [f"{same} []\n"] * 3 + [f"{same} {same}\n"]


LARGE = """
import numpy as np
import distrt as torch
from distrt.parallel.sharding.zero import ZeroRedundancyOptimizer
shapes, found = [(700, 300), (300,), (900, 120), (2, 3)], []
for as_views in (False, True):
    params = [torch.nn.Parameter(torch.ones(shape).double()) for shape in shapes]
    optimizer = ZeroRedundancyOptimizer(
        params, torch.optim.SGD, process_group=group, parameters_as_bucket_view=as_views, lr=1.0
    )
    for step in range(3):
        for number, param in enumerate(params):
            rows = torch.arange(param.numel(), dtype=torch.float64).reshape(param.shape)
            param.grad = rows + number if optimizer._param_to_rank[param] == group.rank() else None
        optimizer.step()
    found += [
        np.array_equal(param.detach().numpy().reshape(-1), 1 - 3.0 * (number + np.arange(param.numel())))
        for number, param in enumerate(params)
    ]
print(all(found), len(found))
"""


def test_large_parameters_arrive_on_one_machine(pair: Serving) -> None:
    assert set(pair.output(LARGE)) == {"True 8\n"}


def test_large_parameters_arrive_on_several(two_by_two: Serving) -> None:
    assert set(two_by_two.output(LARGE)) == {"True 8\n"}
