"""One trace of all ranks, and one picture of a step, from real jobs."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.multiprocess.conftest import ROOT, RankRun

PROGRAM = """
import sys
import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel
from distrt.profiler import profile, record_function
from distrt.utils.data import DataLoader, TensorDataset

dist.init_process_group()
folder, rank = sys.argv[1], dist.get_rank()
layers = nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.Linear(256, 8)
model = DistributedDataParallel(nn.Sequential(*layers), bucket_cap_mb=0.02)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = DataLoader(TensorDataset(torch.randn(64, 64)), batch_size=16)

def epoch():
    for (inputs,) in data:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()

epoch()
with profile(sees_operations="operations" in sys.argv) as prof:
    epoch()
    for _ in range(5):
        with record_function("together"):
            dist.barrier()
    torch.save(model.module.state_dict(), f"{folder}/model{rank}.pt")
prof.export_chrome_trace(f"{folder}/rank{rank}.json.gz")
prof.export_merged_trace(f"{folder}/merged.json")
prof.export_step_picture(f"{folder}/step.svg")
try:
    prof.export_step_picture(f"{folder}/none.svg", step=99)
except ValueError as error:
    print("refused", error)
dist.destroy_process_group()
"""


def refuse(text: str) -> Any:
    raise AssertionError(f"{text} is no JSON")


@pytest.mark.ci
@pytest.mark.parametrize(("ranks", "mode"), [(2, "operations"), (4, "steps")])
def test_ranks_make_one_trace_and_one_picture(
    run_ranks: Callable[..., RankRun], tmp_path: Path, ranks: int, mode: str
) -> None:
    run = run_ranks(PROGRAM, ranks, args=[str(tmp_path), mode])
    assert run.exit_code == 0, run
    merged = json.loads((tmp_path / "merged.json").read_text(), parse_constant=refuse)
    assert merged["ranks"] == list(range(ranks)) and merged["clockUncertaintyMicroseconds"] == 0
    events = merged["traceEvents"]
    bars = [each for each in events if each["ph"] == "X"]
    must_nest(bars)
    names = {each["args"]["name"] for each in events if each["name"] == "process_name"}
    assert names == {f"rank {rank}" for rank in range(ranks)}
    for rank in range(ranks):
        phases = {each["name"] for each in bars if each["pid"] == rank and each["cat"] == "phase"}
        assert {"data", "forward", "backward", "optimizer", "waiting", "checkpoint"} <= phases
        calls = {each["name"] for each in bars if each["pid"] == rank}
        if mode == "operations":
            assert {"aten::linear", "c10d::all_reduce", "c10d::barrier", "distrt::save"} <= calls
            assert any("DataLoader" in name for name in calls)
    clocks_must_agree(bars, ranks)
    arrows_must_join_collectives(events, bars, ranks)
    root = ElementTree.parse(tmp_path / "step.svg").getroot()
    texts = {"".join(each.itertext()) for each in root.iter() if each.tag.endswith("}text")}
    assert {f"rank {rank}" for rank in range(ranks)} <= texts
    assert any("% of communication hidden" in text for text in texts)
    assert not (tmp_path / "none.svg").exists()
    assert all("so step 99 is none of them" in line for rank in range(ranks) for line in run.lines(rank))
    files_give_the_same(tmp_path, ranks, merged)


def must_nest(bars: list[dict[str, Any]]) -> None:
    """Of two bars in one row, one lies in the other, or before it."""
    rows: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for each in bars:
        rows.setdefault((each["pid"], each["tid"]), []).append((each["ts"], each["ts"] + each["dur"]))
    for row in rows.values():
        running: list[float] = []
        for begin, end in sorted(row, key=lambda bar: (bar[0], -bar[1])):
            while running and running[-1] <= begin + 0.0015:  # times are written with three digits
                running.pop()
            assert not running or end <= running[-1] + 0.0015
            running.append(end)


def clocks_must_agree(bars: list[dict[str, Any]], ranks: int) -> None:
    """Nobody leaves a barrier before all have come, to within 100 us."""
    together = [
        [each for each in bars if each["pid"] == rank and each["name"] == "together"] for rank in range(ranks)
    ]
    for one in zip(*together, strict=True):
        assert max(each["ts"] for each in one) <= min(each["ts"] + each["dur"] for each in one) + 100


def arrows_must_join_collectives(
    events: list[dict[str, Any]], bars: list[dict[str, Any]], ranks: int
) -> None:
    chains: dict[int, list[dict[str, Any]]] = {}
    for each in events:
        if each["ph"] in "stf":
            chains.setdefault(each["id"], []).append(each)
    assert len(chains) >= 10  # buckets of four steps, and barriers
    begins = {(each["pid"], each["tid"], each["ts"]): each for each in bars if each["cat"] == "communication"}
    for chain in chains.values():
        assert [each["ph"] for each in chain] == ["s", *["t"] * (ranks - 2), "f"]
        assert sorted(each["pid"] for each in chain) == list(range(ranks))
        joined = [begins[each["pid"], each["tid"], each["ts"]] for each in chain]
        assert len({(each["name"], each["args"]["number"]) for each in joined}) == 1
        assert all(left["ts"] <= right["ts"] for left, right in pairwise(chain))


def files_give_the_same(folder: Path, ranks: int, merged: dict[str, Any]) -> None:
    """The ranks' own files, put together by the command afterwards."""
    files = [f"rank{rank}.json.gz" for rank in range(ranks)]
    for output in ("again.json", "again.svg"):
        done = subprocess.run(
            [sys.executable, "-m", "launch", "trace", *files, "-o", output],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, f"{output}\n"), done.stderr
    again = json.loads((folder / "again.json").read_text(), parse_constant=refuse)
    assert again["traceEvents"] == merged["traceEvents"]
    assert (folder / "again.svg").read_text() == (folder / "step.svg").read_text()
