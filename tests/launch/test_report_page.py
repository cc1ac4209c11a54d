"""The page of a run, from folders as runs leave them, whole and damaged."""

import itertools
import json
import os
import time
from pathlib import Path

import pytest

from launch.page.lines import Lines
from launch.page.page import page
from launch.page.reading import NotARunError, read_run
from launch.page.stretches import Curve, Stretch, Stretches
from launch.ranks.processes import process_start_time
from launch.reports.run_directory import of_job, write_whole
from tests.launch.runs import EPOCH, SHARES, Page, report, start, step, steps_of, text_of, write


def page_of(folder: Path) -> Page:
    return Page(page(read_run(folder)))


def ended(attempt: int, at: float, code: int) -> dict[str, object]:
    return {"event": "attempt_ended", "time": EPOCH + at, "attempt": attempt, "exit_code": code}


def began(attempt: int, at: float) -> dict[str, object]:
    return {"event": "attempt_began", "time": EPOCH + at, "attempt": attempt, "pids": [1, 2]}


def test_a_slow_rank_is_named_with_what_it_does(tmp_path: Path) -> None:
    ranks = {rank: [start(rank), *steps_of(rank, 50, slow=1), {"kind": "end", "at": 4}] for rank in (0, 1)}
    shown = page_of(write(tmp_path / "run", ranks, result={"exit_code": 0}))
    (finding,) = shown.texts("finding")
    assert finding.startswith(
        "Rank 1 is slow: the script itself, between train.py:16 in main and train.py:19 in main"
    )
    assert "takes 30 ms longer" in finding and "75 % of the whole step of 40 ms" in finding
    marked = shown.texts("mark")
    assert len(marked) == 1 and marked[0].startswith("1node0")


def test_a_run_that_is_over_before_its_second_line_has_its_steps(tmp_path: Path) -> None:
    lines = [start(0, size=1), {**step(20, 1.0, SHARES), "steps": 20}, {"kind": "end", "at": 1.0}]
    run = read_run(write(tmp_path / "run", {0: lines}, result={"exit_code": 0}))
    assert run.attempts[0].ranks[0].last_step == 20


def test_a_single_pause_is_told_from_a_slow_rank(tmp_path: Path) -> None:
    """Rank 0 evaluates once, for two seconds, while rank 1 waits."""
    ranks = {}
    for rank in (0, 1):
        steps = steps_of(rank, 100)
        pause = {**SHARES, ("waiting", "script")[rank == 0]: 2.0}
        steps[50] = step(
            51, steps[50]["at"] + 2.0, pause, gap=[2.0, "train.py:40 in main", "train.py:41 in main"]
        )
        ranks[rank] = [start(rank), *steps]
    (finding,) = page_of(write(tmp_path / "run", ranks, result={"exit_code": 0})).texts("finding")
    assert finding.startswith(
        "Rank 0 is slow at times: the script itself, between train.py:40 in main and train.py:41"
    )
    assert "Most of its steps are like theirs; the longest took 2.01 s." in finding


def test_a_traceback_is_on_the_page(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", {0: [start(0), *steps_of(0, 9)]}, result={"exit_code": 1})
    record = {"summary": "ValueError: <b>", "traceback": "Traceback\n  line 1\nValueError: <b>\n"}
    (folder / "attempt_0/0/error.json").write_text(json.dumps(record))
    failed = [{"event": "rank_ended", "time": EPOCH + 5.0, "rank": 0, "how": "exit code 1"}]
    (folder / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in [began(0, 0), *failed]))
    shown = page_of(folder)
    assert (
        "Rank 0 failedIt ended 5 s after the start: exit code 1, ValueError: <b>" in shown.texts("finding")[0]
    )
    assert [text_of(each) for each in shown.root.iter("pre")] == [record["traceback"]]


def test_ranks_that_are_alike_are_not_called_slow(tmp_path: Path) -> None:
    ranks = {rank: [start(rank, size=4), *steps_of(rank, 50)] for rank in range(4)}
    shown = page_of(write(tmp_path / "run", ranks, result={"exit_code": 0}))
    assert [each for each in shown.texts("finding") if "slow" in each] == []
    assert "No rank kept the others waiting" in shown.text()


def test_key_figures_are_those_of_the_record(tmp_path: Path) -> None:
    ranks = {rank: [start(rank), *steps_of(rank, 101, slow=1)] for rank in (0, 1)}
    cards = page_of(write(tmp_path / "run", ranks, result={"exit_code": 0})).texts("card")
    assert cards[0].startswith("Steps10140 ms each")
    assert cards[1].startswith("Throughput1,600samples/s; 25 steps/s")  # two ranks, 32 samples in 40 ms
    assert cards[2].startswith("Communication hidden0 %4 KiB a rank and step")  # waiting exceeds what moved
    assert cards[3].startswith("Waiting37 %")  # 30 of 80 ms
    assert cards[4].startswith("Memory80 MiB")


