"""Kills saves: a process of its own saves step 3 over steps 1 and 2, and is killed at one of its calls of the system.

``python -m tests.checkpoint.killed FOLDER RANKS ASYNCHRONOUS EVERY`` does so at every call in turn (at every n-th),
before it, after it, and, for a write, when half of it is written. Prints how many times, and what each has left.
"""

import collections
import contextlib
import os
import shutil
import signal
import sys
import threading
import traceback
import warnings

import distrt as torch
from distrt.checkpoint import Checkpoints, disk
from distrt.comm.local import run_local
from distrt.files import atomic
from tests.parallel.sharded_models import join

CALLS = frozenset("open write fsync rename replace mkdir unlink rmdir".split())
NOTHING_NEW = 3
MOMENTS = ("before", "after", "half")


class Killing:
    """``os``, and the files it opens, with calls that are counted; one of them is the last one."""

    def __init__(self, last, moment):
        self.last, self.moment, self.count, self.lock = last, moment, 0, threading.Lock()

    def __getattr__(self, name):
        found = getattr(os, name)
        return self.counted(name, found) if name in CALLS else found

    def open_file(self, *args, **options):
        file = open(*args, **options)  # noqa: SIM115 - the caller closes it
        outer = self

        class Counted:
            def __enter__(self):
                return self

            def __exit__(self, *exception):
                file.close()

            write = staticmethod(outer.counted("write", file.write))

        return Counted()

    def counted(self, name, call):
        def counted(*args, **options):
            with self.lock:
                number = self.count
                self.count += 1
            if number != self.last:
                return call(*args, **options)
            if self.moment == "half":
                if name != "write":  # no other point than "before"
                    os._exit(NOTHING_NEW)
                *first, data = args
                call(*first, memoryview(data)[: len(data) // 2])
            elif self.moment == "after":
                with contextlib.suppress(OSError):  # a look for what is not there is a point, too
                    call(*args, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        return counted


def state(step):
    return {f"w{number}": torch.full((5, 3), float(step * 100 + number)) for number in range(24)}


def save(folder, steps, ranks, asynchronous):
    def run(group):
        if group is not None:
            join(group)
        checkpoints = Checkpoints(folder, keep=2)
        for step in steps:
            checkpoints.save(step, {"state": state(step), "step": step}, asynchronous)
        checkpoints.wait()

    run(None) if ranks == 1 else run_local(run, ranks)


def killed(folder, ranks, asynchronous, last, moment):
    """Saves step 3 in a child that is killed; gives how it ended."""
    child = os.fork()
    if not child:
        patched = Killing(last, moment)
        signal.alarm(60)  # nothing of a test may stay
        disk.os = atomic.os = patched
        atomic.open = patched.open_file
        try:
            save(folder, [3], ranks, asynchronous)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, NOTHING_NEW, -signal.SIGKILL), status
    return status


def require_newest(folder, acknowledged):
    """What is loaded is step 2 or 3 as a whole; gives which."""
    run = {"state": None, "step": None}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing that looks complete may be damaged
        step = Checkpoints(folder).resume(run)
    assert step in ((3,) if acknowledged else (2, 3)), step
    assert run["step"] == step
    assert all(torch.equal(run["state"][name], each) for name, each in state(step).items())
    return step


def main(folder, ranks, asynchronous, every):
    os.fsync = lambda number: None  # a process is killed, not the machine: the system keeps what it was given
    ranks, asynchronous, every = int(ranks), asynchronous == "True", int(every)
    before, place = os.path.join(folder, "before"), os.path.join(folder, "place")
    save(before, [1, 2], ranks, False)
    left = collections.Counter()
    for moment in MOMENTS:
        last = 0
        while True:
            shutil.copytree(before, place)
            status = killed(place, ranks, asynchronous, last, moment)
            found = require_newest(place, status == 0)
            left[found] += status == -signal.SIGKILL
            save(place, [4], 1, False)
            names = [name for name in os.listdir(place) if name != "latest"]
            assert len(names) == 2 and all(name[0].isdigit() for name in names), names
            shutil.rmtree(place)
            if status == 0:
                break
            last += every
    print(sum(left.values()), left[2], left[3])


if __name__ == "__main__":
    main(*sys.argv[1:])
