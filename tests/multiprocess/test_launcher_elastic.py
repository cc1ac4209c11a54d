"""Jobs whose machines come and go: they join, are lost, take one another's place, and none of it uses up restarts."""

import os
import re
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun
from tests.multiprocess.namespaces import needs_namespaces, two_machines
from tests.ports import free_port

StartJob = Callable[..., Job]

#: Every rank of every attempt says where it stands; a job ends when the test says that it is enough.
SAY = """
    import os, time
    from distrt.comm.environment import read_environment
    from distrt.comm.stores.client import connect_store
    place, attempt = read_environment(), os.environ["TORCHELASTIC_RESTART_COUNT"]
    with connect_store(place, 30) as store:
        store.set(f"here/{place.rank}", b"")
        store.wait([f"here/{rank}" for rank in range(place.world_size)])
    with open("said", "a") as file:
        file.write(f"{attempt} {place.rank} of {place.world_size} on {os.environ['NAME']}\\n")
    while not os.path.exists("enough"): time.sleep(0.05)
"""


class Machines:
    """Launchers of one job on this machine, which come when the test says so."""

    def __init__(self, start_job: StartJob, folder: Path, nodes: str, last_call_s: float = 0.5) -> None:
        self._start_job = start_job
        self._folder = folder
        self.jobs: dict[str, Job] = {}
        self._options = [
            *["--nnodes", nodes, "--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{free_port()}"],
            *["--rdzv-conf", f"join_timeout=30,last_call_timeout={last_call_s},heartbeat_timeout=5"],
        ]

    def come(self, name: str, nproc: int = 1) -> None:
        self.jobs[name] = self._start_job(
            textwrap.dedent(SAY), nproc, launcher_args=self._options, env={"NAME": name}
        )

    def wait_for(self, *lines: str) -> None:
        """Until ranks have said all of this."""
        job = next(iter(self.jobs.values()))
        job.wait_for(lambda: set(lines) <= set(self.said()), PROMPT_S)

    def wait_until_spare(self, name: str) -> None:
        """Until a launcher says that the job has begun without it."""
        job, heard = self.jobs[name], b""
        assert job.process.stderr is not None
        fd = job.process.stderr.fileno()
        os.set_blocking(fd, False)

        def says_so() -> bool:
            nonlocal heard
            with suppress(BlockingIOError):
                heard += os.read(fd, 1 << 16)
            return b"this one waits for the next start" in heard

        job.wait_for(says_so, PROMPT_S)
        os.set_blocking(fd, True)

    def said(self) -> list[str]:
        path = self._folder / "said"
        return path.read_text().splitlines() if path.exists() else []

    def kill(self, name: str) -> None:
        job = self.jobs.pop(name)
        job.process.kill()
        job.process.communicate()
        job.assert_nothing_left(wait_s=PROMPT_S)

    def end(self) -> dict[str, RankRun]:
        (self._folder / "enough").touch()
        return {name: job.finish() for name, job in self.jobs.items()}


@pytest.fixture
def machines(start_job: StartJob, tmp_path: Path) -> Callable[..., Machines]:
    return lambda nodes, **more: Machines(start_job, tmp_path, nodes, **more)


def all_well(runs: dict[str, RankRun]) -> bool:
    return all(run.exit_code == 0 for run in runs.values())


@pytest.mark.ci
def test_a_machine_that_comes_later_joins_and_one_that_is_lost_is_done_without(
    machines: Callable[..., Machines],
) -> None:
    some = machines("1:2")
    some.come("a", 2)
    some.wait_for("0 0 of 2 on a", "0 1 of 2 on a")
    some.come("b", 1)
    some.wait_for("1 0 of 3 on a", "1 1 of 3 on a", "1 2 of 3 on b")
    some.kill("b")
    some.wait_for("2 0 of 2 on a", "2 1 of 2 on a")
    runs = some.end()
    assert all_well(runs), runs
    told = runs["a"].stderr
    assert "joins: the ranks start again" in told and "is lost: its launcher has ended" in told
    assert (
        told.count("the ranks start again, on the machines that are there") == 2 and "restart 1" not in told
    )


