"""Files of PyTorch are read, and what is written PyTorch reads: bit by bit, in both formats."""

from __future__ import annotations

import collections
import io
import pickle
import warnings
import zipfile
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.errors import CheckpointError
from tests.files.trips import assert_same, loaded, saved
from tests.oracles import require_torch

torch = require_torch()

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
DTYPES += ["uint16", "uint32", "uint64"]
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def _theirs(value: Any, zipped: bool = True, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped, **options)
    return buffer.getvalue()


def _by_torch(data: bytes, **options: Any) -> Any:
    return torch.load(io.BytesIO(data), **options)


def _values(lib: Any) -> dict[str, Any]:
    """The same structure in either library: all that a checkpoint may hold."""
    base = lib.arange(24.0).reshape(4, 6)
    return {
        **{name: lib.tensor([0, 1, 2]).to(getattr(lib, name)) for name in DTYPES},
        "base": base,
        "view": base[1:, ::2],
        "transposed": base.t(),
        "expanded": lib.ones(1, 3).expand(4, 3),
        "scalar": lib.tensor(2.5, requires_grad=True),
        "empty": lib.empty(3, 0, 2),
        "parameter": lib.nn.Parameter(lib.ones(2, 2)),
        "frozen": lib.nn.Parameter(lib.ones(2), requires_grad=False),
        "computed": (lib.tensor([1.0, 2.0], requires_grad=True) * 3),
        "dtype": lib.bfloat16,
        "device": lib.device("cpu"),
        "gpu": lib.device("cuda:1"),
        "size": base.shape,
        "layout": lib.strided,
        "plain": [
            1,
            -5,
            2**40,
            2**80,
            -(2**33),
            0.5,
            float("inf"),
            "grüße \ud800",
            b"\x00\xff",
            None,
            True,
            3 + 4j,
        ],
        "containers": [(), (1,), (1, 2, 3, 4), [], {}, {1, 2}, {"a": {"b": [(1, [2])]}}],
        "ordered": collections.OrderedDict([("b", 1), ("a", base)]),
        "counter": collections.Counter({3: 2, 8: 1}),
        "bytearray": bytearray(b"abc"),
        "text": "x" * 70_000,
    }


@FORMATS
def test_everything_that_pytorch_saves_is_loaded(zipped: bool) -> None:
    theirs = _values(torch)
    assert_same(loaded(_theirs(theirs, zipped), weights_only=True), theirs)


@FORMATS
def test_everything_that_is_saved_pytorch_loads(zipped: bool) -> None:
    mine = _values(distrt)
    if not zipped:  # PyTorch cannot read its own old files of these, either
        mine = {name: value for name, value in mine.items() if name not in ("uint16", "uint32", "uint64")}
    data = saved(mine, _use_new_zipfile_serialization=zipped)
    assert_same(_by_torch(data, weights_only=True), mine)
    assert_same(loaded(data), mine)


@FORMATS
def test_views_share_memory_again(zipped: bool) -> None:
    base = torch.arange(10.0)
    found = loaded(_theirs([base, base[2:5], base.view(2, 5).t()], zipped))
    found[0].zero_()
    assert not found[1].any() and not found[2].any()
    mine = distrt.arange(10.0)
    theirs = _by_torch(saved([mine, mine[2:5]], _use_new_zipfile_serialization=zipped))
    theirs[0].zero_()
    assert not theirs[1].any()


def test_a_small_view_brings_its_whole_storage_as_in_pytorch() -> None:
    mine, theirs = saved(distrt.zeros(100_000)[:2]), _theirs(torch.zeros(100_000)[:2])
    assert len(mine) > 400_000 and abs(len(mine) - len(theirs)) < 200


def test_the_archive_has_the_layout_of_pytorch() -> None:
    values = [distrt.arange(5.0), distrt.ones(100), distrt.empty(0)]
    mine = saved(values)
    theirs = _theirs([torch.arange(5.0), torch.ones(100), torch.empty(0)])
    ours, other = (zipfile.ZipFile(io.BytesIO(data)).infolist() for data in (mine, theirs))
    shown = [(each.filename, each.flag_bits, each.extra, each.create_version) for each in ours]
    assert shown == [(each.filename, each.flag_bits, each.extra, each.create_version) for each in other]
    data = [each for each in ours if "/data/" in each.filename]
    assert [each.CRC for each in data] == [each.CRC for each in other if "/data/" in each.filename]
    for entry in ours:
        name_length, extra_length = np.frombuffer(mine, "<u2", 2, entry.header_offset + 26)
        assert (entry.header_offset + 30 + int(name_length) + int(extra_length)) % 64 == 0


