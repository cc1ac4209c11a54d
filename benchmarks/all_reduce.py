"""All-reduce of float32 by size: gloo, MPICH, and distrt, which waits spinning, sleeping, or as it sees fit.

python benchmarks/all_reduce.py [--ranks N] [--output FILE.json]

For plain tensors, and for buffers in the shared segment. gloo and MPI have no such buffers: in both kinds of case they
reduce plain memory. "copy" is what the memory allows: every rank copies an array of that size, all at once.
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
from worlds import World, answer_commands, be_a_rank, times, write_record

SIZES = {
    "1 KB": 1 << 10,
    "4 KB": 1 << 12,
    "16 KB": 1 << 14,
    "64 KB": 1 << 16,
    "128 KB": 1 << 17,
    "256 KB": 1 << 18,
    "1 MB": 1 << 20,
    "4 MB": 1 << 22,
    "16 MB": 1 << 24,
    "64 MB": 1 << 26,
}
KINDS = ("plain", "buffer")
CASES = [f"{size} {kind}" for kind in KINDS for size in SIZES]

#: A world's name -> what its ranks import, and their environment.
WORLDS = {
    "gloo": ("torch", {}),
    "mpich": ("mpi4py", {}),
    "copy": ("numpy", {}),
    "distrt": ("distrt", {}),
    "spinning": ("distrt", {"DISTRT_WAIT": "spin"}),
    "sleeping": ("distrt", {"DISTRT_WAIT": "sleep"}),
}


def elements(case):
    size, _, kind = case.rpartition(" ")
    return SIZES[size] // 4, kind


def setup(library, case):
    count, kind = elements(case)
    distributed = library.distributed
    if kind == "buffer" and library.__name__ == "distrt":
        tensor = distributed.allocate_shared(count)
    else:
        tensor = library.zeros(count)
    return lambda: distributed.all_reduce(tensor)


def be_a_rank_of_mpi(copies_only):
    """MPI's ranks meet as distrt's do; without mpiexec, so that each has its own pipe."""
    from distrt.comm.environment import read_environment
    from distrt.comm.mpi.start import start_mpi
    from distrt.comm.stores.client import connect_store

    environment = read_environment()
    store = connect_store(environment)
    started = start_mpi(environment, store, 60.0)

    def prepare(case):
        count, _ = elements(case)
        array, other = np.zeros(count, np.float32), np.zeros(count, np.float32)
        if copies_only:
            return lambda: np.copyto(other, array)
        return lambda: started.comm.Allreduce(started.mpi.IN_PLACE, array)

    answer_commands(prepare, started.comm.Barrier)
    store.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--round-s", type=float, default=0.2, help="seconds of one world's turn")
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=WORLDS)
    parser.add_argument("--output", type=Path, help="a JSON file for the record")
    parser.add_argument("--rank-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank_of in ("mpi4py", "numpy"):
        be_a_rank_of_mpi(copies_only=args.rank_of == "numpy")
        return
    if args.rank_of:
        be_a_rank(args.rank_of, setup)
        return
    worlds = {name: World(__file__, WORLDS[name][0], args.ranks, WORLDS[name][1]) for name in args.worlds}
    ours = [name for name in worlds if WORLDS[name][0] == "distrt"]
    others = [name for name in worlds if name not in ours]
    rows = []
    try:
        print(f"All-reduce of float32, {args.ranks} ranks, medians of {args.rounds} rounds: microseconds,")
        print("and how many times as long the others take (lowest - highest round)")
        print(f"{'':>14}" + "".join(f"{name:>11}" for name in worlds))
        for case in args.cases:
            seconds = times(worlds, case, args.rounds, args.round_s)
            row = {"case": case, "us": {name: statistics.median(s) * 1e6 for name, s in seconds.items()}}
            for name in ours:
                for other in others:
                    ratios = [b / a for a, b in zip(seconds[name], seconds[other], strict=True)]
                    row[f"{other} / {name}"] = [statistics.median(ratios), min(ratios), max(ratios)]
            rows.append(row)
            print(f"{case:>14}" + "".join(f"{row['us'][name]:11.1f}" for name in worlds))
            for name in ours:
                texts = [
                    "{} {:.2f} ({:.2f} - {:.2f})".format(other, *row[f"{other} / {name}"]) for other in others
                ]
                print(f"{'':>14}   / {name}: {', '.join(texts)}")
            sys.stdout.flush()
    finally:
        for world in worlds.values():
            world.close()
    if args.output:
        write_record(args.output, "All-reduce of float32", args.ranks, rows)


if __name__ == "__main__":
    main()
