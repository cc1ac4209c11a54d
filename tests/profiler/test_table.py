"""The text of a table is PyTorch's, to the letter: the same averages are given to both."""

import itertools

import pytest

from distrt.profiler.events import EventList, FunctionEventAvg

AVERAGES = [
    {
        "key": "aten::mm",
        "count": 3,
        "cpu_time_total": 4321.25,
        "self_cpu_time_total": 321.25,
        "flops": 12345678,
    },
    {"key": "AddmmBackward0", "count": 1, "cpu_time_total": 2.5e6, "self_cpu_time_total": 2e6, "flops": 0},
    {
        "key": "enumerate(DataLoader)#_MultiProcessingDataLoaderIter.__next__",
        "count": 70,
        "cpu_time_total": 9.0,
    },
    {
        "key": "ProfilerStep*",
        "count": 12345,
        "cpu_time_total": 12.0,
        "self_cpu_time_total": 11.0,
        "flops": 2345,
    },
]
MEMORY = (512, -(3 << 20), 0, 5 << 30)
SHAPES = ([[2, 3], [3, 4]], [], [[1] * 40], [[], [], [7]])
STACKS = (
    ["/home/me/train.py(3): step", "/home/me/train.py(9): <module>"],
    [],
    ["/" + "a" * 90 + ".py(1): f"],
    [],
)


def averages(library, made, **there):
    rows = []
    for given, memory, shapes, stack in zip(AVERAGES, MEMORY, SHAPES, STACKS, strict=True):
        row = made()
        row.node_id = -1
        for name, value in given.items():
            setattr(row, name, value)
        row.cpu_memory_usage, row.self_cpu_memory_usage = memory, memory // 2
        row.input_shapes = shapes if there["shapes"] else ""
        row.stack = stack if there["stack"] else []
        rows.append(row)
    return library(rows, profile_memory=there["memory"], with_flops=there["flops"])


ASKED = [
    {},
    {"sort_by": "cpu_time_total", "row_limit": 2, "header": "A head"},
    {
        "sort_by": "count",
        "max_name_column_width": 14,
        "max_shapes_column_width": 12,
        "max_src_column_width": 20,
    },
    {"time_unit": "ms", "row_limit": -1, "top_level_events_only": True},
    {"time_unit": "h", "row_limit": 0},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_every_table_reads_as_pytorchs(torch, asked):
    theirs, their_row = torch.autograd.profiler_util.EventList, torch.autograd.profiler_util.FunctionEventAvg
    for memory, shapes, stack, flops in itertools.product((False, True), repeat=4):
        if stack and flops:
            continue  # PyTorch puts each of the two columns below the other's heading
        there = {"memory": memory, "shapes": shapes, "stack": stack, "flops": flops}
        expected = averages(theirs, their_row, **there).table(**asked)
        assert averages(EventList, FunctionEventAvg, **there).table(**asked) == expected, there


def test_operations_and_places_stand_below_their_headings():
    there = {"memory": False, "shapes": False, "stack": True, "flops": True}
    lines = averages(EventList, FunctionEventAvg, **there).table().splitlines()
    at = lines[1].index("Source Location")
    assert lines[3][at:].startswith("/home/me/train.py(3): step")
    assert lines[4].strip() == "/home/me/train.py(9): <module>"
    assert "12345.678" in lines[3][:at]
    assert "Total KFLOPs" in lines[1][:at]
