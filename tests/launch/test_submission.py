"""What ``distrt-launch submit`` writes for each batch system, and what it makes of their answers."""

import os
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from launch.cli import main
from launch.submission import following
from launch.submission.batch import State
from launch.submission.kubernetes import KINDS, KUBERNETES
from launch.submission.lsf import LSF
from launch.submission.pbs import PBS
from launch.submission.plan import read_array, read_nodes, read_time
from launch.submission.slurm import SLURM
from launch.submission.yaml import documents

GOLDEN = Path(__file__).with_name("golden")
SMALL = ["--nproc-per-node", "2", "train.py", "--lr", "0.1"]
LARGE = [
    "--name=big", "--nodes=2", "--cpus=8", "--gpus=4", "--memory=64G", "--time=1-02:00:00",
    "--warning=300", "--queue=night", "--account=lab", "--max-restarts=3",
    "--nproc-per-node=4", "-m", "lab.train", "--text", "it's $(5)",
]  # fmt: skip
ARRAY = ["--array=1-9%2", "--log=/logs/out", "--extra=-x 1", *SMALL]
CASES = {
    **{f"{name}-small": [f"--scheduler={name}", *SMALL] for name in ("slurm", "pbs", "lsf")},
    **{f"{name}-large": [f"--scheduler={name}", *LARGE] for name in ("slurm", "pbs", "lsf")},
    **{f"{name}-array": [f"--scheduler={name}", *ARRAY] for name in ("slurm", "pbs", "lsf")},
    "slurm-elastic": ["--scheduler=slurm", "--nodes=2:4", *SMALL],
    **{f"k8s-{kind}": ["--scheduler=k8s", "--image=lab/train:1", f"--kind={kind}", *LARGE] for kind in KINDS},
    "k8s-one-pod": ["--scheduler=k8s", "--image=lab/train:1", "--namespace=lab", "--kind=pytorchjob", *SMALL],
}


def submit(*words: str) -> int:
    return main(["submit", *words])


