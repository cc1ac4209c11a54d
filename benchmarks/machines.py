"""All-reduce of float32 between two machines: gloo, and distrt over TCP and over MPI.

python benchmarks/machines.py [--ranks-each N] [--output FILE.json]

The machines are two network namespaces joined by a cable (a pair of virtual interfaces), which needs root and iproute2.
Both ends are the same cores: what is measured is what messages cost, not what a network takes.
"""

import argparse
import secrets
import statistics
import sys
from pathlib import Path

from worlds import World, be_a_rank, times, write_record

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SIZES = {
    "4 B": 4,
    "1 KB": 1 << 10,
    "64 KB": 1 << 16,
    "256 KB": 1 << 18,
    "1 MB": 1 << 20,
    "4 MB": 1 << 22,
    "16 MB": 1 << 24,
    "64 MB": 1 << 26,
}

#: A world's name -> what its ranks import, and their environment.
WORLDS = {
    "gloo": ("torch", {}),
    "tcp": ("distrt", {"DISTRT_NETWORK": "tcp"}),
    "mpi": ("distrt", {"DISTRT_NETWORK": "mpi"}),
}


def setup(library, case):
    tensor = library.zeros(SIZES[case] // 4)
    return lambda: library.distributed.all_reduce(tensor)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ranks-each", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--round-s", type=float, default=0.3, help="seconds of one world's turn")
    parser.add_argument("--cases", nargs="+", default=list(SIZES), metavar="CASE", help=", ".join(SIZES))
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=WORLDS)
    parser.add_argument("--output", type=Path, help="a JSON file for the record")
    parser.add_argument("--rank-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank_of:
        be_a_rank(args.rank_of, setup)
        return
    from tests.multiprocess.namespaces import two_machines

    size, rows, secret = 2 * args.ranks_each, [], secrets.token_hex(16)
    with two_machines() as machines:
        places = [machines[rank // args.ranks_each] for rank in range(size)]
        worlds = {
            name: World(
                __file__,
                WORLDS[name][0],
                size,
                {**WORLDS[name][1], "DISTRT_JOB_SECRET": secret},
                prefixes=[place.prefix for place in places],
                environments=[
                    {"DISTRT_MACHINE": place.name, "GLOO_SOCKET_IFNAME": place.cable} for place in places
                ],
                address=machines[0].address,
            )
            for name in args.worlds
        }
        ours = [name for name in worlds if name != "gloo"]
        try:
            print(f"All-reduce of float32, 2 machines of {args.ranks_each}, medians of {args.rounds} rounds:")
            print("microseconds, and how many times as long gloo takes (lowest - highest round)")
            for case in args.cases:
                seconds = times(worlds, case, args.rounds, args.round_s)
                row = {"case": case, "us": {name: statistics.median(s) * 1e6 for name, s in seconds.items()}}
                for name in ours:
                    ratios = [
                        theirs / own for own, theirs in zip(seconds[name], seconds["gloo"], strict=True)
                    ]
                    row[f"gloo / {name}"] = [statistics.median(ratios), min(ratios), max(ratios)]
                rows.append(row)
                figures = "".join(f"{name:>6}{us:11.1f}" for name, us in row["us"].items())
                shares = "".join(
                    f"   / {name}: {middle:.2f} ({low:.2f} - {high:.2f})"
                    for name, (middle, low, high) in ((name, row[f"gloo / {name}"]) for name in ours)
                )
                print(f"{case:>8}{figures}{shares}", flush=True)
        finally:
            for world in worlds.values():
                world.close()
    if args.output:
        write_record(args.output, "All-reduce of float32 between two namespaces", size, rows)


if __name__ == "__main__":
    main()