def test_pytorch_finds_storages_where_it_computes_them_to_be(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("TORCH_SERIALIZATION_DEBUG", "1")
    path = tmp_path / "a.pt"
    distrt.save([distrt.arange(5.0), distrt.ones(100)], path)
    with torch.serialization.skip_data():
        torch.load(path)
    with torch.utils.serialization.config.patch({"load.calculate_storage_offsets": True}):
        assert_same(torch.load(path, mmap=True), [distrt.arange(5.0), distrt.ones(100)])


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_every_pickle_protocol_goes_both_ways(protocol: int) -> None:
    theirs = {
        "w": torch.arange(6.0).reshape(2, 3),
        "d": torch.float64,
        "s": {1, 2},
        "long": "y" * 300,
        "n": 10**90,
    }
    assert_same(loaded(_theirs(theirs, pickle_protocol=protocol)), theirs)
    mine = {"w": distrt.arange(6.0).reshape(2, 3), "d": distrt.float64, "s": {1, 2}, "b": b"z" * 100_000}
    assert_same(_by_torch(saved(mine, pickle_protocol=protocol), weights_only=False), mine)


def test_attributes_of_tensors_and_parameters_are_kept() -> None:
    theirs, parameter = torch.ones(2), torch.nn.Parameter(torch.ones(3))
    theirs.note, parameter.tag = "mine", {"k": 1}
    found = loaded(_theirs([theirs, parameter]))
    assert found[0].note == "mine" and found[1].tag == {"k": 1}
    mine, own = distrt.ones(2), distrt.nn.Parameter(distrt.ones(3))
    mine.note, own.tag = "mine", {"k": 1}
    back = _by_torch(saved([mine, own, distrt.nn.Buffer(distrt.ones(1))]))
    assert back[0].note == "mine" and back[1].tag == {"k": 1} and isinstance(back[2], torch.nn.Buffer)


def test_conjugated_and_negated_views_are_loaded_as_values() -> None:
    values = torch.tensor([1 + 2j, 3 - 1j])
    assert loaded(_theirs(values.conj())).tolist() == [1 - 2j, 3 + 1j]
    assert loaded(_theirs(values.conj().imag)).tolist() == [-2.0, 1.0]


def _models(lib: Any) -> dict[str, Any]:
    nn = lib.nn
    return {
        "conv": nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
        ),
        "lstm": nn.LSTM(3, 4, 2),
        "attention": nn.TransformerEncoderLayer(4, 2, 8),
        "embedding": nn.ModuleDict(
            {"e": nn.Embedding(5, 3), "p": nn.ParameterList([nn.Parameter(lib.ones(2))])}
        ),
    }


@pytest.mark.parametrize("name", ["lstm", "attention", "embedding"])
def test_state_dicts_go_both_ways(name: str) -> None:
    mine, theirs = _models(distrt)[name], _models(torch)[name]
    mine.load_state_dict(loaded(_theirs(theirs.state_dict())))
    assert_same(mine.state_dict(), theirs.state_dict())
    assert mine.state_dict()._metadata == theirs.state_dict()._metadata
    for each in mine.parameters():
        each.data.add_(1)
    back = _by_torch(saved(mine.state_dict()), weights_only=True)
    assert back._metadata == mine.state_dict()._metadata
    theirs.load_state_dict(back)
    assert_same(mine.state_dict(), theirs.state_dict())


def _trained(lib: Any, optimizer: str) -> tuple[Any, Any, Any, Any]:
    model = lib.nn.Linear(3, 2)
    with lib.no_grad():
        for number, each in enumerate(model.parameters()):
            each.copy_(lib.arange(float(each.numel())).reshape(each.shape) / 7 + number)
    made = getattr(lib.optim, optimizer)(model.parameters(), lr=0.1)
    schedule = lib.optim.lr_scheduler.MultiStepLR(made, [1, 3])
    scaler = lib.amp.GradScaler("cpu", init_scale=8.0)
    return model, made, schedule, scaler


