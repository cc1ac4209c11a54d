"""``mixed_precision=``: what a model computes and averages in narrow dtypes.

PyTorch's needs a GPU (without one it fails, or reads memory that nobody has written), so what its documents say is
spelt out here: a narrow copy of the model on every rank, whose gradients are summed and divided in the dtype asked for.
"""

import copy
import dataclasses
import logging
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.parallel import DistributedDataParallel
from distrt.parallel.mixed_precision import MixedPrecision
from distrt.utils.checkpoint import checkpoint

B, H, F = torch.bfloat16, torch.float16, torch.float32


def net():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    model[2].bias.requires_grad_(False)
    return model


def inputs(rank, step):
    return torch.from_numpy(np.random.default_rng([rank, step]).standard_normal((4, 6)).astype(np.float32))


def by_hand(model, param_dtype, reduce_dtype, size, step):
    """The gradients that each rank must have."""
    summed = None
    for rank in range(size):
        narrow = copy.deepcopy(model)
        narrow.zero_grad()
        narrow.to(param_dtype)
        narrow(inputs(rank, step).to(param_dtype)).float().square().sum().backward()
        sent = [p.grad.to(reduce_dtype) for p in narrow.parameters() if p.requires_grad]
        summed = sent if summed is None else [a + b for a, b in zip(summed, sent, strict=True)]
    return [each.div_(size).float().numpy() for each in summed]


@pytest.mark.parametrize("options", [{}, {"bucket_cap_mb": 1e-4}, {"find_unused_parameters": True}])
@pytest.mark.parametrize(
    "dtypes", [(B, None), (B, B), (B, F), (B, H), (H, None), (H, F), (None, B), (None, None)]
)
def test_gradients_are_those_of_narrow_models_summed_in_the_dtype_asked_for(dtypes, options):
    param_dtype, reduce_dtype = dtypes
    config = MixedPrecision(param_dtype, reduce_dtype)
    computed_in = param_dtype or F
    averaged_in = reduce_dtype or computed_in

    def run(group):
        model = DistributedDataParallel(net(), process_group=group, mixed_precision=config, **options)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0625)
        for step in range(3):
            optimizer.zero_grad()
            outputs = model(inputs(group.rank(), step))
            assert outputs.dtype is computed_in
            outputs.float().square().sum().backward()
            assert {p.dtype for p in model.parameters()} == {F}
            found = [p.grad for p in model.parameters() if p.requires_grad]
            expected = by_hand(model.module, computed_in, averaged_in, 2, step)
            for gradient, wanted in zip(found, expected, strict=True):
                assert gradient.dtype is F
                np.testing.assert_array_equal(gradient.numpy(), wanted)
            optimizer.step()
        return [p.detach().numpy().copy() for p in model.parameters()]

    for mine, theirs in zip(*run_local(run, 2), strict=True):
        assert np.array_equal(mine, theirs)


def test_the_model_sees_narrow_parameters_and_inputs_and_its_state_stays_wide():
    Pair = namedtuple("Pair", "left right")

    @dataclasses.dataclass
    class Held:
        wide: object
        number: int = 3

    seen = {}

    class Looking(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(2, 2)
            self.second = nn.Linear(2, 2)
            self.second.weight = self.first.weight
            self.register_buffer("mean", torch.ones(2))

        def forward(self, x, pair, mapping, *, held, count):
            seen.update(
                x=x, left=pair.left, right=pair.right[0], mapped=mapping["a"], held=held.wide, count=count
            )
            seen.update(
                weight=self.second.weight, mean=self.mean, is_tied=self.first.weight is self.second.weight
            )
            assert held.number == 3 and type(pair) is Pair and type(mapping) is OrderedDict
            return self.second(self.first(x))

    def run(group):
        model = DistributedDataParallel(
            Looking(), process_group=group, mixed_precision=MixedPrecision(B, F, H)
        )
        one = torch.ones(1, 2)
        counts = torch.ones(1, dtype=torch.int64)
        outputs = model(one, Pair(one, [one]), OrderedDict(a=one), held=Held(one), count=counts)
        state = {name: each.dtype for name, each in model.state_dict().items()}
        outputs.sum().backward()
        return state, model.module.first.weight.grad.dtype

    ((state, gradient),) = run_local(run, 1)
    dtypes = {name: each if isinstance(each, bool) else each.dtype for name, each in seen.items()}
    narrow = dict.fromkeys(("x", "left", "right", "mapped", "held", "weight"), B)
    assert dtypes == narrow | {"count": torch.int64, "mean": H, "is_tied": True}
    assert state.pop("module.mean") is H and set(state.values()) == {F} and gradient is F


def test_what_is_ignored_stays_wide():
    def run(group):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, ["1.weight", "1.bias"])
        wrapped = DistributedDataParallel(model, process_group=group, mixed_precision=MixedPrecision(B))
        seen = []
        model[1].register_forward_pre_hook(
            lambda layer, given: seen.append((layer.weight.dtype, given[0].dtype))
        )
        with pytest.raises(RuntimeError):
            wrapped(torch.ones(1, 2))
        return seen

    assert run_local(run, 1) == [[(F, B)]]


def test_it_takes_the_place_of_a_communication_hook_and_says_what_it_got(caplog):
    def run(group):
        model = DistributedDataParallel(net(), process_group=group, mixed_precision=MixedPrecision(B))
        with pytest.raises(RuntimeError, match="can only be called once"):
            model.register_comm_hook(None, lambda state, bucket: None)
        return repr(model.mixed_precision)

    with caplog.at_level(logging.WARNING):
        (told,) = run_local(run, 1)
    assert told == "_MixedPrecision(param_dtype=torch.bfloat16, reduce_dtype=None, buffer_dtype=None)"
    assert f"Received mixed precision config {told}" in caplog.text


def test_an_evaluation_is_narrow_too():
    def run(group):
        model = DistributedDataParallel(net(), process_group=group, mixed_precision=MixedPrecision(B)).eval()
        with torch.no_grad():
            outputs = model(torch.ones(1, 6))
        return outputs.dtype, outputs.requires_grad, {p.dtype for p in model.parameters()}

    assert run_local(run, 1) == [(B, False, {F})]


def test_parts_that_backward_repeats_are_narrow_too():
    class Net(nn.Module):
        def __init__(self, repeats):
            super().__init__()
            self.layers, self.repeats, self.seen = net(), repeats, []

        def block(self, x):
            self.seen.append((x.dtype, self.layers[2].weight.dtype))
            return self.layers[2:](x)

        def forward(self, x):
            hidden = self.layers[:2](x)
            found = (
                checkpoint(self.block, hidden, use_reentrant=False) if self.repeats else self.block(hidden)
            )
            return found.float().square().sum()

    def run(group):
        found = []
        for repeats in (True, False):
            model = Net(repeats)
            wrapped = DistributedDataParallel(model, process_group=group, mixed_precision=MixedPrecision(B))
            wrapped(inputs(group.rank(), 0)).backward()
            found.append([p.grad.numpy() for p in model.parameters() if p.requires_grad])
            assert model.seen == [(B, B)] * (1 + repeats)
            assert {p.dtype for p in model.parameters()} == {F}
        return found

    for repeated, kept in run_local(run, 2):
        for one, other in zip(repeated, kept, strict=True):
            np.testing.assert_array_equal(one, other)
