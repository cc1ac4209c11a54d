"""``save`` and ``load`` without PyTorch: kinds of files, maps, whole models, and what a failed save leaves behind."""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import datetime
import enum
import errno
import functools
import importlib
import io
import mmap
import os
import pathlib
import pickle
import stat
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.errors import CheckpointError
from tests.files.trips import assert_same, loaded, saved, through


class Net(distrt.nn.Module):
    """A model of the caller's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = distrt.nn.Sequential(distrt.nn.Linear(2, 3), distrt.nn.BatchNorm1d(3))
        self.tied = self.layers[0]
        self.activation = distrt.nn.functional.relu
        self.others = [distrt.tanh, distrt.nn.functional.gelu, distrt.relu]
        self.register_buffer("steps", distrt.arange(3), persistent=False)
        self.options = {"sizes": (2, 3), "dtype": distrt.float32}

    def forward(self, x: Any) -> Any:
        return self.activation(self.layers(x))


@dataclasses.dataclass
class Config:
    rate: float
    names: list[str]


class Color(enum.Enum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


def double(x: Any) -> Any:
    return 2 * x


def _checkpoint() -> dict[str, Any]:
    model = Net()
    optimizer = distrt.optim.Adam(model.parameters())
    loss = model(distrt.ones(4, 2)).sum()
    loss.backward()
    optimizer.step()
    return {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "loss": loss}


def test_a_checkpoint_comes_back_as_it_was() -> None:
    value = _checkpoint()
    found = through(value)
    assert_same(found, value)
    assert found["model"]._metadata == value["model"]._metadata and found["loss"].is_leaf


@pytest.mark.parametrize("kind", ["text", "path", "file", "buffer", "temporary"])
def test_every_kind_of_file_works(kind: str, tmp_path: pathlib.Path) -> None:
    value, path = {"w": distrt.arange(5.0)}, tmp_path / "a.b.pt"
    if kind in ("text", "path"):
        name = str(path) if kind == "text" else path
        distrt.save(value, name)
        assert_same(distrt.load(name), value)
        return
    opened: Any = {
        "file": lambda: open(path, "w+b"),  # noqa: SIM115
        "buffer": io.BytesIO,
        "temporary": tempfile.TemporaryFile,
    }[kind]()
    with opened as file:
        file.write(b"before")
        distrt.save(value, file)
        file.seek(6)
        assert_same(distrt.load(file), value)


def test_a_file_that_can_only_write_or_only_read_pieces_works() -> None:
    class Dribble(io.RawIOBase):
        def __init__(self) -> None:
            self.inner = io.BytesIO()

        def write(self, data: Any) -> int:
            return self.inner.write(bytes(data[:1000]))

    target = Dribble()
    value = distrt.arange(3000.0)
    distrt.save(value, target)

    class Slow:
        def __init__(self, inner: io.BytesIO) -> None:
            self.inner, self.readline, self.tell, self.seek = inner, inner.readline, inner.tell, inner.seek

        def read(self, count: int = -1) -> bytes:
            return self.inner.read(min(count, 777))

    target.inner.seek(0)
    assert_same(distrt.load(Slow(target.inner)), value)


def test_several_objects_in_one_old_file_are_read_one_after_the_other(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "old.pt"
    values = [{"a": distrt.arange(4)}, [distrt.ones(2, 2), "x"], 7]
    with path.open("wb") as file:
        for each in values:
            distrt.save(each, file, _use_new_zipfile_serialization=False)
    with path.open("rb") as file:
        for each in values:
            assert_same(distrt.load(file), each)
        with pytest.raises(EOFError):
            distrt.load(file)


def test_a_mapped_file_is_read_when_used_and_never_written(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.pt"
    value = {"a": distrt.arange(1000.0), "h": distrt.ones(3, dtype=distrt.bfloat16), "e": distrt.empty(0)}
    distrt.save(value, path)
    before = path.read_bytes()
    found = distrt.load(path, mmap=True)
    assert_same(found, value)
    assert not found["a"].is_shared()
    found["a"].add_(1)
    assert found["a"][3] == 4 and path.read_bytes() == before
    assert found["a"].untyped_storage().nbytes() == 4000
    with distrt.serialization.set_default_mmap_options(mmap.MAP_SHARED):
        distrt.load(path, mmap=True)["a"].zero_()
    assert distrt.serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    assert not distrt.load(path, mmap=True)["a"].any()
    with pytest.raises(CheckpointError, match="checksum"):  # it is the old data's
        distrt.load(path)
    with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
        distrt.load(io.BytesIO(before), mmap=True)
    distrt.save(value, path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved with"):
        distrt.load(path, mmap=True)


def test_a_whole_model_loads_by_the_plain_call() -> None:
    model = Net()
    model(distrt.randn(8, 2)).sum().backward()
    model.eval()
    found = through(model)
    assert type(found) is Net and found.tied is found.layers[0] and not found.training
    assert_same(found.state_dict(), model.state_dict())
    assert found.options == model.options
    x = distrt.randn(4, 2)
    assert distrt.equal(found(x), model(x))
    found(x).sum().backward()
    with pytest.raises(pickle.UnpicklingError, match="Net was not an allowed global"):
        through(model, weights_only=True)


def test_a_model_in_a_wrapper_of_several_processes_is_saved(tmp_path: pathlib.Path) -> None:
    from distrt.distributed import destroy_process_group, init_process_group

    init_process_group("gloo", store=distrt.distributed.HashStore(), rank=0, world_size=1)
    try:
        wrapped = distrt.nn.parallel.DistributedDataParallel(Net())
        found = through(wrapped)
        assert type(found) is type(wrapped)
        assert_same(found.module.state_dict(), wrapped.module.state_dict())
        small = saved(distrt.nn.parallel.DistributedDataParallel(distrt.nn.Linear(2, 2)).state_dict())
        assert len(small) < 5000
    finally:
        destroy_process_group()


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.LazyLinear(3),
        lambda nn: nn.utils.spectral_norm(nn.Linear(2, 2)),
        lambda nn: nn.Transformer(4, 2, 1, 1, batch_first=True),
        lambda nn: nn.LSTM(2, 3, 2),
        lambda nn: nn.ParameterDict({"a": nn.Parameter(distrt.ones(1))}),
        lambda nn: nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 4], div_value=2),
        lambda nn: nn.SyncBatchNorm(3),
    ],
)
def test_layers_come_back_with_what_hangs_on_them(make: Any) -> None:
    model = make(distrt.nn)
    found = through(model)
    assert type(found) is type(model) and repr(found) == repr(model)
    if not isinstance(model, distrt.nn.modules.lazy.LazyModuleMixin):
        assert_same(found.state_dict(), model.state_dict())
    else:
        assert found(distrt.ones(1, 2)).shape == (1, 3) and type(found) is distrt.nn.Linear


def test_own_classes_and_harmless_ones_are_built_on_request() -> None:
    value = {
        "config": Config(0.1, ["a"]),
        "color": Color.RED,
        "point": Point(1, distrt.ones(2)),
        "args": argparse.Namespace(lr=0.1),
        "defaults": collections.defaultdict(list, {"a": [1]}),
        "deque": collections.deque([1, 2], maxlen=5),
        "when": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
        "path": pathlib.PurePosixPath("a/b"),
        "partial": functools.partial(double, x=3),
        "function": double,
        "slice": slice(1, None),
        "frozen": frozenset((1, 2)),
    }
    found = through(value, weights_only=False)
    assert found.pop("partial")() == 6 and value.pop("partial")
    assert found.pop("point").y.tolist() == [1, 1] and value.pop("point")
    assert found == value and found["deque"].maxlen == 5 and found["defaults"].default_factory is list
    for name in ("config", "color", "args", "defaults", "path", "function"):
        with pytest.raises(pickle.UnpicklingError):
            through(value[name])


def test_the_program_of_a_spawned_process_goes_by_either_name(monkeypatch: Any) -> None:
    monkeypatch.setattr(Net, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Net", Net, raising=False)
    data = saved(Net())
    monkeypatch.setitem(sys.modules, "__mp_main__", sys.modules["__main__"])
    monkeypatch.setattr(Net, "__module__", "__mp_main__")  # what spawning calls the class
    assert type(loaded(data)) is Net
    theirs = saved(Net())
    monkeypatch.delitem(sys.modules, "__mp_main__")
    monkeypatch.setattr(Net, "__module__", "__main__")
    assert type(loaded(theirs)) is Net
    monkeypatch.delattr(sys.modules["__main__"], "Net")
    with pytest.raises(pickle.UnpicklingError, match="where its class is defined in your program"):
        loaded(data)


_DYING = """
import os, signal, sys, distrt
from distrt.files.zip_writer import ZipWriter

