"""Which parts of a batch are pinned, as PyTorch pins them; that it happens on GPUs is checked by tests/gpu."""

from collections import OrderedDict, UserDict, UserList, namedtuple
from contextlib import contextmanager
from types import MappingProxyType

import pytest

from distrt.data import DataLoader, pinning
from distrt.data.pinning import PinnedInWorkers, pin_memory
from tests.gpu.fixtures import run_check

Pair = namedtuple("Pair", ["first", "second"])


class Leaf:
    """Has the method that is asked for."""

    def __init__(self, name="as it was"):
        self.name = name

    def pin_memory(self):
        return Leaf("pinned")

    def __eq__(self, other):
        return isinstance(other, Leaf) and other.name == self.name

    __hash__ = None

    def __repr__(self):
        return self.name


class Stubborn(list):
    """Cannot be made of a list, nor be written to."""

    def __init__(self, a=None, b=None):
        super().__init__([Leaf(), 1])

    def __setitem__(self, place, value):
        raise TypeError


@pytest.mark.parametrize(
    "batch",
    [
        Leaf(),
        [Leaf(), "text", b"bytes", 3],
        (Leaf(), (Leaf(), 1.5)),
        Pair(Leaf(), [Leaf()]),
        {"a": Leaf(), "b": {"c": [Leaf()]}},
        OrderedDict(b=Leaf(), a=1),
        UserDict(a=Leaf()),
        UserList([Leaf(), 2]),
        MappingProxyType({"a": Leaf()}),
        Stubborn(),
        range(3),
        None,
        {Leaf().name},
    ],
    ids=lambda batch: type(batch).__name__,
)
def test_containers_are_gone_through_as_by_pytorch(batch):
    theirs = pytest.importorskip("torch.utils.data._utils.pin_memory", reason="PyTorch is the oracle")
    found, expected = pin_memory(batch), theirs.pin_memory(batch)
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)


@pytest.mark.timeout(20)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_for_a_batch_is_told_when_the_thread_has_ended(monkeypatch):
    @contextmanager
    def lost():
        raise OSError("no GPU is left")
        yield

    monkeypatch.setattr(pinning, "same_queue", lost)
    found = PinnedInWorkers(DataLoader([1, 2], num_workers=1))
    with pytest.raises(RuntimeError, match="Pin memory thread exited unexpectedly"):
        next(found)


@pytest.mark.ci
def test_batches_are_in_page_locked_memory_on_a_fake_gpu():
    ended = run_check("loading")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 failed" in ended.stdout
