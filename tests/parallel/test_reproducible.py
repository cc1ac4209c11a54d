"""``reproducible=V``: the same bits on any number of ranks, with any buckets, stopped and gone on with elsewhere."""

import contextlib
import copy
import hashlib
import math
import threading

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import UnsupportedError
from distrt.core.kernels import casting, channels, elements, lstm, max_pooling, rows, softmax, table
from distrt.core.kernels.onednn import product
from distrt.nn import functional as F
from distrt.nn.parallel import DistributedDataParallel
from distrt.utils.checkpoint import checkpoint

SHARDS, BATCH, CLASSES, LENGTH = 4, 16, 10, 8


class Convolutional(nn.Module):
    """With batch statistics of both kinds, and dropout."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.average = nn.BatchNorm2d(8, momentum=None)
        self.last = nn.Linear(8 * 16, CLASSES)

    def forward(self, x):
        x = F.relu(self.norm(self.first(x)))
        x = F.max_pool2d(F.relu(self.average(self.second(x))), 2)
        return self.last(F.dropout(x.flatten(1), 0.3, self.training))


class Synchronised(Convolutional):
    """With statistics of the global batch, in float64 where it is compared."""

    def __init__(self):
        super().__init__()
        nn.SyncBatchNorm.convert_sync_batchnorm(self)


class Attending(nn.Module):
    """A small GPT, which gives its loss, as many public ones do; input and output share weights."""

    def __init__(self, width=16):
        super().__init__()
        self.tokens, self.places = nn.Embedding(CLASSES, width), nn.Embedding(LENGTH, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(width, CLASSES, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x, targets):
        h = self.drop(self.tokens(x) + self.places(torch.arange(x.shape[1])))
        q, k, v = self.qkv(self.norms[0](h)).reshape(*x.shape, 3, 2, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=0.1)
        h = h + self.drop(self.out(attended.transpose(1, 2).flatten(2)))
        h = h + self.drop(self.narrow(F.gelu(self.wide(self.norms[1](h)))))
        logits = self.head(h)
        return {"logits": logits, "loss": F.cross_entropy(logits.flatten(0, 1), targets.flatten())}


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, 12)
        self.lstm = nn.LSTM(12, 32, 2, batch_first=True, dropout=0.2)
        self.out = nn.Linear(32, CLASSES)

    def forward(self, x):
        return self.out(self.lstm(self.embedding(x))[0][:, -1])


def global_batch(kind, step):
    random = np.random.default_rng(step)
    labels = torch.from_numpy(random.integers(0, CLASSES, BATCH))
    if issubclass(kind, Convolutional):
        return torch.from_numpy(random.standard_normal((BATCH, 1, 8, 8)).astype(np.float32)), labels
    tokens = torch.from_numpy(random.integers(0, CLASSES, (BATCH, LENGTH)))
    return tokens, (tokens.roll(-1, 1) if kind is Attending else labels)


def loss_of(model, kind, x, y):
    return model(x, y)["loss"] if kind is Attending else F.cross_entropy(model(x), y)


def digest(model):
    found = hashlib.sha256()
    for name, value in model.state_dict().items():
        found.update(name.encode() + np.ascontiguousarray(value._array).tobytes())
    return found.hexdigest()


def train(group, kind, steps, cap=25, is_bf16=False, start=0, saved=None, **options):
    """The digest of the model after each step, and what a user would save at the end."""
    torch.manual_seed(5)
    rank, world = group.rank(), group.size()
    model = kind()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    if saved is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(copy.deepcopy(saved["optimizer"]))  # ranks are threads here
    options = {"reproducible": SHARDS, **options}
    wrapped = DistributedDataParallel(model, process_group=group, bucket_cap_mb=cap, **options)
    if options["reproducible"]:
        wrapped.training_step = start
    digests = []
    for step in range(start, steps):
        x, y = (each.chunk(world)[rank] for each in global_batch(kind, step))
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if is_bf16 else contextlib.nullcontext():
            loss = loss_of(wrapped, kind, x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        digests.append(digest(model))
    return digests, {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def one_result(world, *args, **options):
    """Of all ranks, which must agree."""
    results = run_local(lambda group: train(group, *args, **options), world)
    assert len({tuple(digests) for digests, _ in results}) == 1
    return results[0]


KINDS = [Convolutional, Synchronised, Attending, Recurrent]


@pytest.mark.parametrize(
    "is_bf16",
    [pytest.param(False, id="float32"), pytest.param(True, id="bfloat16", marks=pytest.mark.ci)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_parameters_have_the_same_bits_on_any_number_of_ranks(kind, is_bf16):
    expected, _ = one_result(1, kind, 6, is_bf16=is_bf16)
    assert len(set(expected)) == 6
    for world, cap in ((2, 0.001), (4, 25), (4, 0.001)):
        assert one_result(world, kind, 6, cap, is_bf16)[0] == expected, (world, cap)


@pytest.mark.ci
@pytest.mark.parametrize("kind", KINDS)
def test_kernels_that_only_large_models_take_give_the_same_bits_in_bfloat16_too(monkeypatch, kind):
    """With the sizes taken away from which they are chosen."""
    for kernel in (casting, channels, elements, lstm, max_pooling, rows, softmax):
        monkeypatch.setattr(kernel, "_LEAST", 1)
    monkeypatch.setattr(product, "LEAST_OF_HALF", 1)
    monkeypatch.setattr(table, "_LEAST_PRODUCTS", 1)
    expected, _ = one_result(1, kind, 4, is_bf16=True)
    for world, cap in ((2, 25), (4, 0.001)):
        assert one_result(world, kind, 4, cap, is_bf16=True)[0] == expected, (world, cap)


@pytest.mark.slow
@pytest.mark.parametrize("is_bf16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_fifty_steps_have_the_same_bits(kind, is_bf16):
    expected, _ = one_result(1, kind, 50, is_bf16=is_bf16)
    for world in (2, 4):
        for cap in (0.001, 0.1, 1, 25):
            assert one_result(world, kind, 50, cap, is_bf16)[0] == expected, (world, cap)


@pytest.mark.parametrize("kind", [Convolutional, pytest.param(Attending, marks=pytest.mark.ci)])
def test_ranks_that_share_one_copy_have_these_bits_too(kind):
    expected, _ = one_result(1, kind, 5)
    first, saved = one_result(4, kind, 3, 0.001, shard_optimizer=True)
    assert first == expected[:3]
    for sharded in (True, False):
        then, _ = one_result(2, kind, 5, start=3, saved=saved, shard_optimizer=sharded)
        assert then == expected[3:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_at_another_world_size(kind):
    expected, _ = one_result(1, kind, 6)
    first, saved = one_result(4, kind, 3)
    second, saved = one_result(1, kind, 4, start=3, saved=saved)
    third, _ = one_result(2, kind, 6, start=4, saved=saved)
    assert first + second + third == expected


def test_the_result_is_that_of_the_global_batch():
    """Not only always the same, but right: without dropout, what plain data parallelism gives."""

    class Plain(Recurrent):
        def __init__(self):
            super().__init__()
            self.lstm.dropout = 0.0

    _, ours = one_result(2, Plain, 4)
    _, plain = one_result(2, Plain, 4, reproducible=None)
    for name, value in ours["model"].items():
        assert np.allclose(value.numpy(), plain["model"][name].numpy(), rtol=1e-4, atol=1e-6), name


def test_every_shard_and_step_has_random_numbers_of_its_own():
    class Noise(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return x * self.weight + torch.rand(x.shape)

    def run(group):
        torch.manual_seed(1)
        model = DistributedDataParallel(Noise(), process_group=group, reproducible=4)
        before = torch.get_rng_state()
        drawn = [model(torch.zeros(8 // group.size(), 3)).detach().numpy() for _ in range(2)]
        assert torch.equal(torch.get_rng_state(), before)
        return drawn

    by_world = [
        [np.concatenate([drawn[step] for drawn in run_local(run, world)]) for step in range(2)]
        for world in (1, 2, 4)
    ]
    for steps in by_world:
        assert (np.stack(steps) == np.stack(by_world[0])).all()
    assert np.unique(np.stack(by_world[0])).size == 2 * 8 * 3


def test_without_gradients_the_whole_batch_goes_through_at_once():
    def run(group):
        seen = []
        model = nn.Linear(2, 2)
        model.register_forward_hook(lambda module, args, output: seen.append(len(args[0])))
        wrapped = DistributedDataParallel(model, process_group=group, reproducible=4)
        wrapped(torch.ones(8, 2))
        with torch.no_grad():
            wrapped(torch.ones(8, 2))
        wrapped.eval()(torch.ones(7, 2))
        return seen

    assert run_local(run, 1) == [[2, 2, 2, 2, 8, 7]]


def test_a_frozen_batch_norm_normalises_with_its_running_statistics():
    def run(group):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4))
        model[1].running_mean.fill_(0.5)
        model[1].running_var.fill_(2.0)
        model[1].eval()
        plain = copy.deepcopy(model)
        plain[2].momentum = 1.0
        model = DistributedDataParallel(model, process_group=group, reproducible=2)
        x = torch.randn(8, 3)
        with torch.no_grad():
            expected = torch.cat([plain(part) for part in x.chunk(2)])
        torch.testing.assert_close(model(x), expected)
        assert model.module[1].running_mean.tolist() == [0.5] * 4
        assert int(model.module[1].num_batches_tracked) == 0 and int(model.module[2].num_batches_tracked) == 2

    run_local(run, 1)


def test_structures_are_cut_and_put_together():
    class Structured(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, batch, scale, *, mask):
            assert mask.shape == (3,) and batch["x"].shape == (2, 3)
            y = batch["x"] * self.weight * scale
            return {"y": y, "pair": (y.sum(1), [y.mean()]), "text": batch["text"]}

    def run(group):
        model = DistributedDataParallel(Structured(), process_group=group, reproducible=4)
        x = torch.arange(24.0).reshape(8, 3)
        return model({"x": x, "text": "t"}, 2.0, mask=torch.ones(3)), x

    ((found, x),) = run_local(run, 1)
    assert torch.equal(found["y"], x * 2) and torch.equal(found["pair"][0], (x * 2).sum(1))
    assert math.isclose(found["pair"][1][0].item(), (x * 2).mean().item()) and found["text"] == "t"


@pytest.mark.parametrize(
    ("world", "shards", "error", "message"),
    [
        (1, 3, ValueError, "reproducible must be a power of two up to 65536, got 3"),
        (1, 0, ValueError, "power of two"),
        (2, 1, ValueError, "1 virtual shards cannot be divided evenly among 2 ranks"),
        (3, 4, ValueError, "4 virtual shards cannot be divided evenly among 3 ranks"),
    ],
)
def test_shards_that_cannot_be_divided_are_refused(world, shards, error, message):
    def run(group):
        with pytest.raises(error, match=message):
            DistributedDataParallel(nn.Linear(1, 1), process_group=group, reproducible=shards)

    run_local(run, world)


def test_a_batch_that_cannot_be_cut_is_refused():
    def run(group):
        model = DistributedDataParallel(nn.Linear(2, 2), process_group=group, reproducible=4)
        with pytest.raises(RuntimeError, match="cut into 4 virtual shards of equal size; got a batch of 6"):
            model(torch.ones(6, 2))

    run_local(run, 1)


def test_what_shards_cannot_see_of_one_another_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen += x.sum()
            return x * self.weight

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, x):
            return self.norm(self.norm(x))

    def run(group):
        for model, message in ((Counting(), "changed the buffer seen"), (Twice(), "norm was used 2 times")):
            wrapped = DistributedDataParallel(model, process_group=group, reproducible=2)
            with pytest.raises(RuntimeError, match=message):
                wrapped(torch.ones(4, 2))

    run_local(run, 1)


def test_synchronised_statistics_are_those_of_the_global_batch():
    """As plain data parallelism has them, whose ranks are the shards."""

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Linear(3, 4), nn.SyncBatchNorm(4)
            self.last = nn.Linear(4, 2)

        def forward(self, x):
            return self.last(torch.tanh(self.norm(self.first(x))))

    def run(group, shards):
        torch.manual_seed(2)
        model = Small().double()
        model.norm.process_group = group
        wrapped = DistributedDataParallel(model, process_group=group, reproducible=shards)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(4):
            x = torch.from_numpy(np.random.default_rng(step).standard_normal((8, 3)))
            optimizer.zero_grad()
            wrapped(x.chunk(group.size())[group.rank()]).square().mean().backward()
            optimizer.step()
        return {name: value.numpy() for name, value in model.state_dict().items()}

    expected = run_local(lambda group: run(group, None), 4)[0]
    for world in (1, 2, 4):
        found = run_local(lambda group: run(group, 4), world)[0]
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-12, err_msg=name)


def test_what_cannot_go_in_lockstep_is_refused_and_leaves_no_thread():
    class Wayward(nn.Module):
        def __init__(self, error=None):
            super().__init__()
            self.norm, self.error = nn.SyncBatchNorm(2), error

        def forward(self, x):
            if x[0, 0] < 4:
                return self.norm(x)
            if self.error is not None:
                raise self.error
            return x * self.norm.weight

    def run(group):
        x = torch.arange(8.0).reshape(4, 2)
        for model, message in ((Wayward(), "took different ways"), (Wayward(KeyError("mine")), "mine")):
            before = dict(model.named_parameters())
            wrapped = DistributedDataParallel(model, process_group=group, reproducible=2)
            with pytest.raises((RuntimeError, KeyError), match=message):
                wrapped(x)
            assert all(each is before[name] for name, each in model.named_parameters())
        both = nn.Sequential(nn.BatchNorm1d(2), nn.SyncBatchNorm(2))
        with pytest.raises(RuntimeError, match="0: with reproducible=, a model has either"):
            DistributedDataParallel(both, process_group=group, reproducible=2)

    run_local(run, 1)
    assert not [each for each in threading.enumerate() if each.name == "distrt virtual shard"]


class Checkpointed(nn.Module):
    def __init__(self, norm, is_reentrant=False):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, 4), norm, nn.Linear(4, 1)
        self.is_reentrant = is_reentrant

    def inner(self, x):
        return torch.sigmoid(self.norm(self.first(x)))

    def forward(self, x):
        return self.last(checkpoint(self.inner, x, use_reentrant=self.is_reentrant))


def pass_through(group, model):
    torch.manual_seed(0)
    model = DistributedDataParallel(model, process_group=group, reproducible=4)
    x = torch.randn(8, 3).chunk(group.size())[group.rank()].requires_grad_()
    model(x).square().mean().backward()
    return model.module


@pytest.mark.parametrize("is_reentrant", [False, True])
def test_statistics_of_checkpointed_layers_count_once(is_reentrant):
    def run(group):
        torch.manual_seed(0)
        model = pass_through(group, Checkpointed(nn.BatchNorm1d(4), is_reentrant))
        return [each.tolist() for each in (*model.buffers(), *model.parameters())]

    (alone,) = run_local(run, 1)
    assert alone[2] == 4
    assert run_local(run, 2) == [alone, alone]


@pytest.mark.parametrize("is_reentrant", [False, True])
def test_synchronised_statistics_are_refused_where_they_are_computed_again(is_reentrant):
    def run(group):
        with pytest.raises(
            UnsupportedError, match="norm: with reproducible=, SyncBatchNorm cannot be in a checkp"
        ):
            pass_through(group, Checkpointed(nn.SyncBatchNorm(4, process_group=group), is_reentrant))
        return True

    for size in (1, 2):
        assert all(run_local(run, size))


def test_synchronised_layers_keep_to_no_grad_and_to_hooks_on_kept_tensors():
    class Partly(Checkpointed):
        def forward(self, x):
            with torch.no_grad():
                x = self.inner(x)
            assert not x.requires_grad
            return self.last(x)

    def run(group):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda each: kept.append(each) or each, lambda each: each
        ):
            model = Partly(nn.SyncBatchNorm(4, process_group=group))
            wrapped = DistributedDataParallel(
                model, process_group=group, reproducible=4, find_unused_parameters=True
            )
            wrapped(torch.randn(8, 3)).sum().backward()
        return model.norm.weight.grad is None and model.last.weight.grad is not None and bool(kept)

    assert run_local(run, 2) == [True, True]
