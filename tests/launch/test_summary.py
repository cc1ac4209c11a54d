"""Which rank is blamed, and what the launcher's last words say."""

import json
import signal
from pathlib import Path
from typing import Any

from launch.ranks.processes import Ending
from launch.ranks.supervisor import Halt, Outcome
from launch.summary import Places, Report, report


def judge(
    run_dir: Path,
    returncodes: dict[int, int],
    ended_at: dict[int, float],
    records: dict[int, dict[str, Any]] | None = None,
    *,
    told_at: float | None = None,
    joined: frozenset[int] = frozenset(),
    stopped_by: signal.Signals | None = None,
) -> Report:
    for rank, record in (records or {}).items():
        full = {"exit_code": 1, "traceback": f"traceback of {rank}\n", "summary": f"E{rank}: why", **record}
        (run_dir / str(rank)).mkdir()
        (run_dir / str(rank) / "error.json").write_text(json.dumps(full))
    endings = {rank: Ending(code) for rank, code in returncodes.items()}
    outcome = Outcome(endings, ended_at, told_at, stopped_by)
    return report(outcome, {rank: 100 + rank for rank in returncodes}, joined, Places(run_dir, run_dir))


def test_success_says_nothing(tmp_path: Path) -> None:
    verdict = judge(tmp_path, {0: 0, 1: 0}, {0: 1.0, 1: 1.0})
    assert (verdict.text, verdict.exit_code, verdict.result["first_failure"]) == ("", 0, None)


def test_the_first_exception_is_the_cause_even_if_its_rank_ends_later(tmp_path: Path) -> None:
    verdict = judge(
        tmp_path,
        {0: 1, 1: 1},
        {0: 5.1, 1: 5.5},
        {0: {"time_monotonic_s": 5.05}, 1: {"time_monotonic_s": 5.0}},
        told_at=5.1,
    )
    assert verdict.result["first_failure"]["rank"] == 1
    assert verdict.text.endswith("\ntraceback of 1\n") and "traceback of 0" not in verdict.text
    assert "rank 0 failed too: E0: why" in verdict.text


def test_a_consequence_is_never_the_cause(tmp_path: Path) -> None:
    verdict = judge(
        tmp_path,
        {0: 1, 1: -9},
        {0: 5.1, 1: 5.2},
        {0: {"time_monotonic_s": 5.0, "is_consequence": True}},
        told_at=5.3,
    )
    assert verdict.exit_code == 137
    assert "rank 1 (pid 101" in verdict.text and "killed by SIGKILL (9)" in verdict.text


def test_a_killed_rank_comes_before_a_peer_that_noticed_at_once(tmp_path: Path) -> None:
    verdict = judge(
        tmp_path, {0: 1, 1: -9}, {0: 5.005, 1: 5.001}, {0: {"time_monotonic_s": 4.999}}, told_at=5.002
    )
    assert verdict.result["first_failure"]["rank"] == 1


def test_ranks_that_were_told_to_end_are_one_line(tmp_path: Path) -> None:
    verdict = judge(tmp_path, {0: -15, 1: 3, 2: -9, 3: 0}, {0: 5.1, 1: 5.0, 2: 6.0, 3: 4.0}, told_at=5.01)
    assert verdict.exit_code == 3
    assert verdict.text.splitlines()[1:] == ["ranks 0, 2 were ended by the launcher"]


def test_an_error_that_came_of_being_told_to_end_is_not_a_failure(tmp_path: Path) -> None:
    verdict = judge(tmp_path, {0: 1, 1: 3}, {0: 5.2, 1: 5.0}, {0: {"time_monotonic_s": 5.1}}, told_at=5.01)
    assert verdict.exit_code == 3
    assert "E0" not in verdict.text


def test_a_rank_that_had_not_joined_is_said_to(tmp_path: Path) -> None:
    verdict = judge(tmp_path, {0: -15, 1: 4}, {0: 5.1, 1: 5.0}, told_at=5.01, joined=frozenset({0}))
    assert "exit code 4, before joining the other ranks" in verdict.text


def test_the_users_signal_is_the_outcome(tmp_path: Path) -> None:
    verdict = judge(tmp_path, {0: -2, 1: -9}, {0: 5.1, 1: 9.0}, told_at=5.0, stopped_by=signal.SIGINT)
    assert verdict.exit_code == 130
    assert verdict.text == "distrt-launch: stopped by SIGINT; rank 1 had to be killed\n"


def test_a_damaged_record_does_not_hide_the_failure(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "error.json").write_text("{")
    assert judge(tmp_path, {0: 7}, {0: 1.0}).exit_code == 7


def test_what_pytorchs_record_wrote_is_the_cause(tmp_path: Path) -> None:
    message = {
        "message": "RuntimeError: x",
        "extraInfo": {"py_callstack": "Traceback of it\n", "timestamp": "1"},
    }
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "error.json").write_text(json.dumps({"message": message}))
    verdict = judge(tmp_path, {0: 1}, {0: 1.0})
    assert verdict.text.endswith("Traceback of it\n")
    assert verdict.result["first_failure"]["error"] == "RuntimeError: x"


def test_a_halt_is_the_cause(tmp_path: Path) -> None:
    outcome = Outcome({0: Ending(-15)}, {0: 5.1}, 5.0, None, Halt("why\n", 71))
    verdict = report(outcome, {0: 100}, frozenset(), Places(tmp_path, tmp_path))
    assert (verdict.text, verdict.exit_code, verdict.is_final) == ("why\n", 71, False)