@pytest.mark.ci
def test_the_machine_that_serves_the_store_may_be_lost_too(machines: Callable[..., Machines]) -> None:
    some = machines("1:3")
    for name in "abc":
        some.come(name)
        some.wait_for(*[f"{len(some.jobs) - 1} 0 of {len(some.jobs)} on a"])
    some.wait_for("2 1 of 3 on b", "2 2 of 3 on c")
    some.kill("a")
    some.wait_for("3 1 of 2 on b", "3 0 of 2 on c")
    some.kill("b")  # which has served it since
    some.wait_for("4 0 of 1 on c")
    runs = some.end()
    assert all_well(runs), runs
    assert runs["c"].stderr.count("serves the store from now on") == 2


@pytest.mark.ci
def test_a_spare_machine_takes_the_place_of_a_lost_one_and_the_others_keep_theirs(
    machines: Callable[..., Machines],
) -> None:
    some = machines("2:3", last_call_s=20)
    for name in "abc":
        some.come(name)
    some.jobs["a"].wait_for(lambda: len(some.said()) == 3, PROMPT_S)
    seats = dict(re.findall(r"0 (\d) of 3 on (\w)", "\n".join(some.said())))
    some.come("d")
    some.wait_until_spare("d")
    some.kill(seats["1"])
    seats["1"] = "d"
    some.wait_for(*(f"1 {number} of 3 on {name}" for number, name in seats.items()))
    runs = some.end()
    assert all_well(runs), runs
    assert len(some.said()) == 6


@pytest.mark.ci
def test_a_spare_machine_that_is_not_needed_ends_with_the_job(machines: Callable[..., Machines]) -> None:
    some = machines("1:2", last_call_s=20)
    some.come("a")
    some.come("b")
    some.jobs["a"].wait_for(lambda: len(some.said()) == 2, PROMPT_S)
    some.come("c")
    some.wait_until_spare("c")
    runs = some.end()
    assert all_well(runs), runs
    assert "the job has ended, and has not needed this machine" in runs["c"].stderr


@pytest.mark.ci
def test_a_spare_machine_follows_when_the_one_that_serves_is_lost(machines: Callable[..., Machines]) -> None:
    some = machines("1:2", last_call_s=20)
    some.come("a")
    some.jobs["a"].wait_for(lambda: bool(some.jobs["a"].run_dir()), PROMPT_S)
    some.come("b")
    some.wait_for("0 0 of 2 on a", "0 1 of 2 on b")
    some.come("c")
    some.wait_until_spare("c")
    some.kill("a")
    some.jobs["b"].wait_for(lambda: any("of 2 on c" in line for line in some.said()), PROMPT_S)
    runs = some.end()
    assert all_well(runs), runs


@pytest.mark.ci
def test_spare_machines_go_on_where_all_others_are_lost_at_once(machines: Callable[..., Machines]) -> None:
    some = machines("1:2", last_call_s=20)
    some.come("a")
    some.jobs["a"].wait_for(lambda: bool(some.jobs["a"].run_dir()), PROMPT_S)
    some.come("b")
    some.wait_for("0 0 of 2 on a", "0 1 of 2 on b")
    for name in "cd":
        some.come(name)
        some.wait_until_spare(name)
    some.kill("b")
    some.kill("a")
    some.jobs["c"].wait_for(lambda: sum("of 2 on" in line for line in some.said()) >= 4, PROMPT_S)
    runs = some.end()
    assert all_well(runs), runs
    assert {line.split()[-1] for line in some.said()[-2:]} == {"c", "d"}, some.said()


