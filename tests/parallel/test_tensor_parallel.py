"""parallelize_module on threads: what a model computes alone, its parts and all ranks' gradients together."""

import copy
import importlib
import inspect

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import ShapeError, UnsupportedError
from distrt.distributed import tensor as distributed
from distrt.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_module, distribute_tensor
from distrt.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    PrepareModuleOutput,
    RowwiseParallel,
    SequenceParallel,
    loss_parallel,
    parallelize_module,
)
from distrt.nn import functional as F
from tests.parallel.sharded_models import join

CLASSES, WIDTH, HEADS = 12, 8, 2


def mesh_of(group, names=None):
    join(group)
    return torch.distributed.init_device_mesh("cpu", (group.size(),), mesh_dim_names=names)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = HEADS
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, mask=None):
        rows, length, _ = x.shape
        q, k, v = (
            layer(x).view(rows, length, self.heads, WIDTH // HEADS).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(seen.transpose(1, 2).reshape(rows, length, -1))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.attention, self.mlp_norm = nn.LayerNorm(WIDTH), Attention(), nn.RMSNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        x = x + self.attention(self.norm(x), mask=None)
        return x + self.mlp(self.mlp_norm(x))


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.blocks = nn.Embedding(CLASSES, WIDTH), nn.Sequential(Block(), Block())
        self.norm, self.output = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES, bias=False)

    def forward(self, x):
        return self.output(self.norm(self.blocks(self.tokens(x))))


def cut_with_sequences(model, mesh, **output):
    """The plan of PyTorch's tutorial: between the blocks each rank has some positions."""
    whole, positions = Replicate(), Shard(1)
    parallelize_module(
        model,
        mesh,
        {
            "tokens": RowwiseParallel(input_layouts=whole, output_layouts=positions),
            "blocks.*.norm": SequenceParallel(),
            "blocks.*.attention": PrepareModuleInput(
                input_layouts=positions,
                desired_input_layouts=whole,
                input_kwarg_layouts={},
                desired_input_kwarg_layouts={},
            ),
            "blocks.*.attention.[qkv]*": ColwiseParallel(),
            "blocks.*.attention.out": RowwiseParallel(output_layouts=positions),
            "blocks.*.mlp_norm": SequenceParallel(),
            "blocks.*.mlp": PrepareModuleInput(
                input_layouts=positions, desired_input_layouts=whole, use_local_output=True
            ),
            "blocks.*.mlp.0": ColwiseParallel(),
            "blocks.*.mlp.2": RowwiseParallel(output_layouts=positions),
            "norm": SequenceParallel(),
            "output": ColwiseParallel(input_layouts=positions, **(output or {"output_layouts": whole})),
        },
    )
    for block in model.blocks:
        block.attention.heads //= mesh.size()
    return model


def trained(model, steps=3):
    """Losses, norms and whole parameters of a few steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    seen = []
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        x, y = torch.randint(CLASSES, (2, 2, 4), generator=generator)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        seen += [loss.item(), norm.item()]
    whole = [each.full_tensor() if isinstance(each, DTensor) else each for each in model.parameters()]
    return seen, [each.tolist() for each in whole]


def same(found, expected):
    return all(np.allclose(*pair, rtol=1e-7, atol=1e-9) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("output", [{}, {"use_local_output": False}], ids=["logits", "logits cut by class"])
def test_a_transformer_that_is_cut_trains_as_a_whole_one(output):
    torch.manual_seed(0)
    model = Language().double()
    losses, parameters = trained(copy.deepcopy(model))

    def run(group):
        mesh = mesh_of(group)
        with loss_parallel():
            return trained(cut_with_sequences(copy.deepcopy(model), mesh, **output))

    for found, whole in run_local(run, 2):
        assert np.allclose(found, losses, rtol=1e-8) and same(whole, parameters)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(
    "layouts",
    [
        (None, Replicate(), True),
        (Shard(0), Shard(0), True),
        (Shard(-1), Shard(-1), True),
        (Replicate(), Shard(-1), False),
    ],
    ids=str,
)
def test_two_layers_give_outputs_and_gradients_of_the_whole_ones_wherever_the_parts_lie(layouts, size):
    given, wanted, is_local = layouts
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 6)).double()  # 7 in 3 parts: 3, 3 and 1
    x = torch.randn(6, 6, dtype=torch.float64)
    x.requires_grad_()
    expected = whole(x)
    (expected * x.detach()).sum().backward()

    def run(group):
        mesh = mesh_of(group)
        model = parallelize_module(
            copy.deepcopy(whole),
            mesh,
            {
                "0": ColwiseParallel(input_layouts=given),
                "2": RowwiseParallel(output_layouts=wanted, use_local_output=is_local),
            },
        )
        inputs = distribute_tensor(x.detach(), mesh, [given or Replicate()]).requires_grad_()
        scale = distribute_tensor(x.detach(), mesh, [wanted]).to_local()
        found = model(inputs.to_local() if is_local else inputs)
        local = found if is_local else found.to_local()
        (local * scale).sum().backward()
        output = DTensor.from_local(local, mesh, [wanted], shape=expected.shape, stride=expected.stride())
        gradients = [inputs.grad, *(each.grad for each in model.parameters())]
        assert all(
            each.shape == like.shape for each, like in zip(gradients[1:], whole.parameters(), strict=True)
        )
        return output.full_tensor().tolist(), [each.full_tensor().tolist() for each in gradients]

    gradients = [x.grad.tolist(), *(each.grad.tolist() for each in whole.parameters())]
    for found, theirs in run_local(run, size):
        assert same([found], [expected.tolist()]) and same(theirs, gradients)


@pytest.mark.parametrize("length", [5, 1])
def test_positions_that_ranks_have_unequal_numbers_of_are_those_of_the_whole(length):
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4)).double()
    x = torch.randn(2, length, 4, dtype=torch.float64)
    expected = whole(x)
    (expected**2).sum().backward()
    positions = Shard(1)
    plan = {
        "0": RowwiseParallel(input_layouts=Replicate(), output_layouts=positions, use_local_output=False),
        "1": SequenceParallel(sequence_dim=-2),
        "2": ColwiseParallel(input_layouts=positions, output_layouts=Replicate()),
    }

    def run(group):
        model = parallelize_module(copy.deepcopy(whole), mesh_of(group), plan)
        found = model(x)
        (found**2).sum().backward()
        return found.tolist(), [each.grad.full_tensor().tolist() for each in model.parameters()]

    gradients = [each.grad.tolist() for each in whole.parameters()]
    for found, theirs in run_local(run, 2):
        assert same([found], [expected.tolist()]) and same(theirs, gradients)


def test_an_embedding_of_which_ranks_have_columns_or_rows_is_the_whole_one():
    torch.manual_seed(0)
    whole, x = nn.Embedding(5, 4), torch.tensor([[0, 4], [2, 2]])
    expected = whole(x)
    expected.pow(2).sum().backward()

    def run(group):
        mesh, found = mesh_of(group), []
        for style in (
            ColwiseParallel(output_layouts=Replicate()),
            RowwiseParallel(input_layouts=Replicate()),
        ):
            layer = parallelize_module(copy.deepcopy(whole), mesh, style)
            output = layer(x)
            output.pow(2).sum().backward()
            found += [output.tolist(), layer.weight.grad.full_tensor().tolist()]
        return found

    for found in run_local(run, 2):
        assert same(found, [expected.tolist(), whole.weight.grad.tolist()] * 2)


def test_a_loss_of_logits_cut_by_class_takes_weights_reductions_and_targets_to_be_ignored():
    torch.manual_seed(0)
    logits, target, weight = (
        torch.randn(4, 5, 2),
        torch.tensor([[0, 4], [1, -100], [3, 3], [2, 0]]),
        torch.rand(5),
    )
    cases = [{}, {"reduction": "sum"}, {"reduction": "none", "weight": weight}, {"weight": weight}]
    logits.requires_grad_()
    expected = []
    for each in cases:
        loss = F.cross_entropy(logits, target, **each)
        (slope,) = torch.autograd.grad(loss.sum(), logits)
        expected += [loss.tolist(), slope.tolist()]

    def run(group):
        mesh, found = mesh_of(group), []
        for each in cases:
            cut = distribute_tensor(logits.detach(), mesh, [Shard(1)]).requires_grad_()
            loss = F.cross_entropy(cut, target, **each)
            loss.sum().backward()
            found += [loss.full_tensor().tolist(), cut.grad.full_tensor().tolist()]
        with pytest.raises(UnsupportedError, match="label_smoothing"):
            F.cross_entropy(cut, target, label_smoothing=0.1)
        return found

    for found in run_local(run, 3):  # 5 classes: 2, 2 and 1
        assert all(np.allclose(*pair, atol=1e-6) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ([0, 5], "Target 5 is out of bounds"),
        ([-1, 0], "Target -1 is out of bounds"),
        ([3], "Expected target size"),
    ],
)
def test_a_loss_of_logits_cut_by_class_refuses_what_is_no_target(target, said):
    def run(group):
        cut = distribute_tensor(torch.randn(2, 5), mesh_of(group), [Shard(1)])
        with pytest.raises((IndexError, ShapeError), match=said):
            F.cross_entropy(cut, torch.tensor(target))
        return F.cross_entropy(cut, torch.tensor([4, -100])).item() > 0

    assert run_local(run, 2) == [True, True]


def test_gradients_flow_through_distributed_tensors_and_moves():
    def run(group):
        mesh, rank = mesh_of(group), group.rank()
        leaf = torch.ones(2, 4, requires_grad=True)
        found = []
        for old, new in (
            (Partial(), Replicate()),
            (Partial(), Shard(1)),
            (Shard(0), Replicate()),
            (Shard(0), Shard(1)),
            (Replicate(), Shard(0)),
        ):
            moved = DTensor.from_local(leaf, mesh, [old]).redistribute(placements=[new])
            local = moved.to_local()
            scale = torch.arange(1.0, 1 + moved.numel()).reshape(moved.shape)
            (local * distribute_tensor(scale, mesh, [new]).to_local()).sum().backward()
            found.append(leaf.grad.tolist())
            leaf.grad = None
        return rank, found

    rows = np.arange(1.0, 9).reshape(2, 4)
    all_rows = np.arange(1.0, 17).reshape(4, 4)
    for rank, found in run_local(run, 2):
        mine = all_rows[2 * rank : 2 * rank + 2].tolist()
        assert found == [rows.tolist(), rows.tolist(), mine, mine, rows.tolist()]


def test_the_whole_of_a_part_that_requires_grad_gives_the_part_its_gradient():
    def run(group):
        part = distribute_tensor(torch.arange(6.0).requires_grad_(), mesh_of(group), [Shard(0)])
        (part.full_tensor() ** 2).sum().backward()
        assert part.is_leaf and isinstance(part.grad, DTensor)
        return part.grad.full_tensor().tolist()

    assert run_local(run, 2) == [[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]] * 2


@pytest.mark.parametrize("rows", [4, 1])
@pytest.mark.parametrize(
    "number",
    [
        lambda x: x.norm(),
        lambda x: x.norm(p="fro"),
        lambda x: x.norm(1),
        lambda x: x.norm(3),
        lambda x: x.norm(float("inf")),
        lambda x: x.norm(-float("inf")),
        lambda x: x.max(),
        lambda x: x.min(),
        lambda x: x.sum(),
        lambda x: x.mean(),
        lambda x: x.norm() * x.max(),
    ],
    ids="norm fro norm1 norm3 norminf norm-inf max min sum mean product".split(),
)
def test_a_number_of_all_parts_gives_each_part_its_gradient(number, rows):
    values = torch.tensor([[3.0, -1.0], [0.0, 3.0], [-2.0, 1.0], [2.0, 3.0]], dtype=torch.float64)[:rows]
    whole = values.clone().requires_grad_()
    number(whole).backward()

    def run(group):
        part = distribute_tensor(values, mesh_of(group), [Shard(0)]).requires_grad_()
        number(part).backward()
        return part.grad.full_tensor().tolist()

    for found in run_local(run, 3):
        assert np.allclose(found, whole.grad.tolist())


@pytest.mark.parametrize(
    "together",
    [
        lambda x, w: x / x.norm(),
        lambda x, w: x.sum() * x,
        lambda x, w: x * w,
        lambda x, w: w - x,
        lambda x, w: (x + w.exp()).square() * x.mean(),
    ],
)
def test_what_every_rank_has_gets_the_gradients_of_all_parts(together):
    x = torch.arange(1.0, 9.0, dtype=torch.float64).reshape(4, 2)
    w = torch.tensor([2.0, 0.5], dtype=torch.float64)
    wholes = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    (together(*wholes) * x.sqrt()).sum().backward()

    def run(group):
        mesh = mesh_of(group)
        placed = zip((x, w), ([Shard(0)], [Replicate()]), strict=True)
        parts = [distribute_tensor(each, mesh, lies).requires_grad_() for each, lies in placed]
        (together(*parts) * distribute_tensor(x.sqrt(), mesh, [Shard(0)])).sum().backward()
        return [None if each.grad is None else each.grad.full_tensor().tolist() for each in parts]

    for found in run_local(run, 3):
        for mine, whole in zip(found, wholes, strict=True):
            assert (mine is None and whole.grad is None) or np.allclose(mine, whole.grad.tolist())


def test_a_layer_that_raises_has_its_parameters_again():
    def run(group):
        layer = parallelize_module(nn.Linear(4, 4), mesh_of(group), RowwiseParallel())
        names = dict(layer.named_parameters())
        with pytest.raises(RuntimeError):
            layer(torch.ones(2, 3))
        return all(each is names[name] for name, each in layer.named_parameters()) and len(names)

    assert run_local(run, 2) == [2, 2]


def test_outputs_can_be_laid_out_anew_and_others_be_left_alone():
    class Two(nn.Module):
        def forward(self, x, *, bias):
            return x + bias, "text"

    def run(group):
        mesh = mesh_of(group)
        module = parallelize_module(
            Two(),
            mesh,
            PrepareModuleOutput(output_layouts=(Shard(0), None), desired_output_layouts=(Replicate(), None)),
        )
        found, text = module(torch.full((1,), float(group.rank())), bias=1)
        assert text == "text"
        with pytest.raises(ValueError, match="same length"):
            parallelize_module(nn.ReLU(), mesh, module_input())(torch.ones(2), 3)
        return found.tolist()

    def module_input():
        return PrepareModuleInput(input_layouts=Shard(0), desired_input_layouts=Replicate())

    assert run_local(run, 2) == [[1.0, 2.0]] * 2


def test_tensors_are_made_in_parts():
    def run(group):
        mesh = mesh_of(group)
        torch.manual_seed(0)
        drawn = distributed.randn(5, 2, device_mesh=mesh, placements=[Shard(0)])
        torch.manual_seed(0)
        assert drawn.full_tensor().tolist() == torch.randn(5, 2).tolist()
        with mesh:
            made = [distributed.zeros(2, 3), distributed.ones((2, 3)), distributed.full([2, 3], 4)]
        assert [each.full_tensor().sum().item() for each in made] == [0.0, 6.0, 24]
        empty = distributed.empty(3, 2, dtype=torch.int64, device_mesh=mesh, placements=[Shard(1)])
        assert empty.dtype is torch.int64 and distributed.rand(3, device_mesh=mesh).max() < 1
        return tuple(empty.shape), tuple(empty.to_local().shape)

    assert run_local(run, 2) == [((3, 2), (3, 1))] * 2


def test_a_module_is_distributed_once_by_functions_of_the_users():
    def run(group):
        mesh = mesh_of(group)

        def cut(name, module, mesh):
            module.weight = nn.Parameter(distribute_tensor(module.weight, mesh, [Shard(0)]))

        class Passing(nn.BatchNorm1d):
            def forward(self, x):
                return x - 1

        layer = distribute_module(
            Passing(2),
            mesh,
            cut,
            lambda module, inputs, mesh: (inputs[0] + 1,),
            lambda module, outputs, mesh: outputs.sum().item(),
        )
        assert layer(torch.zeros(4, 1)) == 0.0
        with pytest.raises(RuntimeError, match="only be called once"):
            distribute_module(layer, mesh)
        with pytest.raises(ValueError, match="3 arguments"):
            distribute_module(nn.ReLU(), mesh, input_fn=lambda inputs: inputs)
        lies = [each.placements for each in (layer.weight, layer.bias, layer.running_mean)]
        return layer.eval().num_batches_tracked.placements, *lies

    assert run_local(run, 2) == [((Replicate(),), (Shard(0),), (Replicate(),), (Replicate(),))] * 2


def test_plans_that_cannot_be_followed_say_so():
    def run(group):
        mesh = mesh_of(group)
        with pytest.warns(
            UserWarning, match="'block.x' could not be resolved: no submodule matching token 'block'"
        ):
            parallelize_module(nn.Sequential(nn.ReLU()), mesh, {"block.x": ColwiseParallel()})
        with pytest.warns(UserWarning, match="will do nothing"):
            parallelize_module(nn.ReLU(), mesh)
        with pytest.raises(NotImplementedError, match=r"only support nn\.Linear and nn\.Embedding"):
            parallelize_module(nn.Conv1d(1, 1, 1), mesh, ColwiseParallel())
        with pytest.raises(TypeError, match="Expect Union"):
            parallelize_module(nn.ReLU(), mesh, 3)
        with pytest.raises(UnsupportedError, match="padding_idx"):
            parallelize_module(nn.Embedding(4, 2, padding_idx=0), mesh, RowwiseParallel())
        square = torch.distributed.init_device_mesh("cpu", (1, 2), mesh_dim_names=("dp", "tp"))
        with pytest.raises(ValueError, match="1D DeviceMesh"):
            parallelize_module(nn.ReLU(), square, ColwiseParallel())
        return True

    assert all(run_local(run, 2))


NAMES = "ColwiseParallel RowwiseParallel SequenceParallel PrepareModuleInput PrepareModuleOutput parallelize_module"


@pytest.mark.parametrize("name", [*NAMES.split(), "PrepareModuleInputOutput", "distribute_module"])
def test_arguments_and_texts_are_pytorchs(torch, name):
    path = "distributed.tensor" if name == "distribute_module" else "distributed.tensor.parallel"
    theirs, mine = (
        getattr(importlib.import_module(f"{library}.{path}"), name) for library in ("torch", "distrt")
    )
    assert list(inspect.signature(mine).parameters) == list(inspect.signature(theirs).parameters)
    if name in ("ColwiseParallel", "RowwiseParallel", "SequenceParallel"):
        assert repr(mine()) == repr(theirs())
    if name == "PrepareModuleInput":
        texts = []
        for library in ("torch", "distrt"):
            lies = importlib.import_module(f"{library}.distributed.tensor")
            style = importlib.import_module(f"{library}.{path}").PrepareModuleInput
            texts.append(repr(style(input_layouts=lies.Shard(0), desired_input_layouts=lies.Replicate())))
        assert texts[0] == texts[1]


@pytest.mark.parametrize("path", ["distributed.tensor", "distributed.tensor.parallel"])
def test_every_public_name_is_there(torch, path):
    theirs, mine = (importlib.import_module(f"{library}.{path}") for library in ("torch", "distrt"))
    assert {name for name in theirs.__all__ if not hasattr(mine, name)} == set()


@pytest.mark.parametrize(
    "name", ["device_mesh.init_device_mesh", "device_mesh.DeviceMesh", "DTensor", "zeros"]
)
def test_older_addresses_lead_to_the_same(torch, name):
    path, _, last = f"distributed._tensor.{name}".rpartition(".")
    for library in ("torch", "distrt"):
        older = getattr(importlib.import_module(f"{library}.{path}"), last)
        assert older is getattr(importlib.import_module(f"{library}.distributed.tensor"), last)
