"""Archives: what they keep, and what becomes of those that are damaged or lie: nothing of them is run."""

from __future__ import annotations

import copy
import io
import random
from typing import Any

import pytest

import distrt
from distrt import files, nn
from distrt.core.errors import CheckpointError
from distrt.files.loading import read
from distrt.jit import ScriptFunction
from tests.files import hostile


class Model(nn.Module):
    """Something of everything that an archive holds."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
        self.again = self.layers[0]
        self.register_buffer("offset", distrt.ones(1), persistent=False)
        self.names = ["a", "b"]
        self.options = {"k": (1, 2.5)}
        self.kind = distrt.float32

    def forward(self, x):
        y = self.layers(x).to(self.kind) + self.offset
        for name in self.names:
            if name in "abc":
                y = y * len(name)
        return helper(y)

    @distrt.jit.export
    def count(self) -> int:
        return len(self.names)


def helper(x):
    return x.sum()


def _saved(made: Any, **options: Any) -> bytes:
    target = io.BytesIO()
    distrt.jit.save(made, target, **options)
    return target.getvalue()


@pytest.fixture(scope="module")
def archive() -> bytes:
    return _saved(distrt.jit.script(Model().eval()))


def test_everything_comes_back(archive: bytes) -> None:
    model = distrt.jit.load(io.BytesIO(archive))
    assert model.original_name == "Model" and not model.training and not model.layers[1].training
    assert model.again is model.layers[0] and model.count() == 2
    assert (model.names, model.options, model.kind) == (["a", "b"], {"k": (1, 2.5)}, distrt.float32)
    assert "offset" not in model.state_dict() and model.offset.item() == 1
    assert isinstance(model.again.weight, nn.Parameter) and model.again.weight.requires_grad
    assert _forward(_said(_saved(model))) == _forward(_said(archive))


def test_extra_files_and_places(tmp_path: Any) -> None:
    path = tmp_path / "model.pt"
    distrt.jit.save(distrt.jit.script(helper), path, _extra_files={"notes.txt": "said", "raw": b"\x00\xff"})
    extra: dict[str, Any] = {"notes.txt": "", "raw": "", "not there": "x"}
    loaded = distrt.jit.load(str(path), map_location="cpu", _extra_files=extra)
    assert isinstance(loaded, ScriptFunction) and loaded(distrt.ones(3)) == 3
    assert extra == {"notes.txt": b"said", "raw": b"\x00\xff", "not there": b""}
    with pytest.raises(ValueError, match="does not exist"):
        distrt.jit.load(tmp_path / "missing.pt")


def test_what_is_no_archive_of_jit_is_told(tmp_path: Any) -> None:
    for value in ({"a": distrt.ones(1)}, [1, 2]):
        target = io.BytesIO()
        distrt.save(value, target)
        target.seek(0)
        with pytest.raises(CheckpointError, match=r"no archive of jit\.save"):
            distrt.jit.load(target)
    with pytest.raises(AttributeError, match=r"jit\.save takes what jit\.script gives"):
        distrt.jit.save(Model(), io.BytesIO())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_archive_of_pytorch_is_told(torch: Any) -> None:
    target = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), target)
    target.seek(0)
    with pytest.raises(CheckpointError, match="the file is a TorchScript archive of PyTorch"):
        distrt.jit.load(target)


def test_a_program_that_calls_python_is_not_saved() -> None:
    class Leaving(nn.Module):
        @distrt.jit.ignore
        def outside(self, x):
            return distrt.from_numpy(x.numpy() + 1)

        @distrt.jit.unused
        def never(self, x):
            return open(x)

        def forward(self, x):
            if x.sum() > 100:
                x = self.never(x)
            return self.outside(x)

    scripted = distrt.jit.script(Leaving())
    assert scripted(distrt.zeros(1)).item() == 1
    with pytest.raises(RuntimeError, match="marked @unused"):
        scripted(distrt.full((1,), 101.0))
    with pytest.raises(RuntimeError, match="Could not export Python function call 'outside'"):
        scripted.save(io.BytesIO())


# Archives that lie


def _said(archive: bytes) -> dict[str, Any]:
    return read(io.BytesIO(archive))  # type: ignore[no-any-return]


def _refused(said: Any) -> str:
    """What loading an archive with this content says; it must be a CheckpointError, soon, with little memory."""
    target = io.BytesIO()
    files.save(said, target)
    return _outcome(target.getvalue())


def _outcome(data: bytes, may_load: bool = False) -> str:
    found = hostile.watched(lambda: distrt.jit.load(io.BytesIO(data)), len(data))
    assert may_load or isinstance(found, CheckpointError), found
    return str(found) if isinstance(found, CheckpointError) else ""


def _forward(said: dict[str, Any]) -> dict[str, Any]:
    return said["root"]["tree"]["functions"]["forward"]  # type: ignore[no-any-return]


LYING_EXPRESSIONS = [
    ["call", "os.system", [["const", "true"]], {}],
    ["call", "builtins.eval", [["const", "1"]], {}],
    ["call", "builtins.open", [["const", "f"]], {}],
    ["call", "builtins.getattr", [["const", "f"]], {}],
    ["call", "Tensor.__reduce__", [["local", "x"]], {}],
    ["call", "load", [["const", "f"]], {}],
    ["attr", ["local", "x"], "__class__"],
    ["method", ["local", "x"], "__reduce__", [], {}],
    ["python", "f", [], {}],
    ["function", "missing", [], {}],
    ["tensor", 5],
    ["tensor", True],
    ["binary", "is", ["const", 1], ["const", 1]],
    ["const", ["list"]],
    ["dtype", "object"],
    ["unknown"],
    ["local"],
    ["local", "a b"],
    [],
    None,
    "text",
    {"a": 1},
]


@pytest.mark.parametrize("expression", LYING_EXPRESSIONS, ids=str)
def test_a_program_with_other_words_is_refused(archive: bytes, expression: Any) -> None:
    said = _said(archive)
    _forward(said)["body"] = [["return", 1, expression]]
    assert "archive" in _refused(said)


def _nested(depth: int) -> Any:
    found: Any = ["const", 1]
    for _ in range(depth):
        found = ["unary", "-", found]
    return found


def _laughs(depth: int) -> Any:
    """A list that says itself twice, and so on: little to store, much to look at."""
    found: Any = ["const", 1]
    for _ in range(depth):
        found = ["binary", "+", found, found]
    return found


def _circle() -> Any:
    found: list[Any] = ["unary", "-"]
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("make", "size"),
    [(_nested, 300), pytest.param(_laughs, 60, marks=pytest.mark.ci)],
    ids=["deep", "repeated"],
)
def test_depth_and_repetition_are_bounded(archive: bytes, make: Any, size: int) -> None:
    said = _said(archive)
    _forward(said)["body"] = [["return", 1, make(size)]]
    assert "too deep or too long" in _refused(said)


def test_a_list_that_holds_itself_is_refused(archive: bytes) -> None:
    said = _said(archive)
    _forward(said)["body"] = [["return", 1, _circle()]]
    assert "too deep" in _refused(said)


def _change(path: str, value: Any) -> Any:
    def change(said: dict[str, Any]) -> None:
        *parts, last = path.split("/")
        at: Any = said
        for part in parts:
            at = at[part] if isinstance(at, dict) else at[int(part)]
        at[last] = value

    return change


LIES = {
    "version": _change("version", 99),
    "no root": _change("root", None),
    "kind": _change("root/kind", "class"),
    "no programs": _change("root/programs", None),
    "constants": _change("root/programs/0/constants", ["text"]),
    "program": _change("root/tree/program", 7),
    "negative": _change("root/tree/program", -1),
    "a class": _change("root/tree/children/layers/class", "os.system"),
    "the base class": _change("root/tree/children/layers/class", "Module"),
    "an attribute": _change("root/tree/children/layers/state", {"forward": 3}),
    "a dunder": _change("root/tree/children/layers/state", {"__class__": 3}),
    "an operation": _change("root/tree/attributes", {"f": {"is": "operation", "of": "os.system"}}),
    "a dtype": _change("root/tree/attributes", {"f": {"is": "dtype", "of": "object"}}),
    "a kind": _change("root/tree/attributes", {"f": {"is": "call", "of": "x"}}),
    "a buffer": _change("root/tree/buffers", {"b": "text"}),
    "a parameter": _change("root/tree/parameters", {"p": [1, True]}),
    "a name": _change("root/tree/parameters", {"a.b": None}),
    "training": _change("root/tree/training", "yes"),
    "a circle": _change("root/tree/children", {"a": {"again": 99}}),
    "parameters": _change("root/tree/functions/forward/parameters", [["x", "Object", None, False]]),
    "a default": _change(
        "root/tree/functions/forward/parameters", [["x", "int", ["call", "eval", [], {}], False]]
    ),
    "no body": _change("root/tree/functions/forward/body", None),
    "a statement": _change("root/tree/functions/forward/body", [["exec", 1, ["const", 1]]]),
    "a line": _change("root/tree/functions/forward/body", [["break", "x"]]),
    "no functions": _change("root/tree/functions", [1]),
    "an unhashable key": _change("root/tree/attributes", {"f": {"is": "dict", "of": [[[], 1]]}}),
    "children": _change("root/tree/children", 3),
}


@pytest.mark.parametrize("name", LIES)
def test_a_tree_that_lies_is_refused(archive: bytes, name: str) -> None:
    said = _said(archive)
    LIES[name](said)
    assert _refused(said)


def test_an_archive_that_was_cut_off_is_refused(archive: bytes) -> None:
    for size in range(0, len(archive), max(1, len(archive) // 40)):
        with pytest.raises((CheckpointError, EOFError)):
            distrt.jit.load(io.BytesIO(archive[:size]))


@pytest.mark.ci
def test_flipped_bits_are_refused_or_harmless(archive: bytes, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(300):
        data = bytearray(archive)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        _outcome(bytes(data), may_load=True)


@pytest.mark.ci
def test_a_program_with_parts_exchanged_is_refused_or_runs_the_table_alone(archive: bytes, seed: int) -> None:
    """Lists of the program moved, dropped or replaced at random: loading gives an error of its kind, or a program."""
    rng = random.Random(seed)
    for _ in range(150):
        said = copy.deepcopy(_said(archive))
        parts: list[list[Any]] = []

        def collect(part: Any) -> None:
            if isinstance(part, list):
                parts.append(part)  # noqa: B023 - called in this round
            for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
                collect(each)

        collect(said["root"]["tree"]["functions"])
        victim = rng.choice([each for each in parts if each])
        at = rng.randrange(len(victim))
        victim[at] = rng.choice([None, 3, "text", [], {}, rng.choice(parts), "call", -1, ["local", "self"]])
        target = io.BytesIO()
        files.save(said, target)
        _outcome(target.getvalue(), may_load=True)