@pytest.mark.ci
@pytest.mark.parametrize("leaver", ["b", "a"])
def test_a_machine_that_is_told_to_go_goes_and_the_others_go_on(
    machines: Callable[..., Machines], leaver: str
) -> None:
    """As a batch system tells one of several jobs, or Kubernetes one pod; the first one serves the store."""
    some = machines("1:2", last_call_s=20)
    some.come("a")
    some.jobs["a"].wait_for(lambda: bool(some.jobs["a"].run_dir()), PROMPT_S)
    some.come("b")
    some.wait_for("0 0 of 2 on a", "0 1 of 2 on b")
    gone = some.jobs.pop(leaver)
    gone.process.terminate()
    run = gone.finish()
    assert run.exit_code == 143 and "stopped by SIGTERM" in run.stderr, run
    stays = "a" if leaver == "b" else "b"
    some.jobs[stays].wait_for(lambda: any(f"0 of 1 on {stays}" in line for line in some.said()), PROMPT_S)
    runs = some.end()
    assert all_well(runs) and "restart 1" not in runs[stays].stderr, runs


@pytest.mark.ci
def test_machines_that_are_all_told_to_go_end_the_job(machines: Callable[..., Machines]) -> None:
    some = machines("1:2", last_call_s=20)
    some.come("a")
    some.come("b")
    some.jobs["a"].wait_for(lambda: len(some.said()) == 2, PROMPT_S)
    for job in some.jobs.values():
        job.process.terminate()
    runs = [job.finish() for job in some.jobs.values()]
    assert [run.exit_code for run in runs] == [143, 143], runs
    assert len(some.said()) == 2


@pytest.mark.ci
def test_a_machine_that_was_joining_goes_on_alone(machines: Callable[..., Machines]) -> None:
    """The only one is lost just when another has come; where it is at the moment is another each time."""
    some = machines("1:2")
    some.come("a")
    some.wait_for("0 0 of 1 on a")
    some.come("b")
    some.wait_until_spare("b")
    some.kill("a")
    some.jobs["b"].wait_for(lambda: any("0 of 1 on b" in line for line in some.said()), PROMPT_S)
    runs = some.end()
    assert all_well(runs), runs


#: Each step's global batch comes of its number; the checksum of the parameters after it is written down.
TRAIN = """
    import hashlib, os, sys, time
    import distrt as torch
    import distrt.distributed as dist
    from distrt import nn
    from distrt.checkpoint import Checkpoints
    from distrt.nn.parallel import DistributedDataParallel
    folder, pause = sys.argv[1], float(sys.argv[2])
    dist.init_process_group()
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))
    parallel = DistributedDataParallel(model, reproducible=4)
    optimizer = torch.optim.Adam(parallel.parameters(), lr=0.01)
    run = {"model": model, "optimizer": optimizer}
    checkpoints = Checkpoints(folder)
    step = parallel.training_step = checkpoints.resume(run) or 0
    while step < 40:
        batch = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        mine = batch[rank * 16 // size : (rank + 1) * 16 // size]
        optimizer.zero_grad()
        (parallel(mine) - mine.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        step += 1
        if rank == 0:
            bits = b"".join(each.detach().numpy().tobytes() for each in model.parameters())
            with open(f"{folder}.log", "a") as log:
                log.write(f"{step} {size} {hashlib.sha256(bits).hexdigest()}\\n")
        time.sleep(pause)
        is_ending = dist.preemption_requested()
        while "waits" in sys.argv and step >= 20 and size == 2 and not is_ending:  # until the others are there again
            time.sleep(0.05)
            is_ending = dist.preemption_requested()
        if is_ending or step % 4 == 0:
            checkpoints.save(step, run)
        if is_ending:
            sys.exit(os.EX_TEMPFAIL)
    dist.destroy_process_group()
"""


