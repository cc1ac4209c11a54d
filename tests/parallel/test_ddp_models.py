"""DistributedDataParallel on the architectures that people train, and on random ones, beside one process."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.nn import functional as F
from distrt.parallel import DistributedDataParallel, NaiveDDP

BATCH, STEPS = 6, 4


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.short = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.short = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.short(x))


class ResNet18(nn.Module):
    """Of eight blocks in four stages, and thin."""

    def __init__(self, widths=(4, 6, 8, 10)):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        blocks, inputs = [], widths[0]
        for stage, width in enumerate(widths):
            blocks += [Block(inputs, width, 1 + (stage > 0)), Block(width, width, 1)]
            inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, 5)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean(dim=(2, 3)))


class GPT(nn.Module):
    """Two layers of causal attention; the head shares its weights with the embedding."""

    def __init__(self, words=5, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(7, width)
        self.qkv = nn.ModuleList([nn.Linear(width, 3 * width, bias=False) for _ in range(2)])
        self.out = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x):
        batch, length = x.shape
        h = self.words(x) + self.places(torch.arange(length))
        for norm, qkv, out in zip(self.norms, self.qkv, self.out, strict=False):
            q, k, v = (
                each.view(batch, length, self.heads, -1).transpose(1, 2)
                for each in qkv(norm(h)).chunk(3, dim=2)
            )
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            h = h + F.gelu(out(attended.transpose(1, 2).reshape(batch, length, -1)))
        return self.head(self.norms[2](h))[:, -1]


class LSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 6)
        self.lstm = nn.LSTM(6, 7, num_layers=2, batch_first=True)
        self.head = nn.Linear(7, 5)

    def forward(self, x):
        return self.head(self.lstm(self.words(x))[0][:, -1])


def images(rng):
    return torch.from_numpy(rng.standard_normal((BATCH, 3, 8, 8)))


def texts(rng):
    return torch.from_numpy(rng.integers(0, 5, (BATCH, 7)))


MODELS = {"resnet18": (ResNet18, images), "gpt": (GPT, texts), "lstm": (LSTM, texts)}


def make(name):
    torch.manual_seed(0)
    return MODELS[name][0]().double()


def train(model, name, rank=0, size=1):
    rng = np.random.default_rng(3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(STEPS):
        inputs, labels = MODELS[name][1](rng), torch.from_numpy(rng.integers(0, 5, BATCH))
        part = slice(rank * BATCH // size, (rank + 1) * BATCH // size)
        optimizer.zero_grad()
        F.cross_entropy(model(inputs[part]), labels[part]).backward()
        optimizer.step()
    return {key.removeprefix("module."): each.numpy().copy() for key, each in model.state_dict().items()}


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_ranks_together_train_as_one_process(name, size):
    def run(group):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(make(name), group)
        return train(DistributedDataParallel(model, process_group=group), name, group.rank(), size)

    together, alone = run_local(run, size), train(make(name), name)
    for found in together:
        for key, expected in alone.items():
            np.testing.assert_allclose(found[key], expected, rtol=0, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_a_bucket_for_each_parameter_gives_the_bits_of_naive_data_parallelism(name):
    def run(group):
        naive = train(NaiveDDP(make(name), process_group=group), name, group.rank(), 2)
        wrapped = DistributedDataParallel(
            make(name), process_group=group, bucket_cap_mb=1e-6, forward_sync_buffers=False
        )
        return naive, train(wrapped, name, group.rank(), 2)

    for naive, bucketed in run_local(run, 2):
        for key, expected in naive.items():
            assert np.array_equal(bucketed[key], expected), key


class RandomGraph(nn.Module):
    """Computes what it is told: layers may be used often, or never."""

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(layers)])
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x, plan):
        values = [x]
        for kind, layer, first, second in plan:
            a, b = values[first % len(values)], values[second % len(values)]
            if kind == "layer":
                values.append(torch.tanh(self.layers[layer % len(self.layers)](a)))
            elif kind == "scale":
                values.append(a * self.scale)
            else:
                values.append(a + b if kind == "add" else a * b)
        return sum(values[1:], values[0]).sum()


plans = st.lists(
    st.tuples(st.sampled_from(["layer", "layer", "scale", "add", "mul"]), *[st.integers(0, 5)] * 3),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(st.data())
def test_random_graphs_that_differ_between_ranks_and_steps(data):
    size, layers = data.draw(st.integers(1, 3), "ranks"), data.draw(st.integers(1, 4), "layers")
    cap = data.draw(st.sampled_from([1e-6, 5e-5, 1.0]), "bucket_cap_mb")
    steps = [[data.draw(plans, f"step {step}, rank {rank}") for rank in range(size)] for step in range(3)]
    torch.manual_seed(0)
    model = RandomGraph(layers).double()
    inputs = [torch.from_numpy(np.random.default_rng(rank).standard_normal((2, 3))) for rank in range(size)]

    def needs_gradient(plan):
        return any(kind in ("layer", "scale") for kind, *_ in plan)

    def run(group):
        mine = DistributedDataParallel(
            copy.deepcopy(model), process_group=group, bucket_cap_mb=cap, find_unused_parameters=True
        )
        found = []
        for plan in steps:
            loss = mine(inputs[group.rank()], plan[group.rank()])
            (
                loss + 0.0 * sum(p.sum() for p in mine.parameters() if not needs_gradient(plan[group.rank()]))
            ).backward()
            found.append([None if p.grad is None else p.grad.numpy().copy() for p in mine.parameters()])
            mine.zero_grad()
        return found

    together = run_local(run, size)
    for step, plan in enumerate(steps):
        grads = []
        for rank in range(size):
            alone = copy.deepcopy(model)
            loss = alone(inputs[rank], plan[rank])
            (
                loss + 0.0 * sum(p.sum() for p in alone.parameters() if not needs_gradient(plan[rank]))
            ).backward()
            grads.append([None if p.grad is None else p.grad.numpy() for p in alone.parameters()])
        for place, of_ranks in enumerate(zip(*grads, strict=True)):
            for rank in range(size):
                found = together[rank][step][place]
                if all(each is None for each in of_ranks):
                    assert found is None
                    continue
                terms = [np.zeros_like(found) if each is None else each for each in of_ranks]
                total = terms[0]
                for term in terms[1:]:
                    total = total + term
                assert np.array_equal(found, total * (1.0 / size) if size > 1 else total), (step, place, rank)
