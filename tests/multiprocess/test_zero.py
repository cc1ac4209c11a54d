"""ZeroRedundancyOptimizer beside PyTorch's on real ranks: values, state dicts, schedules, groups and errors."""

import json
from typing import Any

import pytest

from tests.multiprocess.side_by_side import run_distrt, run_torch
from tests.oracles import require_torch

require_torch()
pytestmark = pytest.mark.timeout(320)  # the first test starts PyTorch in every rank

PRELUDE = """
import json, logging
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop, Adamax

logging.disable(logging.WARNING)
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()

def waves(*shape, start=0.0):
    count = 1
    for each in shape:
        count *= each
    return (torch.arange(count, dtype=torch.float64) * 0.7 + start).sin().reshape(shape)

def net():
    layers = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    with torch.no_grad():
        for place, each in enumerate(layers.parameters()):
            each.copy_(waves(*each.shape, start=place))
    return layers

def backward(model, step):
    inputs, targets = waves(12, 5, start=step), waves(12, 3, start=step + 0.5)
    part = slice(rank * 12 // size, (rank + 1) * 12 // size)
    loss = (model(inputs[part]) - targets[part]).square().mean()
    loss.backward()
    return loss

def plain(value):
    "For JSON: structure, keys and types as they are."
    if isinstance(value, torch.Tensor):
        values = value.detach().double().reshape(-1).tolist()
        return ["tensor", str(value.dtype).split(".")[1], list(value.shape), values]
    if isinstance(value, dict):
        return ["dict", [[plain(key), plain(each)] for key, each in value.items()]]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [plain(each) for each in value]]
    return value

rows = []  # printed in the end: nobody reads a rank's pipe while it runs

def show(what, value):
    rows.append(json.dumps([section, what, plain(value)]))

def consolidated(optimizer, to=0):
    "The whole state, on the rank that has it."
    optimizer.consolidate_state_dict(to)
    return optimizer.state_dict() if rank == to else None

def message(call):
    try:
        return ["no error", str(call() is None)]
    except Exception as error:
        return [type(error).__name__, str(error)]
"""


Rows = dict[str, list[list[Any]]]  # per section, what a rank showed


@pytest.fixture(scope="module", params=[2, 3])
def shown(request: pytest.FixtureRequest) -> list[tuple[Rows, Rows]]:
    """What each of this many ranks showed: PyTorch's, and ours. One run for all: PyTorch takes long to begin."""
    sections = "".join(f"\nsection = {name!r}\n{script}" for name, script in SECTIONS.items())
    program = PRELUDE + sections + "print(*rows, sep=chr(10))\n"
    theirs, ours = (run(program, request.param, 150.0) for run in (run_torch, run_distrt))
    return [(_by_section(one), _by_section(other)) for one, other in zip(theirs, ours, strict=True)]


def _by_section(text: str) -> Rows:
    found: Rows = {name: [] for name in SECTIONS}
    for line in text.splitlines():
        section, *row = json.loads(line)
        found[section].append(row)
    return found


def same(shown: list[tuple[Rows, Rows]], section: str) -> None:
    """Both libraries show the same, floats up to 1e-12."""
    for rank, (theirs, ours) in enumerate(shown):
        expected, found = theirs[section], ours[section]
        assert len(expected) == len(found) > 0, (expected, found)
        for one, other in zip(expected, found, strict=True):
            differs = difference(one, other)
            assert differs is None, f"rank {rank}, {one[0]}: PyTorch, then distrt: {differs}"


def difference(one: Any, other: Any) -> str | None:
    if isinstance(one, float) and isinstance(other, float):
        return None if one == other or abs(one - other) <= 1e-12 else f"{one!r} {other!r}"
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next(filter(None, map(difference, one, other)), None)
    return None if one == other and type(one) is type(other) else f"{one!r} {other!r}"