def steps_in(path: Path) -> list[tuple[int, int, str]]:
    """Step, number of ranks and checksum, in the order of happening."""
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(int(step), int(size), checksum) for step, size, checksum in lines]


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["b", "a"])
def test_training_goes_on_with_fewer_ranks_and_with_all_of_them_again_bit_by_bit(
    start_job: StartJob, tmp_path: Path, lost: str
) -> None:
    assert start_job(textwrap.dedent(TRAIN), 4, args=[str(tmp_path / "whole"), "0"]).finish().exit_code == 0
    whole = {step: checksum for step, _, checksum in steps_in(tmp_path / "whole.log")}
    log, addresses = tmp_path / "parts.log", f"localhost:{free_port()},localhost:{free_port()}"

    def come() -> Job:
        options = ["--nnodes=1:2", "--rdzv-backend=c10d", f"--rdzv-endpoint={addresses}"]
        patience = ["--rdzv-conf", "join_timeout=30,last_call_timeout=20,heartbeat_timeout=5"]
        args = [str(tmp_path / "parts"), "0.1", "waits"]
        return start_job(textwrap.dedent(TRAIN), 2, args=args, launcher_args=[*options, *patience])

    jobs = {"a": come()}
    jobs["a"].wait_for(lambda: jobs["a"].run_dir() is not None or not jobs["a"].pids(), PROMPT_S)
    jobs["b"] = come()
    left = jobs["b" if lost == "a" else "a"]
    left.wait_for(lambda: any(step >= 6 for step, _, _ in steps_in(log)), PROMPT_S)
    jobs[lost].process.kill()
    left.wait_for(lambda: [size for _, size, _ in steps_in(log)][-4:] == [2] * 4, PROMPT_S)
    jobs["c"] = come()
    left.wait_for(lambda: steps_in(log)[-1][1] == 4, PROMPT_S)
    del jobs[lost]
    runs = [job.finish() for job in jobs.values()]
    assert [run.exit_code for run in runs] == [0] * len(runs), runs
    done = steps_in(log)
    sizes = [size for index, (_, size, _) in enumerate(done) if index == 0 or done[index - 1][1] != size]
    assert sizes == [4, 2, 4], done
    assert {step for step, _, _ in done} == set(range(1, 41)) == set(whole)
    assert all(checksum == whole[step] for step, _, checksum in done)


@pytest.mark.slow
@needs_namespaces
@pytest.mark.parametrize("first", [0, 1])
def test_where_the_network_falls_in_two_the_larger_part_goes_on(
    start_job: StartJob, tmp_path: Path, first: int
) -> None:
    """Two launchers on one side of a cable and one on the other, which may be the one that serves the store."""
    secret = os.urandom(32).hex()
    with two_machines() as sides:
        conf = "join_timeout=12,last_call_timeout=5,heartbeat_timeout=2"
        options = ["--nnodes=2:3", "--rdzv-backend=c10d", f"--rdzv-endpoint={sides[first].address}:29400"]
        jobs = {}
        for name, side in (("a", 0), ("b", 0), ("c", 1)):
            jobs[name] = start_job(
                textwrap.dedent(SAY),
                1,
                launcher_args=[*options, "--rdzv-conf", conf],
                env={"NAME": name, "DISTRT_JOB_SECRET": secret},
                prefix=sides[side].prefix,
            )

        def said() -> str:
            path = tmp_path / "said"
            return path.read_text() if path.exists() else ""

        jobs["a"].wait_for(lambda: said().count("of 3 on") == 3, PROMPT_S)
        sides[1].cut()
        jobs["a"].wait_for(lambda: said().count("of 2 on") == 2, 2 * PROMPT_S)
        alone = jobs["c"].finish()
        assert alone.exit_code == 69 and "lost" in alone.stderr, alone
        (tmp_path / "enough").touch()
        runs = [jobs[name].finish() for name in "ab"]
        assert [run.exit_code for run in runs] == [0, 0], runs
        assert "c" not in said().partition("of 2 on")[2]