put, value = ZipWriter._put, {"new": distrt.ones(100_000)}
distrt.save(value, os.devnull)  # loads all that is needed, for all children
for writes in range(int(sys.argv[2])):
    if os.fork():
        assert os.WTERMSIG(os.wait()[1]) == signal.SIGKILL
        continue
    def dying(self, data, left=[writes]):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        put(self, data)
    ZipWriter._put = dying
    distrt.save(value, sys.argv[1])
"""


def test_a_save_that_is_killed_leaves_the_old_file(tmp_path: pathlib.Path) -> None:
    path, writes = tmp_path / "w.pt", 11
    distrt.save({"old": distrt.ones(3)}, path)
    subprocess.run([sys.executable, "-c", _DYING, str(path), str(writes)], timeout=60, check=True)
    assert list(distrt.load(path)) == ["old"]
    left = [each.name for each in tmp_path.iterdir() if each != path]
    assert len(left) == writes and all(name.startswith(".w.pt.") and name.endswith(".tmp") for name in left)


def test_optimizers_and_schedules_themselves_are_saved() -> None:
    model = distrt.nn.Linear(2, 2)
    optimizer = distrt.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = distrt.optim.lr_scheduler.StepLR(optimizer, 2)
    model(distrt.ones(1, 2)).sum().backward()
    optimizer.step()
    schedule.step()
    found = through([model, optimizer, schedule], weights_only=False)
    assert found[2].optimizer is found[1] and found[1].param_groups[0]["params"][0] is found[0].weight
    assert_same(found[1].state_dict(), optimizer.state_dict())
    with pytest.raises(pickle.UnpicklingError):
        through(optimizer)


def test_a_missing_class_is_named_and_nothing_is_imported(tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    (tmp_path / "some_models.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    data = saved(importlib.import_module("some_models").Thing())
    del sys.modules["some_models"]
    with pytest.raises(pickle.UnpicklingError, match="import some_models before you load"):
        loaded(data, weights_only=False)
    assert "some_models" not in sys.modules
    thing = importlib.import_module("some_models").Thing
    assert type(loaded(data, weights_only=False)) is thing
    del sys.modules["some_models"]


def test_saving_changes_neither_copies_nor_pickles() -> None:
    model = Net()
    distrt.save(model, io.BytesIO())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same(other.state_dict(), model.state_dict())
    tensor = distrt.arange(4.0)[1:]
    assert pickle.loads(pickle.dumps(tensor)).tolist() == [1, 2, 3]


def test_memory_that_is_read_only_or_not_packed_is_saved() -> None:
    odd = np.zeros(7, np.uint8)[1:5].view(np.float32)
    values = [
        distrt.ones(1, 3).expand(2, 3),
        distrt.from_numpy(odd),
        distrt.from_numpy(np.ones((4, 4))[::2, ::2]),
    ]
    found = through(values)
    for one, other in zip(found, values, strict=True):
        assert distrt.equal(one, other) and one.shape == other.shape
    locked = np.arange(3.0)
    locked.flags.writeable = False
    assert through(distrt.frombuffer(bytearray(locked.tobytes()), dtype=distrt.float64)).tolist() == [0, 1, 2]


# -- what is on the disk


def test_a_file_is_replaced_as_a_whole_and_keeps_its_permissions(tmp_path: pathlib.Path) -> None:
    path, link = tmp_path / "w.pt", tmp_path / "link.pt"
    distrt.save(1, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    path.chmod(0o640)
    link.symlink_to(path)
    with path.open("rb") as old:
        distrt.save({"new": distrt.ones(3)}, link)
        assert distrt.load(old) == 1
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(distrt.load(path)) == ["new"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.pt", "w.pt"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: pathlib.Path, monkeypatch: Any
) -> None:
    path = tmp_path / "w.pt"
    distrt.save({"old": 1}, path)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        distrt.save({"x": lambda: 0}, path)
    from distrt.files import zip_writer

    def full(self: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zip_writer.ZipWriter, "finish", full)
    with pytest.raises(CheckpointError, match="No space left on device") as caught:
        distrt.save({"new": distrt.ones(10)}, path)
    assert isinstance(caught.value, RuntimeError) and str(path) in str(caught.value)
    assert distrt.load(path) == {"old": 1} and [each.name for each in tmp_path.iterdir()] == ["w.pt"]
    with pytest.raises(RuntimeError, match=r"Parent directory .*missing does not exist"):
        distrt.save(1, tmp_path / "missing" / "w.pt")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_device_is_said() -> None:
    with pytest.raises(CheckpointError, match="No space left on device"):
        distrt.save(distrt.ones(1 << 20), "/dev/full")
    distrt.save(distrt.ones(10), os.devnull)


def test_large_storages_are_written_in_pieces_with_their_checksum(tmp_path: pathlib.Path) -> None:
    value = distrt.arange(1_500_000)
    data = saved(value)
    assert_same(loaded(data), value)
    broken = bytearray(data)
    broken[len(data) // 2] ^= 1
    with pytest.raises(CheckpointError, match="checksum"):
        loaded(bytes(broken))


def test_checksums_and_data_can_be_left_out(tmp_path: pathlib.Path) -> None:
    distrt.serialization.set_crc32_options(False)
    try:
        assert not distrt.serialization.get_crc32_options()
        assert loaded(saved(distrt.ones(3))).tolist() == [1, 1, 1]
    finally:
        distrt.serialization.set_crc32_options(True)
    path = tmp_path / "hollow.pt"
    with distrt.serialization.skip_data():
        distrt.save({"w": distrt.ones(100)}, path)
        with pytest.raises(RuntimeError, match="skip_data"):
            distrt.save(1, path, _use_new_zipfile_serialization=False)
    assert not distrt.load(path)["w"].any() and path.stat().st_size > 400
    distrt.save({"w": distrt.ones(100)}, path)
    with distrt.serialization.skip_data():
        assert not distrt.load(path)["w"].any()


# -- arguments


def test_map_location_is_asked_for_every_storage_once() -> None:
    base = distrt.arange(4.0)
    seen: list[Any] = []

    def where(storage: Any, location: str) -> Any:
        seen.append((type(storage).__name__, location))

    loaded(saved([base, base[1:], distrt.ones(1)]), map_location=where)
    assert seen == [("UntypedStorage", "cpu")] * 2
    for wrong, kind in (
        ("foo", RuntimeError),
        (3, TypeError),
        ({"cpu": "cuda"}, RuntimeError),
        ("cuda:0", RuntimeError),
    ):
        with pytest.raises(kind):
            loaded(saved(base), map_location=wrong)


def test_packages_register_devices_of_their_own() -> None:
    serialization = distrt.serialization
    registry = __import__("distrt.files.locations", fromlist=["_registry"])._registry
    before = list(registry)
    serialization.register_package(
        5, lambda storage: None, lambda storage, tag: storage if tag == "mine:0" else None
    )
    try:
        assert loaded(saved(distrt.ones(2)), map_location="mine:0").tolist() == [1, 1]
        storage = distrt.ones(2).untyped_storage()
        assert serialization.location_tag(storage) == "cpu"
        assert serialization.default_restore_location(storage, "mine:0") is storage
    finally:
        registry[:] = before
    with pytest.raises(RuntimeError, match="don't know how to restore data location"):
        loaded(saved(distrt.ones(2)), map_location="mine:0")


def test_wrong_arguments_are_refused_as_pytorch_does(monkeypatch: Any) -> None:
    with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like object"):
        distrt.save(1, 5)
    with pytest.raises(AttributeError, match=r"You can only torch.load from a file that is seekable"):
        distrt.load(5)
    with pytest.raises(FileNotFoundError):
        distrt.load("/nowhere/to/be.found")
    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        loaded(saved(1), weights_only=True, pickle_module=pickle)
    with pytest.warns(UserWarning, match="pickle_load_args only works"):
        loaded(saved(1), encoding="latin1")
    with pytest.raises(TypeError, match="unexpected keyword argument 'foo'"):
        loaded(saved(1), weights_only=False, foo=3)
    with pytest.raises(TypeError, match="Invalid argument type"):
        distrt.serialization.set_default_load_endianness(3)
    with pytest.raises(ValueError, match="MAP_PRIVATE"):
        distrt.serialization.set_default_mmap_options(99)
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(pickle.UnpicklingError):
        through(Config(1.0, []), weights_only=False)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(RuntimeError, match="Only one of"):
        loaded(saved(1))
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    with pytest.warns(UserWarning, match="TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected"):
        assert through(Config(1.0, [])) == Config(1.0, [])


def test_files_of_the_other_byte_order_are_turned_round() -> None:
    import zipfile

    values = [distrt.tensor([1.0, 2.0]), distrt.tensor([1 + 2j]), distrt.tensor([258], dtype=distrt.int16)]
    swapped = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(values))) as archive, zipfile.ZipFile(swapped, "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            if "/data/" in name:
                size = 2 if name.endswith("/2") else 4
                content = np.frombuffer(content, f"u{size}").byteswap().tobytes()
            other.writestr(name, b"big" if name.endswith("byteorder") else content)
    assert_same(loaded(swapped.getvalue()), values)
    big = distrt.serialization.LoadEndianness.BIG
    distrt.serialization.set_default_load_endianness(big)
    try:
        assert distrt.serialization.get_default_load_endianness() is big
        native = saved(values[2], _disable_byteorder_record=True)
        assert loaded(native).tolist() == [513]
    finally:
        distrt.serialization.set_default_load_endianness(None)


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_a_file_would_ask_for_is_named_once_whatever_its_protocol(protocol: int) -> None:
    data = saved([Config(0.5, []), Color.RED, Config(0.5, [])], pickle_protocol=protocol)
    unsafe = distrt.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
    assert unsafe == [f"{__name__}.Config", f"{__name__}.Color"]