def written(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a case of the table writes, wherever the test runs."""
    assert submit("--dry-run", "--python=python3", "--folder=/work/digits", *CASES[name]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", CASES)
def test_what_is_submitted_is_what_was_looked_at(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The files in ``golden`` were read by a person; a change of theirs is to be read again."""
    text = written(name, capsys)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("DISTRT_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("k8s")])
def test_scripts_are_ones_that_bash_reads(name: str) -> None:
    done = subprocess.run(
        ["bash", "-n", str(GOLDEN / f"{name}.txt")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("k8s")])
def test_manifests_are_ones_that_kubernetes_takes(name: str) -> None:
    """Strictly: a field that there is none of is an error. Kinds of operators are unknown to it: these are skipped."""
    validate = pytest.importorskip("kubernetes_validate", reason="needs distrt[k8s-check]")
    yaml = pytest.importorskip("yaml", reason="comes with kubernetes-validate")
    known = 0
    for document in yaml.safe_load_all((GOLDEN / f"{name}.txt").read_text()):
        try:
            validate.validate(document, "1.31", strict=True)
            known += 1
        except validate.SchemaNotFoundError:
            assert document["kind"] in ("JobSet", "PyTorchJob", "MPIJob")
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
            for spec in pods_in(document):
                validate.validate({**pod, "spec": spec}, "1.31", strict=True)
                known += 1
    assert known >= 2


def pods_in(value: object) -> list[dict[str, object]]:
    """The pods' specs somewhere in an object."""
    if isinstance(value, dict):
        found = [value] if "containers" in value else []
        return found + [pod for each in value.values() for pod in pods_in(each)]
    return [pod for each in value for pod in pods_in(each)] if isinstance(value, list) else []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nodes=0"], "--nnodes 0: expected a number of machines, or MIN:MAX"),
        (["--nodes=3:2"], "--nnodes 3:2: expected"),
        (["--time=soon"], "--time soon: expected minutes"),
        (["--array=5-1"], "--array 5-1: expected FIRST-LAST"),
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
    assert read_nodes("3") == (3, 3) and read_nodes("2:4") == (2, 4)
    assert read_array("0-9%2") == (0, 9, 2) and read_array("1-3") == (1, 3, 0)


def test_yaml_is_read_back_as_it_was_meant() -> None:
    yaml = pytest.importorskip("yaml", reason="comes with kubernetes-validate")
    value = {
        "text": [
            "yes",
            "no",
            "1",
            "1e3",
            "null",
            "a: b",
            "- a",
            "it's",
            'a "b"',
            "a#b",
            "",
            " a",
            "\u00e9\n",
            "~",
        ],
        "nested": [{"a": [[1, 2], {"b": True}], "c": {}}, [], -1.5, None],
    }
    assert list(yaml.safe_load_all(documents(value, {"two": 2}))) == [value, {"two": 2}]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a program of the batch system's on PATH: it keeps its arguments and input, and says what is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)

    def put(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/{name}.said\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return tmp_path / f"{name}.said"

    return put


def test_a_job_is_handed_in_and_its_script_kept(
    on_path: Callable[[str, str], Path], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = on_path("sbatch", "echo '12;cluster'")
    assert submit("--scheduler=slurm", *SMALL) == 0
    assert said.read_text() == f"--parsable {tmp_path}/train.sbatch\n"
    assert "submitted job 12, " in capfd.readouterr().err
    script = tmp_path / "train.sbatch"
    assert "srun" in script.read_text()
    script.write_text("mine")
    assert submit("--scheduler=slurm", *SMALL) == 69 and script.read_text() == "mine"
    assert "give another --name" in capfd.readouterr().err


def test_a_manifest_is_handed_in_with_a_secret_that_is_kept_nowhere(
    on_path: Callable[[str, str], Path], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    on_path("kubectl", f"cat >{tmp_path}/taken; echo 'secret/train created'; echo 'job.batch/train created'")
    assert submit("--scheduler=k8s", "--image=x", *SMALL) == 0
    assert "submitted job job.batch/train\n" in capfd.readouterr().err
    (line,) = [line for line in (tmp_path / "taken").read_text().splitlines() if "DISTRT_JOB_SECRET:" in line]
    assert len(line.split('"')[-2] if '"' in line else line.split()[-1]) == 64
    assert not list(tmp_path.glob("*.yaml"))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'invalid partition' >&2; exit 1", "sbatch refuses (exit code 1): invalid partition"),
        ("true", "sbatch names no job"),
    ],
)
def test_a_refusal_is_told_in_one_line(
    on_path: Callable[[str, str], Path], capfd: pytest.CaptureFixture[str], script: str, message: str
) -> None:
    on_path("sbatch", script)
    assert submit("--scheduler=slurm", *SMALL) == 69
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line


def test_a_batch_system_that_is_not_here_is_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert submit("--scheduler=pbs", *SMALL) == 69
    (line,) = capfd.readouterr().err.splitlines()
    assert "qsub cannot be started (No such file or directory): is this a login node?" in line


def test_a_job_is_looked_after_by_its_name(
    on_path: Callable[[str, str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    on_path("scontrol", "echo 'JobId=12 JobState=PENDING Reason=Resources Restarts=1 ExitCode=0:0'")
    ended = on_path("scancel", "")
    assert submit("--scheduler=slurm", "--job=12") == 0
    assert capfd.readouterr().out == "pending (Resources), requeued 1 times\n"
    assert submit("--scheduler=slurm", "--job=12", "--cancel") == 0
    assert ended.read_text() == "12\n"


@pytest.mark.parametrize(
    ("state", "text", "expected"),
    [
        (SLURM, "", ("unknown", False, 0)),
        (SLURM, "JobId=1 JobState=COMPLETED Reason=None ExitCode=0:0", ("completed", True, 0)),
        (
            SLURM,
            "JobId=1 JobState=FAILED Reason=NonZeroExitCode ExitCode=69:0",
            ("failed (NonZeroExitCode)", True, 69),
        ),
        (SLURM, "JobId=1 JobState=CANCELLED Reason=None ExitCode=0:15", ("cancelled", True, 143)),
        (SLURM, "JobId=1 JobState=TIMEOUT Reason=TimeLimit ExitCode=0:0", ("timeout (TimeLimit)", True, 1)),
        (
            SLURM,
            "JobId=1 JobState=COMPLETED ExitCode=0:0\nJobId=2 JobState=RUNNING ExitCode=0:0",
            ("completed (1), running (1)", False, 0),
        ),
        (PBS, "Job Id: 1\n    job_state = R\n    Output_Path = host:/x/out", ("running", False, 0)),
        (PBS, "Job Id: 1\n    job_state = F\n    Exit_status = 75", ("over", True, 75)),
        (LSF, "RUN - /x/out", ("run", False, 0)),
        (LSF, "EXIT 9 -\nDONE - -", ("exit, done", True, 9)),
        (KUBERNETES, "", ("pending", False, 0)),
        (KUBERNETES, "SuccessCriteriaMet Complete", ("successcriteriamet, complete", True, 0)),
        (KUBERNETES, "Failed", ("failed", True, 1)),
    ],
)
def test_answers_of_batch_systems_are_understood(
    state: object, text: str, expected: tuple[str, bool, int]
) -> None:
    found = state.read_state(text)  # type: ignore[attr-defined]
    assert (found.text, found.is_over, found.exit_code) == expected


def test_names_of_jobs_are_found_in_what_is_said() -> None:
    assert LSF.read_job("Job <123> is submitted to queue <normal>.") == "123"
    assert PBS.read_job("12.server\n") == "12.server"
    assert (
        KUBERNETES.read_job("service/a created\njobset.jobset.x-k8s.io/a created")
        == "jobset.jobset.x-k8s.io/a"
    )


def test_a_job_is_followed_to_its_end_with_its_output(tmp_path: Path) -> None:
    log, shown, said = tmp_path / "log", tmp_path / "shown", []
    states = iter([State("pending"), State("running", logs=(str(log),)), State("over", True, 3, (str(log),))])

    def look() -> State:
        state = next(states)
        if state.logs:
            with log.open("a") as file:
                file.write(f"{state.text}\n")
        return state

    with shown.open("wb") as file:
        assert following.follow(look, said.append, 0.0, file.fileno()) == 3
    assert said == ["the job is pending", "the job is running", "the job is over"]
    assert shown.read_text() == "running\nover\n"
