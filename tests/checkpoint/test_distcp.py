"""Folders as PyTorch's ``torch.distributed.checkpoint`` writes them, without PyTorch: what is written is read again,
and what is damaged or hostile is refused."""

import io
import os
import pickle
import random

import numpy as np
import pytest

import distrt as torch
from distrt.checkpoint import metadata as words
from distrt.checkpoint.command import main
from distrt.checkpoint.conversion import torch_save_to_dcp, write_checkpoint
from distrt.checkpoint.distcp import SavedByPyTorch
from distrt.checkpoint.distcp_metadata import StorageInfo, pickled
from distrt.checkpoint.failures import CheckpointException
from distrt.core.errors import CheckpointError
from distrt.distributed import checkpoint as dcp
from tests.files.hostile import watched

STATE = {
    "model": {"weight": torch.arange(6.0).reshape(2, 3), "half": torch.ones(3, dtype=torch.bfloat16)},
    "mixed": [torch.ones(2), {"a": 1}],
    "rate": 0.5,
    "pair": (1, "x"),
}


@pytest.fixture
def folder(tmp_path):
    """A checkpoint as PyTorch would have written it."""
    torch.save(STATE, tmp_path / "one.pt")
    torch_save_to_dcp(tmp_path / "one.pt", tmp_path / "ours")
    write_checkpoint(tmp_path / "ours", tmp_path / "theirs", as_pytorch=True)
    return tmp_path / "theirs"


def everything(folder):
    """All of a checkpoint, compared with its checksums."""
    saved = SavedByPyTorch(str(folder))
    for name in saved.names:
        saved.verify(name)
    return saved.state()


def outcome(folder):
    size = sum(path.stat().st_size for path in folder.iterdir())
    return watched(lambda: everything(folder), size)


def same(mine, theirs):
    if isinstance(mine, torch.Tensor):
        return mine.dtype == theirs.dtype and np.array_equal(mine.numpy(), theirs.numpy())
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(same(mine[key], theirs[key]) for key in mine)
    if isinstance(mine, list | tuple):
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    return type(mine) is type(theirs) and mine == theirs


def test_what_is_written_is_read_again(folder, capsys):
    assert sorted(path.name for path in folder.iterdir()) == [".metadata", "__0_0.distcp"]
    assert same(everything(folder), STATE)
    assert main(["checkpoint", "ls", str(folder)]) == 0
    assert "model.weight  torch.float32 [2, 3]" in capsys.readouterr().out.splitlines()
    assert main(["checkpoint", "verify", str(folder)]) == 0
    back = folder.parent / "back"
    assert main(["checkpoint", "convert", str(folder), str(back), "--as", "distrt"]) == 0
    given = {"model": {"weight": torch.zeros(2, 3)}, "rate": None}
    with pytest.warns(UserWarning, match="single process"):
        dcp.load(given, checkpoint_id=str(back))
    assert same(given, {"model": {"weight": STATE["model"]["weight"]}, "rate": 0.5})
    assert main(["checkpoint", "convert", str(folder), str(back), "--as", "pytorch"]) == 1
    assert "has a checkpoint already" in capsys.readouterr().err
    assert main(["checkpoint", "convert", str(folder.parent / "one.pt"), str(back), "--as", "pytorch"]) == 1


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_one_folder_has_one_checkpoint(folder):
    with pytest.raises(CheckpointException, match="has a checkpoint of PyTorch's: save to another folder"):
        dcp.save({"a": 1}, checkpoint_id=str(folder))
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(
        CheckpointException, match=r"has two checkpoints: manifest.json is distrt's, \.metadata"
    ):
        dcp.load({"rate": 1}, checkpoint_id=str(folder))


def test_a_cut_or_missing_file_is_named(folder):
    data, metadata = ((folder / name).read_bytes() for name in ("__0_0.distcp", ".metadata"))
    for length in range(0, len(data), 577):
        (folder / "__0_0.distcp").write_bytes(data[:length])
        found = outcome(folder)
        assert isinstance(found, CheckpointError) and "__0_0.distcp has" in str(found)
    (folder / "__0_0.distcp").unlink()
    assert "__0_0.distcp is missing" in str(outcome(folder))
    (folder / "__0_0.distcp").write_bytes(data)
    for length in range(0, len(metadata), 37):
        (folder / ".metadata").write_bytes(metadata[:length])
        assert isinstance(outcome(folder), CheckpointError)
    (folder / ".metadata").unlink()
    os.mkfifo(folder / ".metadata")
    assert ".metadata is no file" in str(outcome(folder))


