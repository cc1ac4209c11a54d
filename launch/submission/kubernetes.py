"""A job for Kubernetes, as one of four kinds: an Indexed Job, a JobSet, Kubeflow's PyTorchJob, or its MPIJob.

Every pod runs one launcher, which finds its place by `launch.machines.placement`. Source: the references of batch/v1,
jobset.x-k8s.io/v1alpha2, and kubeflow.org/v1 and v2beta1. It has not run on a cluster.
"""

import re
from typing import Any

from launch.submission.batch import BatchSystem, State
from launch.submission.plan import Plan
from launch.submission.yaml import documents

__all__ = ["KINDS", "kubernetes", "manifest"]

#: What ``manifest`` takes the place of the secret in, until it is submitted.
SECRET_PLACE = "made when the job is submitted"
_GRACE_S = 60
_PREEMPTED = 75
_MANY = 1000  # pods whose output may be shown at once
_OBJECT = dict[str, Any]


def manifest(plan: Plan, secret: str = SECRET_PLACE) -> str:
    """Write the objects of a job; the secret is one of its own, which only the pods are given."""
    kept = {"DISTRT_JOB_SECRET": secret}
    secret_object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(plan),
        "stringData": kept,
    }
    return documents(secret_object, *KINDS[plan.kind](plan))


def _indexed_job(plan: Plan) -> list[_OBJECT]:
    """A headless service gives the pods names: each is called like the others, but for its number."""
    pod = {"subdomain": plan.name, **_pod(plan, _told(plan))}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(plan),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"job-name": plan.name},
        },
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(plan, has_queue=True),
        "spec": {**_job_spec(plan), "template": _template(plan, pod)},
    }
    return [service, job]


def _job_set(plan: Plan) -> list[_OBJECT]:
    job = {**_job_spec(plan), "template": _template(plan, _pod(plan, _told(plan)))}
    return [
        {
            "apiVersion": "jobset.x-k8s.io/v1alpha2",
            "kind": "JobSet",
            "metadata": _metadata(plan, has_queue=True),
            "spec": {
                "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
                "failurePolicy": {"maxRestarts": plan.attempts},
                "replicatedJobs": [{"name": "machines", "replicas": 1, "template": {"spec": job}}],
            },
        }
    ]


def _pytorch_job(plan: Plan) -> list[_OBJECT]:
    """The operator sets MASTER_ADDR, RANK and WORLD_SIZE, which the launchers take for numbers of machines.

    It counts every start of a container, also after 75.
    """
    pod = _pod(plan, plan.command, name="pytorch")
    del pod["restartPolicy"]
    counts = {"Master": 1, "Worker": plan.nodes[1] - 1}
    replicas = {
        role: {"replicas": count, "restartPolicy": "OnFailure", "template": _template(plan, pod)}
        for role, count in counts.items()
        if count
    }
    policy: _OBJECT = {"backoffLimit": plan.attempts, "cleanPodPolicy": "Running"}
    if plan.limit_s:
        policy["activeDeadlineSeconds"] = plan.limit_s
    return [
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": _metadata(plan, has_queue=True),
            "spec": {"runPolicy": policy, "pytorchReplicaSpecs": replicas},
        }
    ]


def _mpi_job(plan: Plan) -> list[_OBJECT]:
    """The launcher's mpiexec starts ours on the workers by ssh; they find one another through it."""
    count = plan.nodes[1]
    mpiexec = ("mpiexec", "-f", "/etc/mpi/hostfile", "-n", str(count), "-ppn", "1", *plan.command)
    launcher = _pod(plan, mpiexec)
    launcher["containers"][0].pop("resources", None)
    worker = _pod(plan, ("/usr/sbin/sshd", "-De"))
    for pod in (launcher, worker):
        del pod["restartPolicy"]
    policy: _OBJECT = {"backoffLimit": plan.attempts, "cleanPodPolicy": "Running"}
    if plan.limit_s:
        policy["activeDeadlineSeconds"] = plan.limit_s
    return [
        {
            "apiVersion": "kubeflow.org/v2beta1",
            "kind": "MPIJob",
            "metadata": _metadata(plan, has_queue=True),
            "spec": {
                "slotsPerWorker": 1,
                "mpiImplementation": "MPICH",
                "runPolicy": policy,
                "mpiReplicaSpecs": {
                    "Launcher": {
                        "replicas": 1,
                        "restartPolicy": "OnFailure",
                        "template": _template(plan, launcher),
                    },
                    "Worker": {"replicas": count, "template": _template(plan, worker)},
                },
            },
        }
    ]


KINDS = {"job": _indexed_job, "jobset": _job_set, "pytorchjob": _pytorch_job, "mpijob": _mpi_job}