@pytest.mark.parametrize("kind", ["empty", "missing", "a file", "another folder"])
def test_what_is_no_run_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "run"
    if kind == "a file":
        folder.write_text("")
    elif kind != "missing":
        folder.mkdir()
    if kind == "another folder":
        (folder / "notes.txt").write_text("nothing")
    with pytest.raises(NotARunError, match="expected"):
        read_run(folder)


@pytest.mark.ci
def test_the_command_writes_the_page_and_says_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "one", {0: [start(0), *steps_of(0, 5)]}, result={"exit_code": 0})
    done = report(folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "runs/one/report.html\n"), done.stderr
    Page((tmp_path / "runs/one/report.html").read_text())
    assert [each.name for each in (tmp_path / "runs/one").iterdir() if "html" in each.name] == ["report.html"]
    nothing = report("nowhere", folder=tmp_path)
    assert nothing.returncode == 66 and "nowhere is not a folder" in nothing.stderr
    nowhere = report("runs/one", "-o", "absent/page.html", folder=tmp_path)
    assert nowhere.returncode == 73 and "absent/page.html cannot be written" in nowhere.stderr
    below_a_file = report("runs/one", "-o", "runs/one/report.html/page.html", folder=tmp_path)
    assert below_a_file.returncode == 73 and "cannot be written" in below_a_file.stderr


def test_lines_that_broke_off_or_are_no_records_are_counted_and_left_out(tmp_path: Path) -> None:
    good = steps_of(0, 10)
    rubbish = [
        "[1]\n",
        "{}\n",
        '{"kind":"step"}\n',
        '{"kind":"step","step":"x"}\n',
        "\x00\x01\n",
        "[" * 100_000 + "\n",
    ]
    lines = [start(0), *good[:5], *rubbish, *good[5:], json.dumps(good[0])[:70]]
    run = read_run(write(tmp_path / "run", {0: lines}))
    record = run.attempts[0].ranks[0]
    assert sum(each.steps for each in record.stretches) == 9  # the first is the start
    assert record.damaged == 6
    assert "6 lines of the records could not be read" in page_of(tmp_path / "run").text()


def test_a_run_that_goes_on_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    launcher = {"pid": os.getpid(), "start_time": process_start_time(os.getpid())}
    now = time.time() - EPOCH
    lines = [start(0, at=now - 60), *steps_of(0, 20, begin=now - 50), '{"kind":"st']
    shown = page_of(write(tmp_path / "run", {0: lines}, launcher=launcher, events=[began(0, now - 61)]))
    assert shown.texts("pill") == ["running"]
    assert "The run was going on when this was made." in shown.text()
    assert "So far1 min 1 s" in shown.text()


def test_a_run_whose_processes_were_killed_broke_off(tmp_path: Path) -> None:
    shown = page_of(write(tmp_path / "run", {rank: [start(rank), *steps_of(rank, 9)] for rank in (0, 1)}))
    assert shown.texts("pill") == ["broken off"]
    assert shown.texts("finding")[0].startswith("The run broke off")


def test_ranks_without_a_record_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", {0: [start(0, size=4), *steps_of(0, 9)], 2: [start(2, size=4)]})
    shown = page_of(folder)
    assert "Without a record of steps: rank 2, 1, 3." in shown.texts("aside")
    # And not that nobody kept the others waiting.
    assert shown.texts("finding")[-1].startswith("Nothing is known here of rank 1, 3")


def test_the_folders_of_all_machines_make_one_page(tmp_path: Path) -> None:
    ranks = {rank: [start(rank), *steps_of(rank, 50, slow=1)] for rank in (0, 1)}
    first = write(
        tmp_path / "run", {0: ranks[0]}, events=[began(0, 1.0), ended(0, 9.0, 0)], result={"exit_code": 0}
    )
    second = write(tmp_path / "run-node1", {1: ranks[1]}, events=[began(0, 1.5), ended(0, 8.0, 0)])
    write(tmp_path / "running", {0: ranks[0]})
    for folder in (first, second):
        shown = page_of(folder)
        assert [each.startswith("Rank 1 is slow") for each in shown.texts("finding")] == [True]
        assert [row[0] for row in shown.rows("ranks")][1:] == ["0", "1"]
        assert "8 s" in shown.text()