TRAINING = """
cases = [
    (SGD, dict(lr=0.1)),
    (SGD, dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
    (Adam, dict(lr=0.02, amsgrad=True)),
    (AdamW, dict(lr=0.02)),
    (Adagrad, dict(lr=0.05)),
    (RMSprop, dict(lr=0.01, momentum=0.5, centered=True)),
    (Adamax, dict(lr=0.02)),
]
for kind, options in cases:
    for as_views in (False, True):
        model = DistributedDataParallel(net())
        optimizer = ZeroRedundancyOptimizer(
            model.parameters(), optimizer_class=kind, parameters_as_bucket_view=as_views, **options
        )
        for step in range(4):
            optimizer.zero_grad()
            backward(model, step)
            show("step returns", optimizer.step())
        what = f"{kind.__name__} {as_views}"
        show(what, list(model.parameters()))
        show(what + ": mine", optimizer.optim.state_dict())
        show(what + ": state", consolidated(optimizer, to=size - 1))
        show("repr", repr(optimizer))
"""


GROUPS = """
model = DistributedDataParallel(net())
named = dict(model.module.named_parameters())
weights = [each for name, each in named.items() if "weight" in name and not name.startswith("4")]
biases = [each for name, each in named.items() if "bias" in name and not name.startswith("4")]
optimizer = ZeroRedundancyOptimizer(
    [{"params": weights, "weight_decay": 0.1}, {"params": biases, "lr": 0.01}],
    optimizer_class=SGD, lr=0.1, momentum=0.9, parameters_as_bucket_view=VIEWS,
)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
position = {id(each): name for name, each in named.items()}

def parts():
    return [[[position[id(each)] for each in group["params"]] for group in groups]
            for groups in optimizer._partition_parameters()]

show("parts", parts())
for step in range(6):
    if step == 3:
        last = [each for name, each in named.items() if name.startswith("4")]
        optimizer.add_param_group({"params": last, "lr": 0.3})
        show("parts with a new group", parts())
    optimizer.zero_grad(set_to_none=step % 2 == 0)
    backward(model, step)
    optimizer.step()
    if step < 3:
        schedule.step()
    show("rates", [group["lr"] for group in optimizer.param_groups + optimizer.optim.param_groups])
    show("scheduled", schedule.get_last_lr())
    show("parameters", list(model.parameters()))
show("state", consolidated(optimizer))
show("ranks", [optimizer._param_to_rank[each] for each in optimizer._index_to_param])
show("numbers", [optimizer._param_to_index[each] for each in optimizer._index_to_param])
show("place", [optimizer.rank, optimizer.world_size, optimizer.global_rank, str(optimizer.join_device)])
"""


LOADING = """
def trained(optimizer, model, steps):
    for step in steps:
        optimizer.zero_grad()
        backward(model, step)
        optimizer.step()

def made(**options):
    model = DistributedDataParallel(net())
    return model, ZeroRedundancyOptimizer(model.parameters(), optimizer_class=Adam, **options)

model, optimizer = made(lr=0.02)
trained(optimizer, model, range(3))
saved = [consolidated(optimizer)]
weights = [model.module.state_dict()]
if rank == 0:
    text = [json.dumps([[number, name, each.tolist()] for number, state in saved[0]["state"].items()
                        for name, each in state.items()])]
else:
    text = [None]
dist.broadcast_object_list(text, src=0)
state = {}
for number, name, values in json.loads(text[0]):
    state.setdefault(number, {})[name] = torch.tensor(values, dtype=torch.float32 if name == "step" else torch.float64)
whole = {"state": state, "param_groups": [dict(optimizer.optim.param_groups[0], params=list(range(6)))]}

other, loading = made(lr=5.0, parameters_as_bucket_view=True)
other.module.load_state_dict(model.module.state_dict())
loading.load_state_dict({"state": dict(whole["state"]), "param_groups": whole["param_groups"]})
show("rate", [loading.param_groups[0]["lr"], loading.optim.param_groups[0]["lr"]])
show("mine", loading.optim.state_dict())
trained(loading, other, range(3, 5))
trained(optimizer, model, range(3, 5))
show("parameters", list(other.parameters()))
show("the same", all(torch.equal(*pair) for pair in zip(model.parameters(), other.parameters())))
show("whole", consolidated(loading, to=1))

if rank == 1:  # the whole state fits an ordinary optimizer
    alone = net()
    ordinary = Adam(alone.parameters())
    ordinary.load_state_dict(loading.state_dict())
    show("ordinary", ordinary.state_dict())
"""


