"""What ``distrt-launch submit`` writes for each batch system, and what it makes of their answers."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from launch.cli import main
from launch.submission.kubernetes import KINDS, kubernetes
from launch.submission.lsf import LSF
from launch.submission.pbs import PBS
from launch.submission.slurm import SLURM
from launch.submission.yaml import documents
from tests.launch.conftest import OnPath

KUBERNETES = kubernetes()
GOLDEN = Path(__file__).with_name("golden")
SMALL = ["--nproc-per-node", "2", "train.py", "--lr", "0.1"]
LARGE = [
    "--name=big", "--nodes=2", "--cpus=8", "--gpus=4", "--memory=64G", "--time=1-02:00:00",
    "--warning=300", "--queue=night", "--account=lab", "--max-restarts=3",
    "--nproc-per-node=4", "-m", "lab.train", "--text", "it's $(5)",
]  # fmt: skip
LARGE_POD = [word for word in LARGE if word != "--account=lab"]
ARRAY = ["--array=1-9%2", "--log=/logs/out", "--extra=-x 1", *SMALL]
CASES = {
    **{f"{name}-small": [f"--scheduler={name}", *SMALL] for name in ("slurm", "pbs", "lsf")},
    **{f"{name}-large": [f"--scheduler={name}", *LARGE] for name in ("slurm", "pbs", "lsf")},
    **{f"{name}-array": [f"--scheduler={name}", *ARRAY] for name in ("slurm", "pbs", "lsf")},
    "slurm-elastic": ["--scheduler=slurm", "--nodes=2:4", *SMALL],
    **{
        f"k8s-{kind}": ["--scheduler=k8s", "--image=lab/train:1", f"--kind={kind}", *LARGE_POD]
        for kind in KINDS
    },
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
            "\U0001f600 \u2028 \x7f \x85 \x01",
            "~",
        ],
        "nested": [{"a": [[1, 2], {"b": True}], "c": {}}, [], -1.5, None],
    }
    assert list(yaml.safe_load_all(documents(value, {"two": 2}))) == [value, {"two": 2}]


def test_a_job_is_handed_in_and_its_script_kept(
    on_path: OnPath, capfd: pytest.CaptureFixture[str], tmp_path: Path
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
    on_path: OnPath, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    taken = f"cat >{tmp_path}/taken; echo 'secret/train created'; echo 'job.batch/train created'"
    on_path("kubectl", f'case "$*" in get*) exit 1;; esac; {taken}')
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
    on_path: OnPath, capfd: pytest.CaptureFixture[str], script: str, message: str
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
    (tmp_path / "train.py").touch()
    assert submit("--scheduler=pbs", *SMALL) == 69
    (line,) = capfd.readouterr().err.splitlines()
    assert "qsub cannot be started (No such file or directory): is this a login node?" in line


def test_a_job_is_looked_after_by_its_name(on_path: OnPath, capfd: pytest.CaptureFixture[str]) -> None:
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
        (PBS, "Job Id: 1\n    job_state = Q\n    Exit_status = 75", ("queued", False, 75)),  # run again
        (LSF, "RUN - /x/out", ("run", False, 0)),
        (LSF, "EXIT 9 -\nDONE - -", ("exit, done", True, 9)),
        (KUBERNETES, " ready=0", ("pending", False, 0)),
        (KUBERNETES, " ready=2", ("running", False, 0)),
        (KUBERNETES, "Created Running ready=", ("created, running", False, 0)),
        (KUBERNETES, "SuccessCriteriaMet Complete ready=0", ("successcriteriamet, complete", True, 0)),
        (KUBERNETES, "Failed ready=", ("failed", True, 1)),
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


def test_files_of_output_are_found_in_answers_whatever_their_names() -> None:
    slurm = SLURM.read_state(
        "JobId=1 JobName=a JobState=RUNNING Reason=None ReqB:S:C:T=0:0:*:* Command=/x y/a.sbatch "
        "StdErr=/x y/\u00e9=1.log StdIn=/dev/null StdOut=/x y/\u00e9=1.log Power= "
    )
    assert slurm.logs == ("/x y/\u00e9=1.log",) and slurm.text == "running"
    odd = SLURM.read_state("JobId=7 JobState=RUNNING WorkDir=/100%j StdOut=/100%7/slurm-7.log Power=")
    assert "/100%j/slurm-7.log" in odd.logs
    pbs = PBS.read_state(
        "Job Id: 7.pbs\n    job_state = R\n    Output_Path = login:/work/a b/a-very-lo\n\tng-name/\n"
    )
    assert pbs.logs == ("/work/a b/a-very-long-name/", "/work/a b/a-very-long-name/7.pbs.OU")


def test_a_script_of_pbs_that_may_be_submitted_again_is_not_written_over(
    on_path: OnPath, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The job submits its file again when the ranks have saved; by then there may be another of its name."""
    on_path("qsub", "echo 7.pbs")
    for lr in ("0.1", "0.2", "0.1"):
        assert submit("--scheduler=pbs", "train.py", "--lr", lr) == 0
    scripts = {path: path.read_text() for path in tmp_path.glob("train-*.pbs")}
    assert len(scripts) == 2 and all(str(path) in text for path, text in scripts.items())


