"""``distrt.distributed.checkpoint`` beside PyTorch's: the same calls, states and errors."""

import importlib.util
import inspect
import warnings

import pytest

import distrt
from tests.oracles import require_torch

torch = require_torch()
dcp = importlib.import_module("torch.distributed.checkpoint")
LIBRARIES = {"torch": torch, "distrt": distrt}
ALONE = "torch.distributed is disabled, unavailable or uninitialized, assuming the intent is to {} in a single process."


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def both(case, tmp_path):
    """What a case gives in both libraries: its result, or its error."""
    found = []
    for name, lib in LIBRARIES.items():
        folder = tmp_path / name
        try:
            found.append(told(case(lib, lib.distributed.checkpoint, str(folder)), folder))
        except BaseException as error:
            inner = [
                (rank, type(each).__name__, told(str(each), folder))
                for rank, (each, _) in getattr(error, "failures", {}).items()
            ]
            found.append((kind(error), inner or told(str(error), folder)))
    return found


CAUGHT = (
    "CheckpointException",
    "AttributeError",
    "ValueError",
    "AssertionError",
    "TypeError",
    "RuntimeError",
)


def kind(error):
    """The class that scripts catch: a builtin one, or PyTorch's own."""
    names = {each.__name__ for each in type(error).__mro__}
    return next(name for name in CAUGHT if name in names)


def told(value, folder):
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return str(value.dtype), tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return {key: told(each, folder) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [told(each, folder) for each in value]
    return value.replace(str(folder), "FOLDER") if isinstance(value, str) else value


def state(lib):
    return {
        "model": {"weight": lib.arange(6.0).reshape(2, 3), "count": lib.tensor(4)},
        "step": 5,
        "mixed": [lib.ones(2), {"a": 1}],
        "pair": (1, "x"),
        "empty": {},
        "numbers": {0: lib.ones(1)},
        "plain": [1, 2.5, None],
    }


def loaded(into, **options):
    def case(lib, dcp, folder):
        dcp.save(state(lib), checkpoint_id=folder)
        given = into(lib)
        dcp.load(given, checkpoint_id=folder, **{key: each(dcp) for key, each in options.items()})
        return given

    return case


class Thing:
    def __init__(self, value):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state_dict):
        self.value = state_dict["value"]


def things(lib, dcp, folder):
    dcp.save({"thing": Thing(3)}, checkpoint_id=folder)
    thing = Thing(1)
    given = {"thing": thing}
    dcp.load(given, checkpoint_id=folder)
    return thing.value, given["thing"] is thing, isinstance(thing, dcp.stateful.Stateful)


def models(lib, dcp, folder):
    model, other = lib.nn.Linear(2, 1), lib.nn.Linear(2, 1)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(lib.ones(1, 2)).sum().backward()
    optimizer.step()
    dcp.save({"model": model, "optimizer": optimizer}, checkpoint_id=folder)
    resumed = lib.optim.SGD(other.parameters(), lr=0.5, momentum=0.9)
    dcp.load({"model": other, "optimizer": resumed}, checkpoint_id=folder)
    return lib.equal(model.weight, other.weight), resumed.state_dict()


def by_names(lib, dcp, folder):
    """The way of PyTorch's tutorials: states by parameters' names."""
    state_dict = importlib.import_module(f"{dcp.__name__}.state_dict")
    model, other = lib.nn.Linear(2, 1), lib.nn.Linear(2, 1)
    optimizer, resumed = (lib.optim.Adam(each.parameters(), lr=0.1) for each in (model, other))
    model(lib.ones(1, 2)).sum().backward()
    optimizer.step()
    saved = state_dict.get_state_dict(model, optimizer)
    dcp.save({"model": saved[0], "optim": saved[1]}, checkpoint_id=folder)
    given = dict(zip(("model", "optim"), state_dict.get_state_dict(other, resumed), strict=True))
    dcp.load(given, checkpoint_id=folder)
    state_dict.set_state_dict(
        other, resumed, model_state_dict=given["model"], optim_state_dict=given["optim"]
    )
    mine, theirs = resumed.state_dict()["state"], optimizer.state_dict()["state"]
    same = all(
        lib.equal(mine[number][key], each) for number in theirs for key, each in theirs[number].items()
    )
    return same, lib.equal(model.weight, other.weight)


def metadata(lib, dcp, folder):
    written = dcp.save(state(lib), checkpoint_id=folder)
    read = dcp.FileSystemReader(folder).read_metadata()
    assert read.state_dict_metadata == written.state_dict_metadata
    assert str(read.storage_meta.checkpoint_id) == folder
    told = {
        name: (
            each.properties.dtype.itemsize,
            each.size,
            [(part.offsets, part.sizes) for part in each.chunks],
        )
        if isinstance(each, dcp.TensorStorageMetadata)
        else type(each).__name__
        for name, each in read.state_dict_metadata.items()
    }
    return told, list(told), read.planner_data


def asynchronously(lib, dcp, folder):
    values = {"w": lib.ones(3)}
    future = dcp.async_save(values, checkpoint_id=folder)
    values["w"].zero_()
    name = type(future.result(60)).__name__
    dcp.load(values, storage_reader=dcp.FileSystemReader(folder))
    return name, isinstance(future, importlib.import_module("concurrent.futures").Future), values


