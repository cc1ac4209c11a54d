"""All-reduce of float32 by size: PyTorch's gloo beside distrt, for plain tensors and for buffers in the segment.

python benchmarks/all_reduce.py [--ranks N] [--output FILE.json]

gloo has no buffers of its own: in both kinds of case it reduces a plain tensor.
"""

from worlds import main

SIZES = {
    "1 KB": 1 << 10,
    "4 KB": 1 << 12,
    "16 KB": 1 << 14,
    "64 KB": 1 << 16,
    "256 KB": 1 << 18,
    "1 MB": 1 << 20,
    "4 MB": 1 << 22,
    "16 MB": 1 << 24,
    "64 MB": 1 << 26,
}
KINDS = ("plain", "buffer")


def setup(library, case):
    size, _, kind = case.rpartition(" ")
    count = SIZES[size] // 4
    tensor = library.zeros(count)
    if kind == "buffer" and library.__name__ == "distrt":
        tensor = library.from_numpy(library.distributed.group.WORLD.allocate(count, "float32"))
    return lambda: library.distributed.all_reduce(tensor)


if __name__ == "__main__":
    main("All-reduce of float32", __file__, [f"{size} {kind}" for kind in KINDS for size in SIZES], setup)
