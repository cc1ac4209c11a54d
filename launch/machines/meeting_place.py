"""Where and how the machines of a job meet, as the command line says."""

import argparse
from dataclasses import dataclass, replace

from launch.exit_codes import UNREACHABLE

__all__ = ["MeetingError", "MeetingPlace", "StoreLostError", "read_meeting_place"]

_STATIC_PORT, _C10D_PORT = 29500, 29400
#: What torchrun takes in --rdzv-conf; those without effect here are waits and retries of PyTorch's own protocol.
_KNOWN = frozenset(
    """
    join_timeout last_call_timeout close_timeout timeout rank is_host store_type read_timeout heartbeat
    keep_alive_interval keep_alive_max_attempt heartbeat_timeout cas_backoff_max_seconds use_libuv
    """.split()
)


class MeetingError(Exception):
    """The ranks, or the machines, cannot meet; the text is for the user."""

    def __init__(self, text: str, exit_code: int = UNREACHABLE) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class StoreLostError(MeetingError):
    """The machine that serves the control store is gone; another may go on."""


@dataclass(frozen=True)
class MeetingPlace:
    """Where the machines meet, and how long they wait for one another.

    Attributes:
        min_nodes, max_nodes: how many machines there may be.
        node_rank: this machine's number; None where they are numbered as they come.
        host, port: where one of them serves the store; port 0 is any free one, for a job on one machine. No host where
            a process manager is to be asked (`launch.machines.process_manager`).
        is_host: whether that is this machine; None where the address tells.
        local_addr: what the others call this machine; None where it is found out.
        join_timeout_s: how long to wait for ``min_nodes`` machines.
        last_call_s: how long to wait for more, once there are ``min_nodes``.
        silence_s: how long a machine may say nothing before it counts as lost.
        job_name: what the user calls the job, on every machine.
        others: where the store may be served later, when the machine at ``host`` is lost.
    """

    min_nodes: int = 1
    max_nodes: int = 1
    node_rank: int | None = 0
    host: str = "127.0.0.1"
    port: int = 0
    is_host: bool | None = None
    local_addr: str | None = None
    join_timeout_s: float = 600.0
    last_call_s: float = 30.0
    silence_s: float = 10.0
    job_name: str = "none"
    others: tuple[tuple[str, int], ...] = ()

    @property
    def address(self) -> str:
        """Where the machines meet, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def is_elastic(self) -> bool:
        """Whether machines may come and go."""
        return self.min_nodes < self.max_nodes

    @property
    def is_one_machine(self) -> bool:
        """Whether nobody has to be met."""
        return self.max_nodes == 1


def read_meeting_place(given: argparse.Namespace) -> MeetingPlace:
    """Read what torchrun's options for rendezvous say.

    Raises:
        ValueError: they are malformed, contradict one another, or ask for what is not to be had.
    """
    least, most = _nodes(given.nnodes)
    port = given.master_port
    if port is not None and not 0 <= port <= 65535:
        raise ValueError(f"--master-port must be from 0 to 65535 (0: any free port), got {port}")
    if given.standalone:
        if most > 1:
            raise ValueError(
                f"--standalone is one machine, --nnodes {given.nnodes} are more: give one of them"
            )
        return MeetingPlace()
    settings = _settings(given.rdzv_conf)
    if given.rdzv_backend == "static":
        place = _static(given, least, most, settings)
    elif given.rdzv_backend == "c10d":
        place = _c10d(given, least, most, settings)
    else:
        raise ValueError(
            f"--rdzv-backend {given.rdzv_backend} is not to be had: one of the machines serves the job's own store, "
            f"which asks for the job's secret; use c10d or static"
        )
    if most > 1 and place.host and place.port == 0:
        raise ValueError(f"{most} machines need a port that all of them know, got 0")
    return replace(place, job_name=given.rdzv_id)


def _static(given: argparse.Namespace, least: int, most: int, settings: dict[str, str]) -> MeetingPlace:
    if least != most:
        raise ValueError(
            f"--nnodes {given.nnodes}: a number that may change needs --rdzv-backend c10d; "
            f"with static every machine has its --node-rank"
        )
    node_rank = given.node_rank
    if not 0 <= node_rank < most:
        raise ValueError(
            f"--node-rank {node_rank}: there {'is one machine' if most == 1 else f'are {most} machines'}, "
            f"numbered 0 to {most - 1}"
        )
    default_port = _STATIC_PORT if most > 1 else 0
    host, port = given.master_addr, given.master_port
    if given.rdzv_endpoint:
        host, port = _endpoint(given.rdzv_endpoint, _STATIC_PORT)
    host, port = _without_brackets(host), default_port if port is None else port
    return MeetingPlace(
        least, most, node_rank, host, port, node_rank == 0, given.local_addr, *_patience(settings)
    )


def _c10d(given: argparse.Namespace, least: int, most: int, settings: dict[str, str]) -> MeetingPlace:
    if most > 1 and not given.rdzv_endpoint:
        raise ValueError(f"--nnodes {given.nnodes} with --rdzv-backend c10d needs --rdzv-endpoint HOST:PORT")
    first, *others = [
        _endpoint(text, _C10D_PORT) for text in (given.rdzv_endpoint or "127.0.0.1:0").split(",")
    ]
    if others and least == most:
        raise ValueError(
            f"--rdzv-endpoint {given.rdzv_endpoint}: several are for --nnodes MIN:MAX, where another machine may go on "
            f"when the first is lost"
        )
    is_host = {"": None, "1": True, "true": True, "0": False, "false": False}.get(
        settings.get("is_host", "").lower()
    )
    return MeetingPlace(
        least, most, None, *first, is_host, given.local_addr, *_patience(settings), others=tuple(others)
    )


def _nodes(text: str) -> tuple[int, int]:
    least, colon, most = text.partition(":")
    try:
        numbers = int(least), int(most if colon else least)
    except ValueError:
        raise ValueError(f"--nnodes takes a number or MIN:MAX, got {text!r}") from None
    if not 0 < numbers[0] <= numbers[1]:
        raise ValueError(f"--nnodes {text}: expected at least 1, and MIN no more than MAX")
    return numbers


def _endpoint(text: str, default_port: int) -> tuple[str, int]:
    host, colon, digits = text.strip().rpartition(":")
    if not colon or text.endswith("]"):
        host, digits = text.strip(), str(default_port)
    if not host or not digits.isdigit() or int(digits) > 65535:
        raise ValueError(f"--rdzv-endpoint {text}: expected HOST:PORT")
    return _without_brackets(host), int(digits)


def _without_brackets(host: str) -> str:
    """Turn "[::1]" into "::1", and "localhost" into its address, which is what others than IPv6 mean by it."""
    host = host.removeprefix("[").removesuffix("]")
    return "127.0.0.1" if host == "localhost" else host


def _settings(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    settings = {key.strip(): value.strip() for key, _, value in pairs}
    for key, equals, _ in pairs:
        if not equals or key.strip() not in _KNOWN:
            raise ValueError(
                f"--rdzv-conf: {key.strip()!r} is not one of {', '.join(sorted(_KNOWN))} with a value"
            )
    if settings.get("store_type", "tcp") != "tcp":
        raise ValueError("--rdzv-conf store_type=file: the machines meet at an address; leave it out")
    return settings


def _patience(settings: dict[str, str]) -> tuple[float, float, float]:
    """How long to wait for the least number of machines, for more of them, and for a word of one."""
    join_s = _seconds(settings, "timeout", 600.0)
    return (
        _seconds(settings, "join_timeout", join_s),
        _seconds(settings, "last_call_timeout", 30.0),
        _seconds(settings, "heartbeat_timeout", 10.0),
    )


def _seconds(settings: dict[str, str], key: str, default: float) -> float:
    try:
        value = float(settings.get(key, default))
    except ValueError:
        raise ValueError(f"--rdzv-conf {key}={settings[key]}: expected seconds") from None
    if not value > 0:
        raise ValueError(f"--rdzv-conf {key}={settings[key]}: expected more than 0 seconds")
    return value