def again(lib, dcp, folder):
    for number in range(2):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            dcp.save({"w": lib.full((2,), float(number))}, checkpoint_id=folder)
    values = {"w": lib.zeros(2)}
    dcp.load(values, checkpoint_id=folder)
    return values, sorted({str(each.message) for each in found if "Detected" in str(each.message)})


def older(lib, dcp, folder):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        dcp.save_state_dict({"a": lib.ones(1)}, dcp.FileSystemWriter(folder), no_dist=True)
        values = {"a": lib.zeros(1)}
        dcp.load_state_dict(values, dcp.FileSystemReader(folder), no_dist=True)
    return values, sorted({str(each.message) for each in found if each.category is FutureWarning})


def one_file(lib, dcp, folder):
    utils = importlib.import_module(f"{dcp.__name__}.format_utils")
    dcp.save({"model": {"w": lib.ones(2)}, "step": 3}, checkpoint_id=folder)
    utils.dcp_to_torch_save(folder, folder + ".pt")
    found = lib.load(folder + ".pt", weights_only=True)
    utils.torch_save_to_dcp(folder + ".pt", folder + "2")
    values = {"model": {"w": lib.zeros(2)}, "step": 0}
    dcp.load(values, checkpoint_id=folder + "2")
    return found, values


def not_twice(lib, dcp, folder):
    dcp.save({"a": 1}, checkpoint_id=folder)
    dcp.save({"a": 2}, storage_writer=dcp.FileSystemWriter(folder, overwrite=False))


CASES = {
    "in place": loaded(state),
    "a part": loaded(lambda lib: {"model": {"count": lib.tensor(0)}, "step": None}),
    "another dtype": loaded(lambda lib: {"model": {"weight": lib.zeros(2, 3, dtype=lib.float64)}}),
    "a value in a tensor's place": loaded(lambda lib: {"step": lib.ones(1)}),
    "a tensor that is missing": loaded(lambda lib: {"nope": lib.ones(1)}),
    "missing, but allowed": loaded(
        lambda lib: {"nope": 1, "step": 0},
        planner=lambda dcp: dcp.DefaultLoadPlanner(allow_partial_load=True),
    ),
    "another size": loaded(lambda lib: {"model": {"weight": lib.zeros(3, 3)}}),
    "objects": things,
    "models": models,
    "by names": by_names,
    "metadata": metadata,
    "asynchronously": asynchronously,
    "again": again,
    "older names": older,
    "one file": one_file,
    "not twice": not_twice,
    "no folder": lambda lib, dcp, folder: dcp.save({"a": 1}),
    "no folder to load": lambda lib, dcp, folder: dcp.load({"a": 1}),
    "two of one name": lambda lib, dcp, folder: dcp.save({"a": {"b": 1}, "a.b": 2}, checkpoint_id=folder),
    "no group": lambda lib, dcp, folder: dcp.save_state_dict({"a": 1}, dcp.FileSystemWriter(folder)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_call_gives_what_pytorch_gives(case, tmp_path):
    theirs, mine = both(CASES[case], tmp_path)
    assert mine == theirs


def test_a_folder_without_a_checkpoint_is_the_error_of_pytorchs_class(tmp_path):
    theirs, mine = both(lambda lib, dcp, folder: dcp.load({"a": 1}, checkpoint_id=folder), tmp_path)
    assert [each[:2] for each in mine[1]] == [each[:2] for each in theirs[1]] == [(0, "AssertionError")]
    assert mine[0] == theirs[0] == "CheckpointException"


def test_a_tensor_that_is_to_become_a_value_is_refused(tmp_path):
    theirs, mine = both(loaded(lambda lib: {"model": {"weight": 3}}), tmp_path)
    assert [each[:2] for each in mine[1]] == [each[:2] for each in theirs[1]] == [(0, "ValueError")]


def test_one_process_is_warned_of_being_alone(tmp_path):
    for lib in LIBRARIES.values():
        dcp = lib.distributed.checkpoint
        for verb in ("save", "load"):
            with pytest.warns(UserWarning) as found:
                getattr(dcp, verb)({"a": 1}, checkpoint_id=str(tmp_path / lib.__name__))
            assert ALONE.format(verb) in {str(each.message) for each in found}


@pytest.mark.parametrize("name", ["save", "load", "save_state_dict", "load_state_dict"])
def test_functions_take_pytorchs_arguments(name):
    mine, theirs = (inspect.signature(getattr(lib.distributed.checkpoint, name)) for lib in (distrt, torch))
    assert [(each.name, each.kind, each.default) for each in mine.parameters.values()] == [
        (each.name, each.kind, each.default) for each in theirs.parameters.values()
    ]


@pytest.mark.parametrize(
    "module",
    [
        *"api default_planner filesystem format_utils metadata state_dict state_dict_loader".split(),
        *"state_dict_saver stateful".split(),
    ],
)
def test_names_stand_where_pytorch_has_them(module):
    pair = [
        importlib.import_module(f"{name}.distributed.checkpoint.{module}") for name in ("distrt", "torch")
    ]
    assert [name for name in pair[0].__all__ if not hasattr(pair[1], name)] == []
    for (
        name
    ) in distrt.distributed.checkpoint.__all__:  # modules are attributes once somebody has imported them
        assert hasattr(dcp, name) or importlib.util.find_spec(f"torch.distributed.checkpoint.{name}"), name