def _metadata(plan: Plan, has_queue: bool = False) -> _OBJECT:
    labels = _labels(plan.name)
    if plan.queue and has_queue:
        labels["kueue.x-k8s.io/queue-name"] = plan.queue
    return {"name": plan.name, **({"namespace": plan.namespace} if plan.namespace else {}), "labels": labels}


def _labels(name: str) -> dict[str, str]:
    """What all objects and pods of a job have, and nothing else: they are shown and deleted by it."""
    return {"app.kubernetes.io/managed-by": "distrt-launch", "app.kubernetes.io/instance": name}


def _template(plan: Plan, pod: _OBJECT) -> _OBJECT:
    return {"metadata": {"labels": _labels(plan.name)}, "spec": pod}


def _told(plan: Plan) -> tuple[str, ...]:
    """The command with the number of machines, which an Indexed Job tells its pods nothing of."""
    at = plan.command.index("launch") + 1
    return (*plan.command[:at], f"--nnodes={plan.nodes[1]}", *plan.command[at:])


def _job_spec(plan: Plan) -> _OBJECT:
    """What ends a pod that was told to go, or one of ranks that have saved, is no failure; the pod comes again."""
    spec: _OBJECT = {
        "completionMode": "Indexed",
        "completions": plan.nodes[1],
        "parallelism": plan.nodes[1],
        "backoffLimit": plan.attempts * plan.nodes[1],
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [_PREEMPTED]}},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            ]
        },
    }
    if plan.limit_s:
        spec["activeDeadlineSeconds"] = plan.limit_s
    return spec


def _pod(plan: Plan, command: tuple[str, ...], name: str = "launcher") -> _OBJECT:
    wanted: dict[str, Any] = {}
    for key, value in (("cpu", plan.cpus), ("memory", plan.memory), ("nvidia.com/gpu", plan.gpus)):
        if value:
            wanted[key] = str(value)
    container: _OBJECT = {
        "name": name,
        "image": plan.image,
        "command": [word.replace("$", "$$") for word in command],  # or Kubernetes fills in variables
        **({"workingDir": str(plan.folder)} if plan.folder.is_absolute() else {}),
        "envFrom": [{"secretRef": {"name": plan.name}}],
        "volumeMounts": [{"name": "shared-memory", "mountPath": "/dev/shm"}],
    }
    if wanted:
        container["resources"] = {"requests": wanted, "limits": wanted}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE_S,
        "containers": [container],
        "volumes": [{"name": "shared-memory", "emptyDir": {"medium": "Memory"}}],
    }


def _read_job(said: str) -> str:
    """Find the job among what ``kubectl apply`` has made: "job.batch/train created"."""
    match = re.search(r"^((?:job|jobset|pytorchjob|mpijob)[\w.-]*/[\w.-]+)", said, re.MULTILINE)
    return match[1] if match else ""


def _read_state(text: str) -> State:
    """Read the conditions that are true, and how many pods are ready, of what ``kubectl get -o`` says."""
    text, _, ready = text.partition("ready=")
    states = text.split()
    is_over = bool({"Complete", "Completed", "Succeeded", "Failed"} & set(states))
    if not states and ready.strip() not in ("", "0"):
        states = ["Running"]
    return State(", ".join(states).lower() or "pending", is_over, int("Failed" in states))


def kubernetes(namespace: str = "") -> BatchSystem:
    """The Kubernetes that kubectl leads to; without a namespace, in its present one."""
    kubectl = ("kubectl", f"--namespace={namespace}") if namespace else ("kubectl",)
    conditions = 'jsonpath={.status.conditions[?(@.status=="True")].type} ready={.status.ready}'

    def show_output(job: str, since_s: int | None) -> tuple[str, ...]:
        since = () if since_s is None else (f"--since={since_s}s",)
        every = (
            "--prefix",
            "--tail=-1",
            f"--max-log-requests={_MANY}",
        )  # a selector would mean ten lines of five pods
        return *kubectl, "logs", "--follow", *every, *since, _selector(job)

    return BatchSystem(
        name="k8s",
        script=manifest,
        file_name=lambda plan: f"{plan.name}.yaml",
        submit=lambda path: (*kubectl, "apply", "-f", "-"),
        reads_stdin=True,
        read_job=_read_job,
        show=lambda job: (*kubectl, "get", job, "-o", conditions),
        read_state=_read_state,
        unknown="NotFound",
        find=lambda job: (*kubectl, "get", job),
        follow=show_output,
        cancel=lambda job: (*kubectl, "delete", f"{job.partition('/')[0]},service,secret", _selector(job)),
    )


def _selector(job: str) -> str:
    labels = _labels(job.rpartition("/")[2])
    return "--selector=" + ",".join(f"{key}={value}" for key, value in labels.items())
