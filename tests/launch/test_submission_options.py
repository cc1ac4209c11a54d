"""The options of ``distrt-launch submit``: what they mean, and what is refused."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from launch.cli import main
from launch.submission.plan import read_array, read_nodes, read_time

SMALL = ["--nproc-per-node", "2", "train.py", "--lr", "0.1"]


def submit(*words: str) -> int:
    return main(["submit", *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nodes=0"], "--nodes 0: expected a number of machines, or MIN:MAX"),
        (["--nodes=3:2"], "--nodes 3:2: expected"),
        (["--time=soon"], "--time soon: expected minutes"),
        (["--array=5-1"], "--array 5-1: expected FIRST-LAST"),
        (["--time=1-02:00:00:00"], "--time 1-02:00:00:00: expected minutes"),
        (["--rdzv-backend=c10d"], "--rdzv-backend c10d: where launchers meet"),
        (
            ["--queue=a\n#SBATCH --wrap=x"],
            "--queue 'a\\n#SBATCH --wrap=x': a batch script's options have no room",
        ),
        (["--extra=-x\n-y"], "--extra '-x\\n-y': a batch script's"),
        (["--image=x"], "--image is of Kubernetes, and changes nothing for slurm"),
        (["--scheduler=k8s", "--image=x", "--account=lab"], "--account: Kubernetes has nothing of the kind"),
        (["--scheduler=k8s", "--image=x", "--array=0-1"], "--array: Kubernetes has nothing of the kind"),
        (
            ["--scheduler=k8s", "--image=x", f"--name={'a' * 41}"],
            "Kubernetes leaves room for 40 letters, not 41",
        ),
        (
            ["--scheduler=k8s", "--image=x", "--folder=app"],
            "--folder app: expected a folder of the container's",
        ),
        (
            ["--scheduler=pbs", "--nodes=2:4"],
            "--nodes 2:4: only Slurm is asked for as many machines as there are",
        ),
        (
            ["--job=7"],
            "--job looks after a job that was submitted: --nproc-per-node 2 train.py --lr 0.1 is too much",
        ),
        (["--cancel"], "--cancel ends the job that --job names"),
        (["--scheduler=k8s", "--job=train", "--cancel"], "is too much"),
        (["--name=a b"], "--name a b: expected letters"),
        (["--scheduler=k8s", "--image=x", "--name=Big"], "--name Big: Kubernetes takes"),
        (["--standalone"], "--standalone: where launchers run and meet is what the job tells them"),
        (["--master-addr=host"], "--master-addr: where launchers run"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--scheduler=lsf", "--array=0-9"], "--array 0-9: LSF counts from 1"),
        (["--scheduler=k8s"], "--scheduler k8s needs --image"),
    ],
)
def test_wrong_use_gets_one_line(
    words: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        submit("--scheduler=slurm", *words, *SMALL)
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_what_is_to_be_run_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        submit("--scheduler=slurm")
    assert "what is to be run?" in capsys.readouterr().err


def test_numbers_are_read_as_batch_systems_write_them() -> None:
    assert [read_time(text) for text in ("90", "1:30", "2:00:00", "1-00:00:01")] == [5400, 90, 7200, 86401]
    assert [read_time(text) for text in ("1-12", "1-02:00")] == [
        36 * 3600,
        26 * 3600,
    ]  # hours come after days
    assert read_nodes("3") == (3, 3) and read_nodes("2:4") == (2, 4)
    assert read_array("0-9%2") == (0, 9, 2) and read_array("1-3") == (1, 3, 0)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["my_train.py"], "my_train"),
        (["Tr\u00e4in 2.py"], "train-2"),
        (["_private_.py"], "private"),
        (["\u8bad\u7ec3.py"], "distrt"),
        (["-m", "lab.train"], "lab-train"),
    ],
)
def test_a_job_is_called_as_its_script_in_what_batch_systems_take(
    words: Sequence[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit("--scheduler=slurm", "--dry-run", *words) == 0
    assert f"#SBATCH --job-name={name}\n" in capsys.readouterr().out
    assert submit("--scheduler=k8s", "--image=x", "--dry-run", *words) == 0
    assert f"\n  name: {name.replace('_', '-')}\n" in capsys.readouterr().out


def test_a_folder_is_where_it_is_from_here_and_its_signs_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the name of a log file, "%" begins what Slurm fills in."""
    monkeypatch.chdir(tmp_path)
    assert submit("--scheduler=slurm", "--dry-run", "--folder=100%", "train.py") == 0
    text = capsys.readouterr().out
    assert f"#SBATCH --chdir={tmp_path}/100%\n" in text
    assert f"#SBATCH --output={tmp_path}/100%%/slurm-%j.log\n" in text


def test_a_container_runs_where_its_image_says(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--scheduler=k8s", "--image=x", "--dry-run"]
    assert submit(*words, "train.py") == 0
    assert "workingDir" not in capsys.readouterr().out
    assert submit(*words, "--folder=/app", "train.py") == 0
    assert "workingDir: /app\n" in capsys.readouterr().out


def test_every_rank_has_a_core_unless_more_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """srun's step has one core of the job's otherwise, where cores are bound."""
    assert submit("--scheduler=slurm", "--dry-run", *SMALL) == 0
    text = capsys.readouterr().out
    assert "#SBATCH --cpus-per-task=2\n" in text and "srun --ntasks-per-node=1 --cpus-per-task=2 " in text
    assert submit("--scheduler=slurm", "--dry-run", "--cpus=5", *SMALL) == 0
    assert capsys.readouterr().out.count("--cpus-per-task=5") == 2
    assert submit("--scheduler=slurm", "--dry-run", "--nproc-per-node=gpu", "train.py") == 0
    assert "--cpus-per-task" not in capsys.readouterr().out


def test_what_the_job_will_miss_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert submit("--scheduler=slurm", "--dry-run", "--log=/no/such/log", "trian.py") == 0
    said = capfd.readouterr().err
    assert f"no such script: trian.py (looked in {tmp_path}); the job looks again when it begins" in said
    assert "--log /no/such/log: there is no folder /no/such; the job fails unless it is made before" in said
    (tmp_path / "train.py").touch()
    assert submit("--scheduler=slurm", "--dry-run", "--time=1:00", "train.py") == 0
    assert "the job's time, 60 s, is no longer than --warning 120" in capfd.readouterr().err
    assert submit("--scheduler=slurm", "--dry-run", "--log=a.log", "--time=3:00", "train.py") == 0
    assert not capfd.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert submit("--scheduler=slurm", f"--folder={tmp_path}/none", "train.py") == 73
    assert f"{tmp_path}/none: the script cannot be kept there (No such file" in capfd.readouterr().err


def test_arguments_that_are_no_text_reach_the_script_as_they_are(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert submit("--scheduler=slurm", "--dry-run", "train.py", "\udcff") == 0
    assert b" '\xff'\n" in capfdbinary.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        submit("--scheduler=k8s", "--image=x", "--dry-run", "train.py", "\udcff")
    assert b"is no text" in capfdbinary.readouterr().err