ERRORS = """
model = net()
layer = nn.Linear(2, 2)
for given in ([], torch.rand(1), 1.2, list(model.parameters()) + [42], [{"lr": 1}], [layer.weight, model[0].weight],
              [{"params": [layer.weight]}, layer.bias]):
    show("constructor", message(lambda: ZeroRedundancyOptimizer(given, optimizer_class=SGD, lr=0.1)))
optimizer = ZeroRedundancyOptimizer(model.parameters(), SGD, lr=0.1)
show("not consolidated", message(optimizer.state_dict))
optimizer.consolidate_state_dict(to=1)
show("elsewhere", message(optimizer.state_dict) if rank == 0 else None)
show("once more", message(lambda: optimizer.add_param_group({"params": [model[0].weight]})))
groups = [dict(optimizer.optim.param_groups[0], params=list(range(5)))]
show("sizes", message(lambda: optimizer.load_state_dict({"state": {}, "param_groups": groups})))
show("groups", message(lambda: optimizer.load_state_dict({"state": {}, "param_groups": groups * 2})))
show("too many", message(lambda: optimizer.load_state_dict({"state": {9: {}}, "param_groups": groups})))
extra = nn.Linear(3, 3).double()
optimizer.consolidate_state_dict()
optimizer.add_param_group({"params": extra.parameters()})
show("since then", message(optimizer.state_dict) if rank == 0 else None)
"""


OVERLAPPING = """
from torch.distributed.algorithms.ddp_comm_hooks.ddp_zero_hook import (
    hook_with_zero_step, hook_with_zero_step_interleaved
)
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

model = DistributedDataParallel(net())
optimizer = ZeroRedundancyOptimizer(model.parameters(), SGD, overlap_with_ddp=True, lr=0.1)
show("step", message(optimizer.step))
show("state", message(optimizer.state_dict))
show("consolidated", message(optimizer.consolidate_state_dict))
show("loaded", message(lambda: optimizer.load_state_dict({"state": {}, "param_groups": []})))
show("group", message(lambda: optimizer.add_param_group({"params": [torch.ones(1)]})))
show("groups", [list(group) for group in optimizer.param_groups] + optimizer._buckets)
without = ZeroRedundancyOptimizer(net().parameters(), SGD, lr=0.1)
for hook in (hook_with_zero_step, hook_with_zero_step_interleaved):
    for each in (optimizer, without):
        show("hook", message(lambda: hook(allreduce_hook, model, each)))
show("class", message(lambda: ZeroRedundancyOptimizer(net().parameters(), torch.optim.ASGD, overlap_with_ddp=True))[0])
"""

