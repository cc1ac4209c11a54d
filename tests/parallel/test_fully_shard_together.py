"""fully_shard where ranks have the whole parameters in one memory, on threads: what backward finds without a gather."""

import numpy as np
import pytest

import distrt as torch
from distrt.comm.local import run_local
from distrt.parallel.fully_sharded import slots, whole_parameters
from distrt.parallel.fully_sharded.unit import Unit
from tests.parallel.sharded_models import (
    MODELS,
    batches,
    data_parallel,
    join,
    loss_of,
    sharded,
    train,
    values,
)


@pytest.fixture(autouse=True)
def in_one_memory(monkeypatch):
    """Threads have everything in one memory; `one_copy` asks for processes of one machine."""

    def one_copy(group, *shape):
        return group.allocate(shape, np.uint8, copies=1)

    for room in (whole_parameters, slots):
        monkeypatch.setattr(room, "one_copy", one_copy)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_data_parallelism_to_the_bit(name):
    def run(group):
        join(group)
        found = []
        for model in (sharded(name), data_parallel(name, group)):
            train(model, name, group)
            found.append(values(model))
        return found

    for found, expected in run_local(run, 2):
        assert all(map(np.array_equal, found, expected))


def test_outputs_of_a_module_may_leave_the_model_beside_the_root():
    """Backward then comes to a unit without having come to the root."""

    def run(group):
        join(group)
        found = []
        for model in (sharded("mlp"), data_parallel("mlp", group)):
            inner = getattr(model, "module", model)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            outputs = []
            inner[2].register_forward_hook(
                lambda module, given, output, outputs=outputs: outputs.append(output)
            )
            for batch in batches("mlp", 4):
                optimizer.zero_grad()
                loss_of(model, batch, group)
                unused = (
                    sum(parameter.sum() for parameter in inner[4].parameters()) if inner is not model else 0
                )
                (outputs.pop().square().mean() + 0 * unused).backward()
                optimizer.step()
            found.append(values(model))
        return found

    for found, expected in run_local(run, 2):
        assert all(map(np.array_equal, found, expected))


def test_a_graph_from_before_a_step_is_not_used_silently():
    def run(group):
        join(group)
        model = sharded("mlp")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for batch in batches("mlp", 3):  # the first passes make the plan
            loss = loss_of(model, batch, group)
            loss.backward(retain_graph=True)
            optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

    run_local(run, 2)


def test_backward_gathers_nothing(monkeypatch):
    gathered = []
    launch = Unit.launch

    def noted(self, lane, is_backward=False, *args, **kwargs):
        gathered.append(is_backward)
        launch(self, lane, is_backward, *args, **kwargs)

    monkeypatch.setattr(Unit, "launch", noted)

    def run(group):
        join(group)
        train(sharded("deep"), "deep", group)

    run_local(run, 2)
    assert gathered
    assert not any(gathered)
