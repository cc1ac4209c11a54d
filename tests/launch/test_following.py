"""Following a submitted job: its output as it comes, every change of its state, and batch systems that say nothing."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from launch.cli import main
from launch.submission.asking import BatchError, NoSuchJobError
from launch.submission.batch import State
from launch.submission.following import FileTail, StreamTail, follow
from tests.launch.conftest import OnPath


def looks(*answers: State | Exception) -> Callable[[], State]:
    """What the batch system says, one after the other."""
    left = iter(answers)

    def look() -> State:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look


def nothing(state: State) -> None:
    """Shows no output."""


def test_a_job_is_followed_to_its_end_with_its_output(tmp_path: Path) -> None:
    log, shown = tmp_path / "log", tmp_path / "shown"
    said: list[str] = []
    states = iter([State("pending"), State("running", logs=(str(log),)), State("over", True, 3, (str(log),))])

    def look() -> State:
        state = next(states)
        if state.logs:
            with log.open("a") as file:
                file.write(f"{state.text}\n")
        return state

    with shown.open("wb") as file:
        assert follow(look, FileTail(file.fileno()), said.append, 0.0) == 3
    assert said == ["the job is pending", "the job is running", "the job is over"]
    assert shown.read_text() == "running\nover\n"


def test_output_goes_on_while_the_batch_system_says_nothing() -> None:
    said: list[str] = []
    shown: list[tuple[str, ...]] = []
    silence = BatchError("scontrol does not tell (exit code 1): connection refused")
    look = looks(State("running", logs=("log",)), silence, silence, State("over", True, 0, ("log",)))
    assert follow(look, lambda state: shown.append(state.logs), said.append, 0.0) == 0
    assert said == ["the job is running", f"{silence}; asking again", "the job is over"]
    assert shown == [("log",)] * 4


def test_a_batch_system_that_says_nothing_for_too_long_is_given_up() -> None:
    with pytest.raises(BatchError, match="refused"):
        follow(looks(BatchError("refused")), nothing, lambda text: None, 0.0, patience_s=-1.0)


def test_a_job_that_is_not_known_any_more_shows_what_it_had_left() -> None:
    shown: list[str] = []
    look = looks(State("running"), NoSuchJobError("scontrol knows no job 7"))
    with pytest.raises(NoSuchJobError):
        follow(look, lambda state: shown.append(state.text), lambda text: None, 0.0)
    assert shown == ["running", "running"]


def test_a_file_that_got_shorter_has_begun_anew(tmp_path: Path) -> None:
    log, shown = tmp_path / "log", tmp_path / "shown"
    state = State("running", logs=(str(tmp_path), str(log), str(tmp_path / "none")))
    with shown.open("wb") as file:
        show = FileTail(file.fileno())
        for text in ("first\n", "first\nmore\n", "new\n"):
            log.write_text(text)
            show(state)
    assert shown.read_text() == "first\nmore\nnew\n"


def test_where_nobody_reads_following_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("text")
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError), os.fdopen(write, "wb"):
        FileTail(write)(State("running", logs=(str(log),)))


def test_a_stream_that_has_ended_is_asked_for_what_came_since() -> None:
    asked: list[int | None] = []

    def command(since_s: int | None) -> Sequence[str]:
        asked.append(since_s)
        return ["false"] if len(asked) == 1 else ["true"]

    show = StreamTail(command)
    for _ in range(3):
        show(State("running"))
    assert asked == [None, None, 1]


@pytest.fixture
def scontrol(on_path: OnPath) -> Iterator[Path]:
    """A Slurm that knows no job at all."""
    yield on_path("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")


@pytest.mark.parametrize("option", [[], ["--follow"], ["--cancel"]])
def test_a_job_that_nobody_knows_is_said_to_be(
    option: Sequence[str], scontrol: Path, on_path: OnPath, capfd: pytest.CaptureFixture[str]
) -> None:
    """scancel itself says nothing of it, and ends with 0."""
    cancelled = on_path("scancel", "")
    assert main(["submit", "--scheduler=slurm", "--job=99", *option]) == 69
    (line,) = capfd.readouterr().err.splitlines()
    assert "scontrol knows no job 99, or not any more: slurm_load_jobs error" in line
    assert not cancelled.exists()


def test_lsf_does_not_know_a_job_without_an_exit_code(
    on_path: OnPath, capfd: pytest.CaptureFixture[str]
) -> None:
    on_path("bjobs", "echo 'Job <99> is not found' >&2")
    assert main(["submit", "--scheduler=lsf", "--job=99"]) == 69
    assert "bjobs knows no job 99, or not any more: Job <99> is not found" in capfd.readouterr().err


def test_a_batch_system_that_does_not_tell_is_no_state(
    on_path: OnPath, capfd: pytest.CaptureFixture[str]
) -> None:
    on_path("scontrol", "echo 'Unable to contact slurm controller' >&2; exit 1")
    assert main(["submit", "--scheduler=slurm", "--job=99"]) == 69
    assert "scontrol does not tell (exit code 1): Unable to contact" in capfd.readouterr().err


def test_a_job_that_is_over_is_not_cancelled(on_path: OnPath, capfd: pytest.CaptureFixture[str]) -> None:
    on_path("scontrol", "echo 'JobId=12 JobState=COMPLETED Reason=None ExitCode=0:0'")
    cancelled = on_path("scancel", "")
    assert main(["submit", "--scheduler=slurm", "--job=12", "--cancel"]) == 0
    assert "job 12 is over: completed" in capfd.readouterr().err and not cancelled.exists()