CUSTOM = """
class WithKey(SGD):
    def step(self, closure=None, given=None):
        super().step()
        self.param_groups[0]["new_key"] = 0.1
        given.append(5)

class WithoutClosure(SGD):
    def step(self):
        return super().step()

weight = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
optimizer = ZeroRedundancyOptimizer([weight], optimizer_class=WithKey, lr=0.1)
weight.grad = torch.tensor([2.0], dtype=torch.float64)
given = []
optimizer.step(given=given)
show("keywords", [given, optimizer.param_groups[0]["new_key"], weight])
optimizer = ZeroRedundancyOptimizer([weight], optimizer_class=WithoutClosure, lr=0.1)
optimizer.step()
show("without closure", weight)

model = DistributedDataParallel(net())
optimizer = ZeroRedundancyOptimizer(model.parameters(), SGD, lr=0.1)
def closure():
    optimizer.zero_grad()
    return backward(model, 1)
show("closure", optimizer.step(closure))
show("parameters", list(model.parameters()))

group = dist.new_group([0, 1])
if rank < 2:
    model = net()
    optimizer = ZeroRedundancyOptimizer(model.parameters(), SGD, lr=0.1, momentum=0.9, process_group=group)
    for each in model.parameters():
        each.grad = torch.ones_like(each)
    optimizer.step()
    show("of a group", list(model.parameters()))
    show("state", consolidated(optimizer))

model = net()
optimizer = ZeroRedundancyOptimizer(model.parameters(), SGD, lr=0.1, parameters_as_bucket_view=True)
for step in range(4):
    for place, each in enumerate(model.parameters()):
        each.requires_grad = (place + step) % 3 != 0
        each.grad = torch.ones_like(each) if each.requires_grad else None
    optimizer.step()
    show("trained by turns", list(model.parameters()))
    show("buckets", optimizer._buckets)
"""
JOINING = """
from torch.distributed.algorithms.join import Join, Joinable, JoinHook
from torch.distributed.optim.zero_redundancy_optimizer import _broadcast_object

model = net()
optimizer = ZeroRedundancyOptimizer(model.parameters(), Adam, lr=0.1, parameters_as_bucket_view=True)
class Iteration(Joinable):  # PyTorch's optimizer must not be the first
    join_device, join_process_group = torch.device("cpu"), dist.group.WORLD
    def __init__(self):
        super().__init__()
    def join_hook(self, **kwargs):
        return JoinHook()

steps, iteration = 0, Iteration()
with Join([iteration, optimizer]):
    for step in range(3 + 2 * rank):
        Join.notify_join_context(iteration)
        for each in model.parameters():
            each.grad = torch.full_like(each, 0.5)
        optimizer.step()
        steps += 1
show("steps", steps)
show("joined", list(model.parameters()))
show("state", consolidated(optimizer))
show("group", [optimizer.join_process_group is dist.group.WORLD, type(optimizer.join_hook()).__mro__[-2].__name__])
show("object", _broadcast_object({"rank": rank, "tensor": torch.arange(rank + 2)}, src_rank=1))

given = [{"params": list(model[0].parameters()), "lr": 0.2}, {"params": [model[2].weight], "nesterov": True}]
optimizer = ZeroRedundancyOptimizer(given, SGD, lr=0.1, momentum=0.5)
show("groups", [[group[name] for name in ("lr", "momentum", "nesterov")] for group in optimizer.param_groups])
show("is", [isinstance(optimizer, torch.optim.Optimizer), len(given), optimizer.param_groups[0] is given[0]])
optimizer.zero_grad()
show("forgotten", [each.grad for each in model[0].parameters()])
"""

SECTIONS = {
    "training": TRAINING,
    "groups": GROUPS.replace("VIEWS", "False"),
    "groups of views": GROUPS.replace("VIEWS", "True"),
    "loading": LOADING,
    "errors": ERRORS,
    "overlapping": OVERLAPPING,
    "custom": CUSTOM,
    "joining": JOINING,
}

Shown = list[tuple[Rows, Rows]]


def test_parameters_and_states_are_pytorchs(shown: Shown) -> None:
    same(shown, "training")


@pytest.mark.parametrize("section", ["groups", "groups of views"])
def test_groups_schedules_and_later_groups_are_pytorchs(shown: Shown, section: str) -> None:
    same(shown, section)


def test_a_whole_state_is_loaded_as_in_pytorch(shown: Shown) -> None:
    same(shown, "loading")


@pytest.mark.parametrize("section", ["errors", "overlapping"])
def test_errors_are_pytorchs(shown: Shown, section: str) -> None:
    same(shown, section)


def test_keywords_closures_and_frozen_parameters_are_pytorchs(shown: Shown) -> None:
    same(shown, "custom")


def test_joining_and_small_things_are_pytorchs(shown: Shown) -> None:
    same(shown, "joining")
