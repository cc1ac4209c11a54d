"""Pickles that ask for what they must not have, in both formats: nothing runs, and memory stays small."""

from __future__ import annotations

import functools
import pickle
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import distrt
from distrt.core.errors import CheckpointError
from tests.files.hostile import (
    archive,
    assert_refused,
    name,
    number,
    old_file,
    outcome,
    storage,
    tensor,
    text,
)
from tests.files.trips import saved

_COMMAND = text("touch /tmp/distrt-was-here")


def _call(module: str, qualname: str, *arguments: bytes) -> bytes:
    return b"\x80\x02" + name(module, qualname) + b"(" + b"".join(arguments) + b"tR."


def _stacked(module: str, qualname: str, *arguments: bytes) -> bytes:
    return b"\x80\x04" + text(module) + text(qualname) + b"\x93(" + b"".join(arguments) + b"tR."


_FUNCTIONS = [
    "os system",
    "posix system",
    "nt system",
    "sys exit",
    "os popen",
    "os execv",
    "subprocess Popen",
    "subprocess call",
    "subprocess check_output",
    "builtins eval",
    "builtins exec",
    "builtins compile",
    "builtins __import__",
    "builtins open",
    "builtins input",
    "builtins getattr",
    "builtins setattr",
    "builtins globals",
    "builtins type",
    "builtins map",
    "__builtin__ eval",
    "__builtin__ execfile",
    "importlib import_module",
    "importlib.util spec_from_file_location",
    "runpy run_path",
    "pty spawn",
    "commands getoutput",
    "code interact",
    "timeit timeit",
    "cProfile run",
    "pdb run",
    "webbrowser open",
    "pickle loads",
    "_pickle loads",
    "marshal loads",
    "shelve open",
    "ctypes CDLL",
    "socket create_connection",
    "urllib.request urlopen",
    "shutil rmtree",
    "pathlib Path.unlink",
    "pathlib Path.write_text",
    "operator attrgetter",
    "operator methodcaller",
    "functools reduce",
    "types FunctionType",
    "types CodeType",
    "copyreg add_extension",
    "tempfile NamedTemporaryFile",
    "logging.config listen",
    "multiprocessing.util spawnv_passfds",
    "numpy load",
    "numpy memmap",
    "numpy.testing runstring",
    "numpy.f2py.crackfortran getlincoef",
    "torch load",
    "torch save",
    "torch.serialization load",
    "torch.serialization os.system",
    "torch.hub load",
    "torch.jit load",
    "torch._utils _import_dotted_name",
    "torch.storage _load_from_bytes",
    "torch.utils._config_module load_config",
    "torch.multiprocessing spawn",
    "torch.nn.modules.module os.system",
    "torch.nn.functional os",
    "torch.optim.optimizer os.system",
    "distrt load",
    "distrt.files.loading load",
    "distrt.files.atomic write_atomically",
    "distrt.files.atomic os.unlink",
    "distrt.comm.stores TCPStore",
    "distrt.distributed TCPStore",
    "__main__ os.system",
    "tests.files.hostile zipfile.ZipFile",
]


@pytest.mark.parametrize("path", _FUNCTIONS)
def test_a_call_by_name_is_refused(path: str) -> None:
    module, qualname = path.split()
    for make in (_call, _stacked):
        for arguments in ((), (_COMMAND,), (_COMMAND, text("r")), (number(10**11),)):
            pickled = make(module, qualname, *arguments)
            assert_refused(archive(pickled))
            assert_refused(old_file(pickled))