def _step(lib: Any, model: Any, optimizer: Any, schedule: Any, scaler: Any) -> None:
    loss = model(lib.arange(12.0).reshape(4, 3) / 5).square().mean()
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    schedule.step()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "ASGD"])
def test_training_continues_in_the_other_library(name: str) -> None:
    first, second = _trained(torch, name), _trained(distrt, name)
    for _ in range(2):
        _step(torch, *first)
    states = [each.state_dict() for each in first]
    for each, state in zip(second, loaded(_theirs(states), weights_only=True), strict=True):
        each.load_state_dict(state)
    third = _trained(torch, name)
    for each, state in zip(third, _by_torch(saved([each.state_dict() for each in second])), strict=True):
        each.load_state_dict(state)
    for lib, parts in ((torch, first), (distrt, second), (torch, third)):
        _step(lib, *parts)
    for theirs, mine, other in zip(*(parts[0].parameters() for parts in (first, second, third)), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-6)
        np.testing.assert_allclose(other.detach().numpy(), theirs.detach().numpy(), rtol=1e-6)


def test_whole_models_of_pytorchs_layers_go_both_ways() -> None:
    theirs = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 1), torch.nn.GELU(), torch.nn.BatchNorm1d(3)).eval()
    mine = loaded(_theirs(theirs))
    values = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    expected = theirs(torch.from_numpy(values)).detach().numpy()
    np.testing.assert_allclose(
        mine(distrt.from_numpy(values)).detach().numpy(), expected, rtol=1e-4, atol=1e-5
    )
    back = _by_torch(saved(mine), weights_only=False)
    assert type(back) is torch.nn.Sequential and repr(back) == repr(theirs) == repr(mine)


def test_names_of_layers_are_those_of_pytorch() -> None:
    from distrt.files.names import written

    rooms = [
        (distrt.nn, torch.nn),
        (distrt.optim, torch.optim),
        (distrt.optim.lr_scheduler, torch.optim.lr_scheduler),
        (distrt.utils.data, torch.utils.data),
    ]
    wrong = {}
    for ours, theirs in rooms:
        for name in dir(theirs):
            mine, other = getattr(ours, name, None), getattr(theirs, name)
            if isinstance(other, type) and isinstance(mine, type) and mine.__module__.startswith("distrt"):
                expected = (other.__module__, other.__qualname__)
                if written(mine) != expected:
                    wrong[name] = (written(mine), expected)
    assert not wrong


def test_a_gpu_checkpoint_needs_map_location() -> None:
    buffer, out = io.BytesIO(), io.BytesIO()
    torch.save(torch.ones(2), buffer)
    with zipfile.ZipFile(buffer) as archive, zipfile.ZipFile(out, "w") as other:
        for name in archive.namelist():
            content = archive.read(name).replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            other.writestr(name, content)
    data = out.getvalue()
    for load in (loaded, _by_torch):
        with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
            load(data)
    for where in ("cpu", distrt.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage):
        assert loaded(data, map_location=where).tolist() == [1, 1]
    seen: list[Any] = []
    loaded(data, map_location=lambda storage, location: seen.append((storage.nbytes(), location)) or storage)
    assert seen == [(8, "cuda:0")]


@pytest.mark.parametrize("size", [0, 300])
def test_errors_are_those_of_pytorch(size: int) -> None:
    faults = []
    for load in (loaded, _by_torch):
        with pytest.raises(Exception) as caught:
            load(_theirs([1.0])[:size])
        faults.append(caught.value)
    assert isinstance(faults[0], type(faults[1])) and isinstance(faults[0], CheckpointError)


class Foreign:
    """A class that no file may make unless it is registered."""

    def __init__(self) -> None:
        self.value = 3


def test_a_class_must_be_registered_as_in_pytorch() -> None:
    data = saved({"x": Foreign()})
    for load, lib in ((loaded, distrt), (_by_torch, torch)):
        for options in ({}, {"weights_only": True}):
            with pytest.raises(
                pickle.UnpicklingError, match=r"Unsupported global: GLOBAL .*Foreign was not an"
            ) as error:
                load(data, **options)
            assert "Weights only load failed" in str(error.value) and "add_safe_globals" in str(error.value)
        with lib.serialization.safe_globals([Foreign]):
            assert load(data, weights_only=True)["x"].value == 3
        assert Foreign not in lib.serialization.get_safe_globals()
        lib.serialization.add_safe_globals([(Foreign, f"{__name__}.Foreign")])
        assert load(data)["x"].value == 3
        assert (Foreign, f"{__name__}.Foreign") in lib.serialization.get_safe_globals()
        lib.serialization.clear_safe_globals()
        assert load(data, weights_only=False)["x"].value == 3
        unsafe = lib.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
        assert unsafe == [f"{__name__}.Foreign"]