@pytest.mark.parametrize("lost", [["machine 1 (vm) is lost: its launcher has ended"], []])
def test_a_machine_that_was_lost_or_came_is_no_failure_of_a_rank(tmp_path: Path, lost: list[str]) -> None:
    killed = {"event": "rank_ended", "time": EPOCH + 4.0, "rank": 0, "how": "killed by SIGTERM (15)"}
    folder = write(
        tmp_path / "run",
        {rank: [start(rank), *steps_of(rank, 9)] for rank in (0, 1)},
        events=[began(0, 1.0), killed, ended(0, 4.1, 69)],
    )
    attempts = [
        {"exit_code": 69, "first_failure": None, "lost": lost, "is_membership_change": True},
        {"exit_code": 0},
    ]
    (folder / "attempt_0" / "0" / "error.json").write_text('{"summary": "PeerFailed: rank 1 died"}')
    write(
        folder,
        {0: [start(0, size=1), *steps_of(0, 9)]},
        attempt=1,
        events=[began(1, 5.0), ended(1, 9.0, 0)],
        result={"exit_code": 0, "attempts": attempts},
    )
    shown = page_of(folder)
    told = "machine 1 (vm) is lost: its launcher has ended. The launcher started all ranks again (attempt 1)."
    assert [each for each in shown.texts("finding") if "0" in each] == [
        f"A machine was lost in attempt 0{told}" for _ in lost
    ]
    assert ("machine lost" in text_of(shown.section("course-h"))) == bool(lost)
    assert "rank 0 failed" not in shown.text().lower()


def test_an_attempt_with_fewer_ranks_misses_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", {rank: [start(rank, size=3), *steps_of(rank, 9)] for rank in range(3)})
    write(
        folder,
        {rank: [start(rank), *steps_of(rank, 9)] for rank in range(2)},
        attempt=1,
        result={"exit_code": 0},
    )
    assert "Without a record" not in page_of(folder).text()


@pytest.mark.parametrize("name", ["attempt_\u00b2", "attempt_007", "attempt_0/\u0663", "attempt_0/01"])
def test_folders_of_other_names_are_left_alone(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "run", {rank: [start(rank), *steps_of(rank, 9)] for rank in range(2)})
    (folder / name).mkdir()
    assert len(read_run(folder).attempts) == 1
    page_of(folder)


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_run_that_has_hardly_begun_has_a_page(tmp_path: Path, attempts: int) -> None:
    folder = write(
        tmp_path / "run", {}, launcher={"pid": os.getpid(), "start_time": process_start_time(os.getpid())}
    )
    for number in range(attempts):
        (folder / f"attempt_{number}").mkdir()
    assert "No rank has recorded a step." in page_of(folder).texts("finding")


def test_the_folder_that_a_job_was_given_stands_for_its_newest_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert of_job(None) is None
    assert of_job("missing") == Path("missing")
    run = write(tmp_path / "mine" / "run", {})
    assert of_job("mine") == of_job("mine/run") == Path("mine/run")
    assert of_job(str(run)) == run