def test_a_job_of_kubernetes_is_looked_after_where_it_is(
    on_path: OnPath, capfd: pytest.CaptureFixture[str]
) -> None:
    said = on_path(
        "kubectl", "case $* in *' get job/'*) exit 1;; *apply*) echo job.batch/train created;; esac"
    )
    words = ["--scheduler=k8s", "--namespace=lab"]
    assert submit(*words, "--image=x", *SMALL) == 0
    assert "submit --scheduler k8s --namespace lab --job job.batch/train;" in capfd.readouterr().err
    assert submit(*words, "--job=job.batch/train") == 0
    assert submit(*words, "--job=job.batch/train", "--cancel") == 0
    asked = said.read_text().splitlines()
    assert len(asked) == 5 and all(line.startswith("--namespace=lab ") for line in asked), asked
    mine = "--selector=app.kubernetes.io/managed-by=distrt-launch,app.kubernetes.io/instance=train"
    assert asked[-1] == f"--namespace=lab delete job.batch,service,secret {mine}"


def test_the_output_of_all_pods_of_a_job_is_asked_for() -> None:
    assert KUBERNETES.follow is not None
    first, later = KUBERNETES.follow("job.batch/train", None), KUBERNETES.follow("job.batch/train", 7)
    assert {"--follow", "--prefix", "--tail=-1", "--max-log-requests=1000"} < set(first)
    assert first[-1].startswith("--selector=") and set(later) - set(first) == {"--since=7s"}


def test_a_job_of_kubernetes_that_is_there_keeps_its_secret(
    on_path: OnPath, capfd: pytest.CaptureFixture[str]
) -> None:
    """A second one of its name would be refused, but for the secret, which pods that come again would not share."""
    said = on_path("kubectl", "echo job.batch/train")
    assert submit("--scheduler=k8s", "--image=x", *SMALL) == 69
    assert "there is a job/train already: --cancel it, or give another --name" in capfd.readouterr().err
    assert "apply" not in said.read_text()


def test_arguments_reach_a_container_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Kubernetes takes "$$" for "$", and "$(NAME)" for a variable, and "$" before anything else for itself."""
    yaml = pytest.importorskip("yaml", reason="comes with kubernetes-validate")
    words = ["$(HOME)", "$$(HOME)", "$$", "$HOME", "a$", "\U0001f600", "x: y\n- z"]
    assert submit("--scheduler=k8s", "--image=x", "--dry-run", "my_Train.py", *words) == 0
    objects = list(yaml.safe_load_all(capsys.readouterr().out))
    command = objects[-1]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert [
        re.sub(r"\$([$(])", lambda found: found[1].replace("(", "?"), word) for word in command[-7:]
    ] == words
    assert objects[-1]["metadata"]["name"] == "my-train"