def test_a_whole_model_of_registered_classes_is_loaded_strictly() -> None:
    for lib, load in ((torch, _by_torch), (distrt, loaded)):
        buffer = io.BytesIO()
        lib.save(lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.ReLU()), buffer)
        with lib.serialization.safe_globals([lib.nn.Sequential, lib.nn.Linear]):
            with pytest.raises(pickle.UnpicklingError, match=r"activation\.ReLU was not an allowed global"):
                load(buffer.getvalue(), weights_only=True)
            lib.serialization.add_safe_globals([lib.nn.ReLU])
            found = load(buffer.getvalue(), weights_only=True)
        lib.serialization.clear_safe_globals()
        assert found(lib.ones(1, 2)).shape == (1, 2)


def test_numpy_values_are_allowed_where_pytorch_allows_them() -> None:
    theirs = _theirs(
        {"n": np.float64(0.5), "a": np.arange(6.0).reshape(2, 3).T, "b": np.array([True]), "s": np.int32(4)}
    )
    with pytest.raises(pickle.UnpicklingError, match="scalar"):
        loaded(theirs, weights_only=True)
    found = loaded(theirs, weights_only=False)
    expected = _by_torch(theirs, weights_only=False)
    for key in expected:
        assert type(found[key]) is type(expected[key])
        np.testing.assert_array_equal(found[key], expected[key])
    allowed = [np._core.multiarray.scalar, np.dtype, np.dtypes.Float64DType]
    number = _theirs(np.float64(0.5))
    with distrt.serialization.safe_globals(allowed):
        assert loaded(number, weights_only=True) == 0.5


def test_storages_are_saved_and_loaded() -> None:
    theirs = torch.arange(3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = loaded(_theirs([theirs.storage(), theirs.untyped_storage().clone(), theirs]))
        mine = distrt.arange(3.0)
        back = _by_torch(saved([mine.storage(), mine]))
        assert list(back[0]) == [0, 1, 2]
    assert found[0].tolist() == [0, 1, 2] and found[0].dtype is distrt.float32 and len(found[1]) == 12
    found[2].zero_()
    assert found[0].tolist() == [0, 0, 0]


def test_hooks_are_left_out_with_a_warning_as_in_pytorch() -> None:
    for lib in (torch, distrt):
        noted, silent = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
        noted.register_hook(lambda gradient: gradient)
        silent.register_hook(lib.utils.hooks.unserializable_hook(lambda gradient: None))
        computed = noted * 2
        computed.retain_grad()
        with pytest.warns(UserWarning, match="on tensor will not be serialized") as caught:
            lib.save([noted, silent, computed.detach()], io.BytesIO())
        assert len(caught) == 1
        parameter = lib.nn.Parameter(lib.ones(2))
        parameter.register_hook(lambda gradient: gradient)
        lib.save([parameter, computed], io.BytesIO())


def test_two_dtypes_of_one_memory_are_refused_as_in_pytorch() -> None:
    for lib in (torch, distrt):
        base = lib.arange(4.0)
        with pytest.raises(RuntimeError, match="view the same data as different types"):
            lib.save([base, base.view(lib.int32)], io.BytesIO())


def test_views_of_older_files_have_their_values_though_storages_are_filled_last() -> None:
    plain, part = torch.tensor([1 + 2j, 3 - 4j]), torch.tensor([1 + 2j]).conj().imag
    target = io.BytesIO()
    torch.save([plain.conj(), plain, part], target, _use_new_zipfile_serialization=False)
    torch.save("behind", target, _use_new_zipfile_serialization=False)
    target.seek(0)
    conjugated, same, negated = distrt.load(target)
    assert (conjugated.tolist(), same.tolist(), negated.tolist()) == ([1 - 2j, 3 + 4j], plain.tolist(), [-2])
    assert distrt.load(target) == "behind"
