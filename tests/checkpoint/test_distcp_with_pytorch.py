"""Checkpoints of PyTorch's ``torch.distributed.checkpoint`` in distrt, and the other way round."""

import importlib
import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

import distrt
from distrt import nn
from distrt.checkpoint.command import main
from distrt.comm.local import run_local
from distrt.distributed import checkpoint as dcp
from distrt.distributed.checkpoint.format_utils import dcp_to_torch_save
from distrt.distributed.fsdp import fully_shard
from tests.oracles import require_torch
from tests.parallel.sharded_models import join

torch = require_torch()
theirs = importlib.import_module("torch.distributed.checkpoint")
ROOT = pathlib.Path(__file__).resolve().parents[2]
DTYPES = "float16 bfloat16 float32 float64 uint8 int8 int16 int32 int64 bool complex64 complex128".split()


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def state(lib, fill=True):
    model = lib.nn.Linear(3, 2)
    optimizer = lib.optim.Adam(model.parameters(), lr=0.1 if fill else 0.5)
    for _ in range(2 if fill else 1):
        model(lib.ones(1, 3)).sum().backward()
        optimizer.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "dtypes": {
            name: lib.tensor([1, 0, 3] if fill else [0, 0, 0]).to(getattr(lib, name)) for name in DTYPES
        },
        "turned": lib.arange(6.0).reshape(2, 3).t() if fill else lib.zeros(3, 2),
        "part": lib.arange(10.0)[2:5] if fill else lib.zeros(3),
        "none": lib.zeros(0, 4),
        "step": 5 if fill else 0,
        "config": {"pair": (1, "x") if fill else (), "mixed": [lib.ones(2) * fill, {"a": int(fill)}]},
    }


def plain(value):
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return str(value.dtype), tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def test_a_state_goes_both_ways(tmp_path):
    saved = state(torch)
    theirs.save(saved, checkpoint_id=str(tmp_path / "theirs"))
    given = state(distrt, fill=False)
    dcp.load(given, checkpoint_id=str(tmp_path / "theirs"))
    assert plain(given) == plain(saved)
    dcp.save(given, checkpoint_id=str(tmp_path / "ours"))
    assert (
        main(["checkpoint", "convert", str(tmp_path / "ours"), str(tmp_path / "back"), "--as", "pytorch"])
        == 0
    )
    back = state(torch, fill=False)
    theirs.load(back, checkpoint_id=str(tmp_path / "back"))
    assert plain(back) == plain(saved)


def test_metadata_is_told_and_written_as_pytorch_does(tmp_path):
    theirs.save(state(torch), checkpoint_id=str(tmp_path / "theirs"))
    assert (
        main(["checkpoint", "convert", str(tmp_path / "theirs"), str(tmp_path / "ours"), "--as", "distrt"])
        == 0
    )
    assert (
        main(["checkpoint", "convert", str(tmp_path / "ours"), str(tmp_path / "back"), "--as", "pytorch"])
        == 0
    )
    said = [theirs.FileSystemReader(str(tmp_path / name)).read_metadata() for name in ("theirs", "back")]
    assert said[0].state_dict_metadata == said[1].state_dict_metadata
    assert said[0].planner_data == said[1].planner_data
    assert said[0].storage_data.keys() == said[1].storage_data.keys() and said[1].version == "1.0.0"
    mine = dcp.FileSystemReader(str(tmp_path / "theirs")).read_metadata()
    assert str(mine.state_dict_metadata) == str(said[0].state_dict_metadata)
    assert mine.planner_data == said[0].planner_data


def test_one_file_and_its_options(tmp_path):
    writer = theirs.FileSystemWriter(str(tmp_path / "many"), single_file_per_rank=False)
    theirs.save({"model": {"w": torch.ones(2)}, "step": 3}, storage_writer=writer)
    assert len(list((tmp_path / "many").glob("*.distcp"))) == 2
    dcp_to_torch_save(tmp_path / "many", tmp_path / "one.pt")
    found = torch.load(tmp_path / "one.pt", weights_only=True)
    assert found["step"] == 3 and found["model"]["w"].tolist() == [1, 1]


def test_properties_as_older_versions_wrote_them_are_read(tmp_path):
    older = importlib.import_module("torch.distributed._shard.sharded_tensor.metadata")
    theirs.save({"w": torch.ones(2)}, checkpoint_id=str(tmp_path))
    reader = theirs.FileSystemReader(str(tmp_path))
    metadata = reader.read_metadata()
    metadata.state_dict_metadata["w"].properties = older.TensorProperties(dtype=torch.float32)
    metadata.storage_meta = None
    (tmp_path / ".metadata").write_bytes(importlib.import_module("pickle").dumps(metadata))
    given = {"w": distrt.zeros(2)}
    dcp.load(given, checkpoint_id=str(tmp_path))
    assert given["w"].tolist() == [1, 1]


def test_what_went_through_a_compressor_is_refused(tmp_path):
    theirs.save({"w": torch.ones(2)}, checkpoint_id=str(tmp_path))
    metadata = theirs.FileSystemReader(str(tmp_path)).read_metadata()
    for info in metadata.storage_data.values():
        info.transform_descriptors = ["stream.zstd/1"]
    (tmp_path / ".metadata").write_bytes(importlib.import_module("pickle").dumps(metadata))
    with pytest.raises(dcp.CheckpointException, match=r"went through \['stream.zstd/1'\], which is not read"):
        dcp.load({"w": distrt.zeros(2)}, checkpoint_id=str(tmp_path))


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """What three ranks of PyTorch's have saved, each its part."""
    folder = tmp_path_factory.mktemp("sharded")
    program = [sys.executable, "-m", "tests.checkpoint.pytorchs_ranks", str(folder)]
    subprocess.run(program, cwd=ROOT, check=True, timeout=100, capture_output=True)
    return str(folder)


@pytest.mark.slow
def test_parts_of_several_ranks_become_whole(sharded):
    whole = np.arange(28.0).reshape(7, 4)
    given = {
        "model": {
            "rows": distrt.zeros(7, 4),
            "columns": distrt.zeros(7, 4),
            "all": distrt.zeros(7, 4),
            "few": distrt.zeros(2),
            "plain": distrt.zeros(3, dtype=distrt.bfloat16),
        },
        "step": 0,
    }
    dcp.load(given, checkpoint_id=sharded)
    model = given["model"]
    for number, name in enumerate(("rows", "columns", "all")):
        assert np.array_equal(model[name].numpy(), whole + 100 * number)
    assert model["few"].tolist() == [5, 6] and model["plain"].tolist() == [1, 1, 1] and given["step"] == 7


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rows, self.columns, self.all = (nn.Parameter(distrt.zeros(7, 4)) for _ in range(3))


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_parts_load_on_another_number_of_ranks(size, sharded):
    def run(group):
        join(group)
        model = Model()
        fully_shard(model, mesh=None)
        given = {"model": model.state_dict()}
        dcp.load(given, checkpoint_id=sharded, process_group=group)
        return [given["model"][name].full_tensor().numpy() for name in ("rows", "columns", "all")]

    whole = np.arange(28.0).reshape(7, 4)
    for found in run_local(run, size):
        assert all(np.array_equal(each, whole + 100 * number) for number, each in enumerate(found))
