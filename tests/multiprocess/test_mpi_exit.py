"""What is left of a rank while its process exits."""

from __future__ import annotations

import ast

import pytest

from tests.multiprocess.mpi_ranks import mpi_ranks

pytest.importorskip("mpi4py", reason="needs distrt[mpi]")

#: After `PRELUDE`: says which threads have made seals, and what OpenSSL holds for each of them.
WATCH = """
import _hashlib, threading
from distrt.comm.stores import wire
lookup = ctypes.CDLL(None).pthread_getspecific
lookup.restype = ctypes.c_void_p
def held():
    return {key for key in range(1024) if lookup(key)}
def learn():
    before = held()
    _hashlib.hmac_digest(b"key", b"text", "sha256")
    openssls.update(held() - before)
openssls, seen = set(), {}
learner = threading.Thread(target=learn)
learner.start()
learner.join()
def next_and_look(self, body, next=wire.Seal.next):
    mark = next(self, body)
    seen[threading.current_thread().name] = sorted(held() & openssls)
    return mark
wire.Seal.next = next_and_look
"""


def test_openssl_holds_nothing_for_threads_that_may_end_while_the_process_exits() -> None:
    # It frees that at the process's end; a thread that ends then frees it, too, and the process dies of it.
    program = WATCH + (
        "world = begin()\n"
        "world.lifeline.fresh(1 - world.rank)\n"
        "print(sorted(openssls))\n"
        "print({name: held for name, held in seen.items() if name.startswith('distrt-')})\n"
    )
    with mpi_ranks(2, program, machines=[0, 1], master="127.0.0.1") as ranks:
        found = [[ast.literal_eval(line) for line in out.splitlines()] for out in ranks.output()]
    serving = [{"distrt-lifeline", "distrt-lifeline-hub", "distrt-pmi-0", "distrt-store"}]
    serving += [{"distrt-lifeline", "distrt-pmi-1"}]
    for rank, (openssls, seen) in enumerate(found):
        assert openssls, "what OpenSSL holds for a thread was not recognised"
        assert set(seen) == serving[rank]
        assert not any(seen.values()), seen


def test_mpi_ends_well_where_python_starts_no_thread_while_it_exits() -> None:
    # As Python 3.12 does not; it calls ``end`` then.
    program = """
import threading
from distrt.comm.mpi import start
def refuse(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")
world = begin()
threading.Thread.start = refuse
start._started[0].end()
print(world.mpi.Is_finalized())
"""
    with mpi_ranks(2, program, machines=[0, 1]) as ranks:
        assert ranks.output() == ["True\n"] * 2
