"""A resumed run goes on with the next batch, in the order of the pass that it stood in."""

import pytest

import distrt as torch
from distrt.checkpoint import Batches, Checkpoints
from distrt.comm.local import run_local
from distrt.core.errors import CheckpointError
from distrt.utils.data import DataLoader, Dataset, DistributedSampler, RandomSampler, TensorDataset
from tests.parallel.sharded_models import join


class Noisy(Dataset):
    """Samples that draw random numbers while they are loaded."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return index + torch.rand(1).item() / 2


def loaders():
    data = TensorDataset(torch.arange(12))
    generator = torch.Generator().manual_seed(1)
    return {
        "in order": lambda: DataLoader(data, batch_size=2),
        "shuffled": lambda: DataLoader(data, batch_size=2, shuffle=True),
        "own generator": lambda: DataLoader(data, batch_size=2, shuffle=True, generator=generator),
        "sampler": lambda: DataLoader(data, batch_size=2, sampler=RandomSampler(data, generator=generator)),
        "noisy": lambda: DataLoader(Noisy(), batch_size=2, shuffle=True),
        "noisy workers": lambda: DataLoader(Noisy(), batch_size=2, shuffle=True, num_workers=2),
    }


def told(batch):
    return (batch[0] if isinstance(batch, list) else batch).tolist()


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.ci if "workers" in each else ()) for each in loaders()]
)
def test_a_resumed_pass_goes_on_with_the_next_batch(name, tmp_path):
    make = loaders()[name]
    torch.manual_seed(0)
    batches, found = Batches(make()), []
    for step, each in enumerate(_endless(batches), 1):
        found.append(each)
        if step == 9:  # the third batch of the second epoch
            Checkpoints(tmp_path).save(9, {"batches": batches})
        if step == 16:
            break
    torch.manual_seed(5)
    resumed = Batches(make())
    assert Checkpoints(tmp_path).resume({"batches": resumed}) == 9
    rest = []
    for each in _endless(resumed):
        rest.append(each)
        if len(rest) == 7:
            break
    assert rest == found[9:]
    assert sorted({epoch for epoch, *_ in rest}) == [1, 2]


def _endless(batches):
    while True:
        for batch in batches:
            yield batches.epoch, told(batch), torch.rand(1).item()


def test_every_sample_is_seen_once_on_another_number_of_ranks(tmp_path):
    def begin(group):
        join(group)
        data = TensorDataset(torch.arange(12))
        batches = Batches(DataLoader(data, batch_size=1, sampler=DistributedSampler(data)))
        seen = []
        for number, batch in enumerate(batches, 1):
            seen += told(batch)
            if number == 3:
                Checkpoints(tmp_path).save(3, {"batches": batches})
                return seen

    def go_on(group):
        join(group)
        data = TensorDataset(torch.arange(12))
        batches = Batches(DataLoader(data, batch_size=1, sampler=DistributedSampler(data)))
        Checkpoints(tmp_path).resume({"batches": batches})
        return [each for batch in batches for each in told(batch)]

    seen = [each for part in (*run_local(begin, 2), *run_local(go_on, 3)) for each in part]
    assert sorted(seen) == list(range(12))
    last = [
        each for part in run_local(go_on, 4) for each in part
    ]  # 6 samples are left for 4 ranks: 2 are padding
    assert len(last) == 8 and set(last) >= set(range(12)) - set(seen[:6])


def test_a_sampler_that_knows_no_position_cannot_begin_within_a_batch(tmp_path):
    batches = Batches(DataLoader(TensorDataset(torch.arange(12)), batch_size=2))
    for number, _ in enumerate(batches, 1):
        if number == 3:
            Checkpoints(tmp_path).save(3, {"batches": batches})
    resumed = Batches(DataLoader(TensorDataset(torch.arange(12)), batch_size=4))
    with pytest.raises(
        CheckpointError, match="after 6 samples of an epoch, which batches of 4 samples on 1 ranks"
    ):
        Checkpoints(tmp_path).resume({"batches": resumed})