def test_a_flipped_bit_of_a_tensor_is_found(folder):
    path = folder / "__0_0.distcp"
    data = path.read_bytes()
    inside = data.index(STATE["model"]["weight"].numpy().tobytes()) * 8
    for bit in range(inside, inside + 192, 7):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        found = outcome(folder)
        assert isinstance(found, CheckpointError)
        assert "__0_0.distcp is damaged in 'model.weight'" in str(found) and "checksum" in str(found)


def test_any_flipped_bit_of_the_metadata_does_no_harm(folder, seed):
    data = (folder / ".metadata").read_bytes()
    draw = random.Random(seed)
    for _ in range(150):
        flipped = bytearray(data)
        flipped[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (folder / ".metadata").write_bytes(flipped)
        outcome(folder)  # the file has no checksum: what is possible is loaded


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def of_pytorch(module, name):
    return f"ctorch.distributed.checkpoint.{module}\n{name}\n".encode()


def made(module, name, state):
    """The opcodes of an object with a state."""
    return of_pytorch(module, name) + b")\x81" + state + b"b"


def described(file="f", begin=0, length=64, sizes=(2,), offset=(0,), path=("w",), dtype=torch.float32):
    """``.metadata`` of one tensor, which need not make sense."""
    chunk = words.ChunkStorageMetadata(offset, sizes)
    tensor = words.TensorStorageMetadata(words.TensorProperties(dtype), sizes, [chunk])
    where = {words.MetadataIndex("w", offset): StorageInfo(file, begin, length)}
    return pickled(words.Metadata({"w": tensor}, {"w": path}, where))


LAUGHS = b"\x80\x02" + b")" + b"2\x86" * 60  # a tuple of two of the one before, sixty times


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pickle.dumps(Evil(exec, "raise SystemExit")), "Unsupported global"),
        (b"cos\nsystem\n(X\x02\0\0\0lstR.", "whose module os is blocked"),
        (b"\x80\x02cdistrt\nTensor\n.", "Unsupported global"),
        (b"\x80\x02" + of_pytorch("filesystem", "FileSystemWriter") + b".", "Unsupported global"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(((K\0((tR.", "damaged"),
        (pickle.dumps({"a": 1}), "it holds a dict"),
        (b"\x80\x02" + made("metadata", "Metadata", b"}") + b".", "damaged"),
        (
            b"\x80\x02" + made("metadata", "MetadataIndex", b"}X\3\0\0\0fqn" + LAUGHS[2:] + b"s") + b".",
            "damaged",
        ),
        (described(file="../../etc/passwd"), "it names the file '../../etc/passwd'"),
        (described(file="/etc/passwd"), "it names the file"),
        (described(file=".."), "it names the file"),
        (described(begin=-1), "sizes of 'w'"),
        (described(begin=1 << 70), "sizes of 'w'"),
        (described(length=7), "7 bytes are too few"),
        (described(sizes=(1 << 60,)), "too few"),
        (described(sizes=(1 << 40, 1 << 40), offset=(0, 0)), "too few"),
        (described(offset=(1,)), "lies outside of it"),
        (described(path=(1 << 40,)), "a path that is none"),
        (described(path=()), "a path that is none"),
        (described() + b"more", "4 bytes are left over"),
        (described(), "f is missing"),
    ],
)
def test_metadata_that_lies_is_refused(data, said, tmp_path):
    (tmp_path / ".metadata").write_bytes(data)
    found = outcome(tmp_path)
    assert isinstance(found, CheckpointError) and said in str(found), found
    assert len(str(found)) < 2500


def test_bytes_are_of_one_tensor_only(tmp_path):
    tensor = words.TensorStorageMetadata(
        words.TensorProperties(torch.float32), (2,), [words.ChunkStorageMetadata((0,), (2,))]
    )
    names = [f"w{number}" for number in range(3)]
    places = {
        words.MetadataIndex(name, (0,)): StorageInfo("f", 63 * number, 64)
        for number, name in enumerate(names)
    }
    metadata = words.Metadata(dict.fromkeys(names, tensor), None, places)
    (tmp_path / ".metadata").write_bytes(pickled(metadata))
    assert "two parts lie at 63 of 'f'" in str(outcome(tmp_path))


def test_another_tensor_in_the_place_is_found(folder):
    path = folder / "__0_0.distcp"
    saved = SavedByPyTorch(str(folder))
    record = saved.entry("model.weight").pieces[0]
    other = io.BytesIO()
    torch.save(torch.ones(3, 2), other)
    data = path.read_bytes()
    assert len(other.getvalue()) == record.length
    path.write_bytes(data[: record.begin] + other.getvalue() + data[record.begin + record.length :])
    assert "[3, 2] and not torch.float32 [2, 3]" in str(outcome(folder))
