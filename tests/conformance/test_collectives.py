"""Every transport gives what NumPy gives, the same bits on all ranks, and the same bits as the reference."""

from __future__ import annotations

import ast
import functools
import os

import pytest

from distrt.comm.local import run_local
from distrt.comm.world import solo_group
from tests.conformance.cases import COLLECTIVES, run_all, sample
from tests.conformance.ranks import ranks

SEED = int(os.environ.get("DISTRT_TEST_SEED", "0"))

PROGRAM = """
from tests.conformance.cases import COLLECTIVES, run_all, sample
group = join(timeout_s=60)
amount = None if sys.argv[2] == "None" else int(sys.argv[2])
print({name: run_all(group, sample(name, int(sys.argv[1]), amount)) for name in COLLECTIVES})
"""


@functools.cache
def digests(transport: str, size: int, amount: int | None) -> list[dict[str, list[str]]]:
    """Per rank and collective, the digests of all cases; a transport's processes are started once per world size."""
    if transport == "solo":
        return [{name: run_all(solo_group(), sample(name, SEED, amount)) for name in COLLECTIVES}]
    if transport == "local":
        return run_local(
            lambda group: {name: run_all(group, sample(name, SEED, amount)) for name in COLLECTIVES}, size
        )
    with ranks(size, PROGRAM, str(SEED), str(amount)) as started:
        return [ast.literal_eval(text) for text in started.output(timeout_s=100 if amount else 3000)]


def check(transport: str, size: int, collective: str, amount: int | None) -> None:
    per_rank = [each[collective] for each in digests(transport, size, amount)]
    assert len(per_rank) == size
    assert all(each == per_rank[0] for each in per_rank), f"ranks differ (seed {SEED})"
    reference = digests("local", size, amount)[0][collective]
    assert per_rank[0] == reference, f"{transport} and local differ (seed {SEED})"


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize(
    ("transport", "size"),
    [
        *(("solo", 1), ("local", 3), ("shm", 3)),
        *(pytest.param(each, size, marks=pytest.mark.ci) for each in ("local", "shm") for size in (2, 4)),
    ],
)
def test_a_sample_of_cases_is_right_and_bit_equal(transport, size, collective):
    check(transport, size, collective, amount=6)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("transport", ["local", "shm"])
def test_every_case_is_right_and_bit_equal(transport, size, collective):
    check(transport, size, collective, amount=None)