def _reduced(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


_REBUILD = name("torch._utils", "_rebuild_tensor_v2")
_DICT = name("collections", "OrderedDict") + b")R"
_ONE = b"(" + storage(4) + number(0) + b"(" + number(4) + b"t(" + number(1) + b"t"

PICKLES: dict[str, bytes] = {
    "partial of system": _reduced(name("functools", "partial"), b"(", name("os", "system"), b"tR"),
    "partial of a command": _reduced(
        name("functools", "partial"), b"(", name("torch", "tensor"), _COMMAND, b"tR)R"
    ),
    "codec": _call("_codecs", "encode", text("x"), text("zlib")),
    "codec that imports": _call("_codecs", "encode", text("x"), text("../../evil")),
    "huge bytearray": _call("builtins", "bytearray", number(10**12)),
    "huge range as a set": _reduced(
        name("builtins", "set"), b"(", name("builtins", "range"), b"(", number(10**9), b"tRtR"
    ),
    "huge range as a deque": _reduced(
        name("collections", "deque"), b"(", name("builtins", "range"), b"(", number(10**9), b"tRtR"
    ),
    "size": _call("torch", "Size", _COMMAND),
    "size of floats": _call("torch", "Size", b"(G?\xf0\0\0\0\0\0\0t"),
    "tensor of a size": _call("torch", "Tensor", number(10**12)),
    "float tensor of a size": _call("torch", "FloatTensor", number(10**12)),
    "new tensor of a size": _reduced(name("torch", "Tensor"), b"(", number(10**12), b"t\x81"),
    "parameter of a size": _reduced(name("torch.nn.parameter", "Parameter"), b"(", number(10**12), b"t\x81"),
    "storage of a size": _call("torch.storage", "UntypedStorage", number(10**12)),
    "device": _call("torch", "device", text("evil")),
    "layout": _call("torch.serialization", "_get_layout", text("__class__")),
    "rebuild of a string": _reduced(_REBUILD, b"(", text("x"), number(0), b"))", b"\x89N", b"tR"),
    "rebuild without arguments": _reduced(_REBUILD, b")R"),
    "rebuild with a string as size": _reduced(
        _REBUILD, b"(", storage(4), number(0), text("4"), text("1"), b"\x89NtR"
    ),
    "rebuild with an odd flag": _reduced(_REBUILD, _ONE, text("yes"), _DICT, b"tR"),
    "rebuild with odd metadata": _reduced(_REBUILD, _ONE, b"\x89", _DICT, b"}", text("evil"), b"\x88stR"),
    "from type of a function": _reduced(
        name("torch._tensor", "_rebuild_from_type_v2"),
        b"(",
        name("torch", "Size"),
        name("torch", "Tensor"),
        b")}tR",
    ),
    "from type of no tensor": _reduced(
        name("torch._tensor", "_rebuild_from_type_v2"),
        b"(",
        _REBUILD,
        name("collections", "OrderedDict"),
        b")}tR",
    ),
    "attribute of the engine": _reduced(
        name("torch._tensor", "_rebuild_from_type_v2"),
        b"(",
        _REBUILD,
        name("torch", "Tensor"),
        _ONE + b"\x89" + _DICT + b"t",
        b"}",
        text("_array"),
        text("x"),
        b"stR",
    ),
    "save as a value": _reduced(name("torch", "save")),
    "load as a value": _reduced(name("torch", "load")),
    "compile as a value": _reduced(name("torch", "compile")),
    "build on a function": _reduced(_REBUILD, b"}", text("__code__"), b"Nsb"),
    "build on a class": _reduced(name("collections", "OrderedDict"), b"}", text("x"), b"Nsb"),
    "build on a list": _reduced(b"]", b"}", text("x"), b"Nsb"),
    "build on an object of Python": _reduced(name("builtins", "object"), b")\x81}b"),
    "class of an ordered dict": _reduced(_DICT, b"}", text("__class__"), b"Nsb")[:-1] + text("x") + b"s.",
    "new object of a function": _reduced(_REBUILD, b")\x81"),
    "new object of os": _reduced(name("os", "_wrap_close"), b")\x81"),
    "new process": _reduced(name("subprocess", "Popen"), b")\x81"),
    "new file closer": _reduced(
        name("tempfile", "_TemporaryFileCloser"), b")\x81}", text("delete"), b"\x88sb"
    ),
    "instance opcode": b"(S'touch x'\nios\nsystem\n.",
    "object opcode": b"(" + name("os", "system") + _COMMAND + b"o.",
    "extension 1": b"\x80\x02\x82\x01.",
    "extension 2": b"\x80\x02\x83\x01\x00.",
    "extension 4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "buffer": b"\x80\x05\x97.",
    "read-only buffer": b"\x80\x05\x97\x98.",
    "protocol of the future": b"\x80\xff.",
    "no stack": b"\x80\x02R.",
    "nothing to stop with": b"\x80\x02.",
    "no mark": b"\x80\x02NNt.",
    "unknown opcode": b"\x80\x02\xff.",
    "cut string": b"\x80\x02X\xff\xff\xff\xffabc.",
    "cut bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**63 - 1) + b"abc.",
    "cut frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "negative length": b"\x80\x02T\xff\xff\xff\xffabc.",
    "negative long": b"\x80\x02\x8b\xff\xff\xff\xffabc.",
    "endless line": b"\x80\x02c" + b"a" * 100_000,
    "number of many digits": b"I" + b"9" * 60_000 + b"\n.",
    "no text": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    "unknown memo": b"\x80\x02h\x05.",
    "append to a tuple": b"\x80\x02)Na.",
    "set item of a list": b"\x80\x02]NNs.",
    "odd items": b"\x80\x02}(Nu.",
    "list as a key": b"\x80\x02}]Ns.",
    "key of many tuples": b"\x80\x02}N" + b"\x85" * 20_000 + b"Ns.",
    "key that doubles": b"\x80\x02}N" + b"2\x86" * 60 + b"Ns.",
    "members that double": b"\x80\x04\x8f(N" + b"2\x86" * 60 + b"\x90.",
    "huge key": b"\x80\x02}\x8b" + struct.pack("<i", 50_000) + b"\x7f" * 50_000 + b"Ns.",
    "persistent text": b"P" + b"x" * 10 + b"\n.",
    "persistent number": b"\x80\x02K\x05Q.",
    "persistent thing": b"\x80\x02(" + text("thing") + b"NNNNtQ.",
    "persistent storage of a function": b"\x80\x02("
    + text("storage")
    + _REBUILD
    + text("0")
    + text("cpu")
    + b"K\x01tQ.",
    "persistent storage without a name": b"\x80\x02("
    + text("storage")
    + name("torch", "FloatStorage")
    + b"NNK\x01tQ.",
    "storage of negative size": b"\x80\x02" + storage(-4) + b".",
    "storage that is not there": b"\x80\x02" + storage(4, "9") + b".",
    "storage by a path": b"\x80\x02" + storage(4, "../../../etc/passwd") + b".",
    "storage on a GPU": b"\x80\x02" + storage(4, location="cuda:0") + b".",
    "storage nowhere": b"\x80\x02" + storage(4, location="nowhere") + b".",
    "storage of another size": b"\x80\x02" + storage(5) + b".",
    "storage of two dtypes": b"\x80\x02" + storage(4) + storage(4, kind="IntStorage") + b"\x86.",
    "huge storage": tensor(2**40, 0, (2**40,), (1,)),
    "tensor beyond the end": tensor(4, 0, (5,), (1,)),
    "tensor beyond the end by its offset": tensor(4, 3, (2,), (1,)),
    "tensor beyond the end by its stride": tensor(4, 0, (2,), (4,)),
    "tensor of negative offset": tensor(4, -1, (2,), (1,)),
    "tensor of negative stride": tensor(4, 3, (2,), (-1,)),
    "tensor of negative size": tensor(4, 0, (-2,), (1,)),
    "tensor of huge stride": tensor(4, 0, (2,), (2**62,)),
    "tensor of huge size": tensor(4, 0, (2**62, 2**62), (0, 0)),
    "tensor of huge empty size": tensor(4, 0, (2**62, 2**62, 0), (0, 0, 0)),
    "tensor of numbers beyond 64 bits": tensor(4, 2**70, (2**70,), (2**70,)),
    "tensor of a thousand dims": tensor(4, 0, (1,) * 1000, (1,) * 1000),
    "tensor of other strides": tensor(4, 0, (2, 2), (1,)),
    "quantised tensor": _reduced(name("torch._utils", "_rebuild_qtensor"), b")R"),
    "sparse tensor": _reduced(name("torch._utils", "_rebuild_sparse_tensor"), b")R"),
    "float8": _reduced(name("torch", "float8_e4m3fn")),
}


@pytest.mark.parametrize("case", PICKLES)
def test_a_hostile_pickle_is_refused(case: str) -> None:
    data = bytes(16)
    assert_refused(archive(PICKLES[case], {"0": data}))
    assert_refused(old_file(PICKLES[case]))


@pytest.mark.parametrize("weights_only", [True, False])
def test_many_copies_of_one_large_thing_are_refused(weights_only: bool) -> None:
    large = "x" * (1 << 18)
    array = name("builtins", "bytearray") + b"q\x02"
    latin = (
        b"\x80\x02"
        + text(large)
        + b"q\x010"
        + array
        + b"0("
        + b"h\x02h\x01X\x06\x00\x00\x00latin1\x86R" * 10_000
        + b"t."
    )
    numbers = b"\x80\x02(" + b"K\x01" * 50_000 + b"lq\x010" + name("builtins", "set") + b"q\x020("
    for pickled in (latin, numbers + b"h\x02h\x01\x85R" * 10_000 + b"t."):
        found = outcome(archive(pickled), weights_only)
        assert isinstance(found, CheckpointError) and "many times its size" in str(found)


def test_lists_in_lists_cost_what_they_weigh() -> None:
    laughs = b"\x80\x02" + b"](" + b"N" * 10 + b"e"
    for _ in range(40):
        laughs += b"q\x01](" + b"h\x01" * 10 + b"e"
    assert len(outcome(archive(laughs + b"."))) == 10
    deep = outcome(archive(b"\x80\x02" + b"(" * 20_000 + b"l" * 20_000 + b"."))
    assert len(deep) == 1


def test_hostile_numpy_arrays_are_refused() -> None:
    array = (
        name("numpy._core.multiarray", "_reconstruct")
        + b"("
        + name("numpy", "ndarray")
        + b"K\x00\x85C\x01bt\x52"
    )
    array = array.replace(b"C\x01b", text("b"))

    def dtype(code: str, state: bytes = b"") -> bytes:
        return name("numpy", "dtype") + b"(" + text(code) + b"\x89\x88tR" + state

    states = [
        b"(K\x01" + b"(" + number(10**12) + b"t" + dtype("f8") + b"\x89" + text("") + b"tb",
        b"(K\x01" + b"(K\x01t" + dtype("O8") + b"\x89" + text("12345678") + b"tb",
        b"(K\x01" + b"(K\x02t" + dtype("O8") + b"\x89]Na" + b"tb",
        b"(K\x01" + b"(" + number(-1) + b"t" + dtype("f8") + b"\x89" + text("") + b"tb",
        b"(K\x01"
        + b"(K\x01t"
        + dtype("f8", b"(K\x03" + text("<") + text("x") + b"NNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
        + b"\x89Ntb",
        b"(tb",
        b"}b",
    ]
    for state in states:
        assert_refused(archive(b"\x80\x02" + array + state + b"."))
    scalar = name("numpy._core.multiarray", "scalar") + b"(" + dtype("f8") + name("_codecs", "encode") + b"("
    assert_refused(archive(b"\x80\x02" + scalar + text("abc") + text("latin1") + b"tRtR."))


class Armed:
    """A class of the caller's own whose pickles call what they like."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize(
    "call",
    [
        (eval, ("__import__('os').system('touch /tmp/distrt-was-here')",)),
        (exec, ("raise SystemExit",)),
        (getattr, (distrt.nn.Module, "__init__")),
        (functools.partial(print), ()),
        (distrt.load, ("/etc/passwd",)),
    ],
    ids=["eval", "exec", "getattr", "partial", "load"],
)
def test_what_pythons_pickler_writes_for_a_trap_is_refused(call: Any) -> None:
    for protocol in (2, 4):
        assert_refused(saved({"model": Armed(call)}, pickle_protocol=protocol))
        assert_refused(archive(pickle.dumps([Armed(call)], protocol)))


def test_functions_in_a_model_cannot_be_the_callers_own_unless_asked() -> None:
    model = distrt.nn.Linear(2, 2)
    model.hook = test_lists_in_lists_cost_what_they_weigh
    assert isinstance(outcome(saved(model)), CheckpointError)
    assert outcome(saved(model), False).hook is model.hook


_CODES = st.sampled_from(
    [bytes([code]) for code in range(256)] + [b"(", b"t", b"R", b"b", b"q\x01", b"h\x01", b"}", b"]"]
)
_PIECES = st.one_of(
    _CODES,
    st.binary(max_size=6),
    st.sampled_from(
        [_REBUILD, _DICT, _ONE, storage(4), name("torch", "Tensor"), name("torch.nn", "Module"), text("a")]
    ),
    st.sampled_from(
        [name("torch.nn.modules.linear", "Linear"), name("builtins", "set"), number(2**40), b")R", b")\x81"]
    ),
)


@given(st.lists(_PIECES, max_size=40), st.sampled_from([True, None, False]))
def test_any_pickle_is_loaded_or_refused(pieces: list[bytes], weights_only: bool | None) -> None:
    pickled = b"\x80\x02" + b"".join(pieces) + b"."
    outcome(archive(pickled, {"0": bytes(16)}), weights_only)
    outcome(old_file(pickled), weights_only)
