"""How long a launch and a restart take: two ranks, from the command to their first all-reduce, beside torchrun.

python benchmarks/launching.py [--rounds N] [--output FILE.json]

The same script runs on distrt under distrt-launch, and on PyTorch (gloo) under torchrun, in turns. It notes when its
first line ran and when its first all-reduce was done, on the slower rank. In the first attempt rank 1 then kills
itself with SIGKILL; the restart is from there to the next attempt's first all-reduce. Both have their modules'
bytecode at hand, as installed packages do: it is kept in a folder of its own, which an extra round fills before.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIBRARIES = {
    "distrt": ["-m", "launch"],
    "torch": ["-m", "torch.distributed.run"],
}
RANKS = 2
SCRIPT = """
import os, signal, sys, time
first_line = time.time()
import {library} as torch
import {library}.distributed as dist
dist.init_process_group("gloo")
dist.all_reduce(torch.ones(4))
summed = time.time()
rank, attempt = os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]
with open(f"{{attempt}}-{{rank}}", "w") as file:
    file.write(f"{{first_line}} {{summed}}")
if attempt == "0":
    if rank == "1":
        while not os.path.exists("0-0"):
            time.sleep(0.001)
        with open("killed", "w") as file:
            file.write(str(time.time()))
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
dist.destroy_process_group()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    libraries = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    found = {name: [] for name in libraries}
    with tempfile.TemporaryDirectory(prefix="distrt-launching-") as folder:
        for number in range(args.rounds + 1):
            for name in libraries:
                seconds = run(name, Path(folder))
                if number:
                    found[name].append(seconds)
    rows = {name: medians(times) for name, times in found.items()}
    show(rows, args.rounds)
    if args.output:
        text = {"ranks": RANKS, "cores": len(os.sched_getaffinity(0)), "medians_s": rows, "rounds_s": found}
        args.output.write_text(json.dumps(text, indent=2) + "\n")


def medians(times: list[dict[str, float]]) -> dict[str, float]:
    """The median of every figure, over the rounds that have it; a restart may fail, and is counted."""
    names = dict.fromkeys(name for each in times for name in each)
    rows = {name: statistics.median(each[name] for each in times if name in each) for name in names}
    return {**rows, "restarts that failed": sum("the whole job" not in each for each in times)}


def run(library: str, folder: Path) -> dict[str, float]:
    """Seconds that one job took from one event to another."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        here = Path(name)
        (here / "script.py").write_text(SCRIPT.format(library=library))
        command = [
            sys.executable,
            *LIBRARIES[library],
            f"--nproc-per-node={RANKS}",
            "--standalone",
            "--max-restarts=1",
        ]
        variables = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        root = str(Path(__file__).resolve().parents[1])
        variables |= {
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
            "OMP_NUM_THREADS": "1",
        }
        began = time.time()
        subprocess.run(
            [*command, "script.py"],
            cwd=here,
            env=variables,
            check=False,
            timeout=120,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ended = time.time()
        times = {path.name: path.read_text() for path in here.glob("?-?")}
        killed = float((here / "killed").read_text())
    first, again = (
        [tuple(map(float, times[f"{it}-{rank}"].split())) for rank in range(RANKS) if f"{it}-{rank}" in times]
        for it in range(2)
    )
    seconds = {
        "first line": min(line for line, _ in first) - began,
        "first all-reduce": max(summed for _, summed in first) - began,
    }
    if len(again) == RANKS:  # the second attempt has met, too
        seconds |= {
            "restart, to the next first line": min(line for line, _ in again) - killed,
            "restart, to the next all-reduce": max(summed for _, summed in again) - killed,
            "the whole job": ended - began,
        }
    return seconds


def show(rows: dict[str, dict[str, float]], rounds: int) -> None:
    print(f"seconds, medians of {rounds} rounds, {RANKS} ranks, {len(os.sched_getaffinity(0))} cores")
    print(f"{'':>34}" + "".join(f"{name:>10}" for name in rows))
    for what in next(iter(rows.values())):
        print(f"{what:>34}" + "".join(f"{times.get(what, float('nan')):10.2f}" for times in rows.values()))


if __name__ == "__main__":
    main()