def test_a_folder_is_no_place_for_a_page(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (Path(), tmp_path, Path("..")):
        with pytest.raises(IsADirectoryError):
            write_whole(place, b"")
    assert list(tmp_path.iterdir()) == []


def test_failures_and_restarts_stand_on_the_time_axis(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    killed = {"event": "rank_ended", "time": EPOCH + 5.0, "rank": 1, "how": "killed by SIGKILL"}
    told = {"event": "rank_ended", "time": EPOCH + 5.1, "rank": 0, "how": "exit code 1"}
    failure = {"rank": 1, "how": "killed by SIGKILL", "time": EPOCH + 5.0, "error": None}
    first = {rank: [start(rank), *steps_of(rank, 50)] for rank in (0, 1)}
    second = {rank: [start(rank, at=6.0), *steps_of(rank, 90, begin=7.0)] for rank in (0, 1)}
    write(folder, first, events=[began(0, 0), killed, told, ended(0, 5.2, 137)])
    result = {"exit_code": 0, "attempts": [{"first_failure": failure}, {"first_failure": None}]}
    write(folder, second, attempt=1, events=[began(1, 5.5), ended(1, 12, 0)], result=result)
    shown = page_of(folder)
    course = shown.section("course-h")
    marks = [each.get("class") for each in course.iter("line") if "mark" in each.get("class", "")]
    assert marks == ["mark failure", "mark restart"]
    at = [float(each.get("x1", 0)) for each in course.iter("line") if "mark" in each.get("class", "")]
    assert at[0] == pytest.approx(64 + 884 * 5 / 12, abs=0.1)
    assert at[1] == pytest.approx(64 + 884 * 5.5 / 12, abs=0.1)
    finding = shown.texts("finding")[0]
    assert finding.startswith("Rank 1 failed in attempt 0It ended 5 s after the start: killed by SIGKILL.")
    assert shown.rows("course-h")[1:] == [
        ["attempt 0", "5.2 s, to step 50, exit code 137"],
        ["attempt 1", "6.5 s, to step 90, exit code 0"],
    ]


def test_a_loss_that_is_no_number_is_told(tmp_path: Path) -> None:
    lines = [
        start(0),
        *steps_of(0, 20),
        step(21, 3.0, {"script": 0.1}, loss="nan"),
        *steps_of(0, 3, begin=3.1),
    ]
    shown = page_of(write(tmp_path / "run", {0: lines}))
    assert any(each.startswith("The loss became nanOn rank 0") for each in shown.texts("finding"))


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = (
        '</style></title><script>alert("1")</script><img src=http://evil.example/x onerror=1>\x00\ud800\u202e'
    )
    about = start(0, host=evil, command=[evil], variables={evil: evil})
    lines = [about, *steps_of(0, 20)]
    lines += [{"kind": "number", "name": evil, "value": 1.0, "step": 1, "at": 2.0}]
    picture = {"kind": "picture", "step": 3, "from": 1.0, "to": 1.1, "spans": [[evil, 1.0, 1.05]]}
    lines += [{**picture, "transfers": [[evil, 1.0, 1.1, 4, 1, 1, True]]}]
    shown = page_of(write(tmp_path / "a<b>&", {0: lines}, command=["script", evil]))
    tags = {each.tag.rpartition("}")[2] for each in shown.root.iter()}
    assert not tags & {"script", "img", "iframe", "link", "object"}
    assert 'alert("1")' in shown.text()


def test_the_page_loads_and_runs_nothing(tmp_path: Path) -> None:
    shown = page_of(write(tmp_path / "run", {0: [start(0), *steps_of(0, 9)]}))
    attributes = {name.rpartition("}")[2] for each in shown.root.iter() for name in each.attrib}
    assert not attributes & {"src", "href", "onclick", "onload"}
    assert "url(" not in shown.content.replace("url(#", "")
    assert "http" not in shown.content.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_every_picture_says_what_it_shows(tmp_path: Path) -> None:
    shown = page_of(write(tmp_path / "run", {rank: [start(rank), *steps_of(rank, 30)] for rank in (0, 1)}))
    pictures = [each for each in shown.root.iter() if each.tag.endswith("svg")]
    assert len(pictures) >= 5
    ids = [each.get("id") for each in shown.root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    for each in pictures:
        named = each.get("aria-labelledby", "").split()
        assert len(named) == 2 and set(named) <= set(ids)
        assert each.get("role") == "img"


def test_pieces_of_a_long_record_are_joined_and_nothing_is_lost() -> None:
    stretches, curve = Stretches(), Curve()
    for number in range(10_000):
        stretches.take(Stretch(number, number + 1.0, 1, number + 1, 1.0, 1.0, {"data": 0.5}, samples=2))
        curve.take(float(number), float(number % 7))
    assert len(stretches) <= 512 and len(curve.points) <= 512
    total = stretches.total()
    assert total is not None
    assert (total.steps, total.samples, total.spent["data"], total.last_step) == (
        10_000,
        20_000,
        5_000.0,
        10_000,
    )
    assert (stretches[0].begin, stretches[-1].end) == (0, 10_000)
    assert all(left.end == right.begin for left, right in itertools.pairwise(stretches))
    assert {(low, high) for _, _, low, high in curve.points[:-1]} == {(0.0, 6.0)}


def test_of_a_large_file_pieces_are_read(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_text(
        "".join(json.dumps({"number": number, "pad": "x" * 80}) + "\n" for number in range(50_000))
    )
    lines = Lines(path, 1 << 20)
    found = [each["number"] for each in lines]
    assert found == sorted(found) and found[0] == 0 and found[-1] == 49_999
    assert lines.damaged == 0 and 0.1 < lines.share < 0.3
    assert sum(len(json.dumps({"number": n, "pad": "x" * 80})) + 1 for n in found) <= 1 << 20


@pytest.mark.slow
def test_a_million_records_make_a_small_page_soon(tmp_path: Path) -> None:
    one = json.dumps(steps_of(0, 1)[0])
    head, tail = one.split('"at": 1.012')
    folder = write(tmp_path / "run", {0: [start(0)]})
    with (folder / "attempt_0/0/record.jsonl").open("a") as file:
        file.writelines(f'{head}"at": {1 + 0.04 * number:.3f}{tail}\n' for number in range(1_000_000))
    before = time.process_time()
    content = page(read_run(folder))
    assert time.process_time() - before < 60
    assert len(content) < 300_000
