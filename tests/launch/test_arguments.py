"""The command line, the machine's size, and each rank's environment."""

from pathlib import Path

import pytest

from launch import machine
from launch.command.arguments import missing_target, parse_arguments
from launch.job import Target, choose_threads
from launch.ranks.supervisor import TimeLimits
from tests.launch.conftest import Refused


@pytest.mark.parametrize("spelling", ["--nproc-per-node", "--nproc_per_node"])
def test_both_spellings_are_understood(spelling: str) -> None:
    assert parse_arguments([spelling, "3", "train.py"]).local_size == 3
    assert parse_arguments([f"{spelling}=3", "train.py"]).local_size == 3


def test_one_rank_is_the_default() -> None:
    given = parse_arguments(["train.py"])
    assert (given.target.kind, given.target.name, given.target.arguments, given.local_size) == (
        "script",
        "train.py",
        (),
        1,
    )
    assert given.limits == TimeLimits()


def test_what_follows_the_script_is_the_scripts() -> None:
    given = parse_arguments(["--standalone", "train.py", "--nproc-per-node", "9", "-m", "--", "--help"])
    assert given.local_size == 1
    assert given.target.arguments == ("--nproc-per-node", "9", "-m", "--", "--help")


def test_a_module_is_taken_with_m() -> None:
    given = parse_arguments(["--nproc-per-node", "2", "-m", "pkg.train", "-m"])
    assert (given.target.kind, given.target.name, given.target.arguments) == ("module", "pkg.train", ("-m",))


@pytest.mark.parametrize("spelling", ["--run-dir", "--run_dir", "--log-dir", "--log_dir"])
def test_the_run_directory_may_be_called_log_directory(spelling: str) -> None:
    assert parse_arguments([spelling, "d", "train.py"]).run_dir_base == "d"


def test_a_shutdown_timeout_holds_for_failures_and_stops() -> None:
    assert parse_arguments(["--shutdown-timeout", "4", "t.py"]).limits == TimeLimits(4.0, 4.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: script"),
        (["--nproc-per-node", "0", "t.py"], "at least 1, got 0"),
        (["--nproc-per-node", "-1", "t.py"], "at least 1, got -1"),
        (["--nproc-per-node", "two", "t.py"], "got 'two'"),
        (["--nnodes", "1:4", "t.py"], "needs --rdzv-backend c10d"),
        (["--nnodes", "0", "t.py"], "at least 1"),
        (["--nnodes", "3:2", "t.py"], "MIN no more than MAX"),
        (["--nnodes", "two", "t.py"], "got 'two'"),
        (["--node-rank", "1", "t.py"], "there is one machine"),
        (["--master-port", "65536", "t.py"], "from 0 to 65535"),
        (["--shutdown-timeout", "-1", "t.py"], "0 seconds or more"),
        (["--shutdown-timeout", "nan", "t.py"], "0 seconds or more"),
        (["--nproc", "2", "t.py"], "--nproc"),
    ],
)
def test_a_wrong_command_line_is_refused_with_code_2(
    refused: Refused, arguments: list[str], message: str
) -> None:
    assert message in refused(arguments)


def test_help_lists_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        parse_arguments(["--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n  {code} " in text for code in (0, 1, 2, 66, 69, 70, 71, 73, 77, 130))


def test_gpus_are_counted_from_what_is_visible(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    assert parse_arguments(["--nproc-per-node", "gpu", "t.py"]).local_size == 2
    assert parse_arguments(["--nproc-per-node", "auto", "t.py"]).local_size == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,-1,2")
    assert machine.visible_gpus() == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert parse_arguments(["--nproc-per-node", "auto", "t.py"]).local_size == machine.usable_cores()
    with pytest.raises(SystemExit):
        parse_arguments(["--nproc-per-node", "gpu", "t.py"])
    assert "no GPU is visible" in capsys.readouterr().err


def test_the_tightest_cgroup_quota_counts(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert machine._cgroup_quota_cores(tmp_path, membership) is None
    (tmp_path / "a" / "b" / "cpu.max").write_text("max 100000\n")
    (tmp_path / "a" / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    assert machine._cgroup_quota_cores(tmp_path, membership) == 1.5


def test_a_quota_of_the_first_cgroup_version_counts(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("4:cpu,cpuacct:/job\n3:memory:/job\n")
    folder = tmp_path / "cpu" / "job"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("200000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert machine._cgroup_quota_cores(tmp_path, membership) == 2.0
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert machine._cgroup_quota_cores(tmp_path, membership) is None


def test_threads_are_the_cores_shared_out_unless_the_user_chose() -> None:
    assert choose_threads(8, 2, {}) == 4
    assert choose_threads(2, 4, {}) == 1
    assert choose_threads(8, 2, {"OMP_NUM_THREADS": "3"}) == 3
    assert choose_threads(8, 2, {"OMP_NUM_THREADS": ""}) == 4


def test_a_missing_target_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.py").write_text("")
    (tmp_path / "folder").mkdir()
    assert missing_target(Target("script", "there.py")) is None
    assert missing_target(Target("module", "there")) is None
    assert missing_target(Target("module", "json.tool")) is None
    assert "no such script: gone.py" in (missing_target(Target("script", "gone.py")) or "")
    assert "no module named 'gone'" in (missing_target(Target("module", "gone.sub")) or "")
    assert "no __main__.py" in (missing_target(Target("script", "folder")) or "")
