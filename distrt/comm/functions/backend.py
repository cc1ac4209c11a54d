"""The names of backends, as PyTorch's users write them, and which of them this installation serves.

A name says little of the CPU: ranks of one machine meet in shared memory whatever it is, and ranks of several through
TCP or MPI (`distrt.comm.machines.choice`; "mpi" insists on it). For GPUs it says what carries their tensors
(`distrt.comm.functions.gpu`).
"""

from __future__ import annotations

import enum
import importlib.util
from collections import namedtuple
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from distrt.comm.reduction import ReduceOp
from distrt.core.device import device
from distrt.core.gpu.library import device_count
from distrt.core.process.users_code import warn

__all__ = [
    "Backend",
    "BackendConfig",
    "BackendType",
    "default_pg_nccl_timeout",
    "default_pg_timeout",
    "get_default_backend_for_device",
    "is_available",
    "is_backend_available",
    "is_gloo_available",
    "is_mpi_available",
    "is_nccl_available",
    "is_registered",
    "is_ucc_available",
    "is_xccl_available",
    "nccl_timeout",
    "served",
    "supports_complex",
]

default_pg_timeout = timedelta(minutes=30)
default_pg_nccl_timeout: timedelta | None = None  # as where PyTorch was built without NCCL


class BackendType(enum.Enum):
    """The kinds of backend that PyTorch tells apart."""

    UNDEFINED = 0
    GLOO = 1
    NCCL = 2
    UCC = 3
    MPI = 4
    XCCL = 5
    CUSTOM = 6


class Backend(str):
    """The known names as attributes; called with a name in any case, it gives that in lower case, a plain ``str``."""

    __slots__ = ()

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    UCC = "ucc"
    MPI = "mpi"
    XCCL = "xccl"
    FAKE = "fake"
    SHM = "shm"

    backend_list: ClassVar[list[str]] = [UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI, FAKE, SHM]
    default_device_backend_map: ClassVar[dict[str, str]] = {
        "cpu": GLOO,
        "cuda": NCCL,
        "xpu": XCCL,
        "mps": GLOO,
    }
    backend_capability: ClassVar[dict[str, list[str]]] = {
        GLOO: ["cpu", "cuda"],
        NCCL: ["cuda"],
        XCCL: ["xpu"],
        UCC: ["cpu", "cuda"],
        MPI: ["cpu", "cuda"],
        FAKE: ["cpu", "cuda", "hpu", "xpu"],
        SHM: ["cpu"],
    }

    def __new__(cls, name: str) -> str:  # type: ignore[misc]  # noqa: D102 - PyTorch's own gives plain strings, too
        if not isinstance(name, str):
            raise ValueError("Backend constructor parameter must be string-ish")
        return name.lower()

    backend_type_map: ClassVar[dict[str, BackendType]] = {
        UNDEFINED: BackendType.UNDEFINED,
        GLOO: BackendType.GLOO,
        NCCL: BackendType.NCCL,
        XCCL: BackendType.XCCL,
        UCC: BackendType.UCC,
        MPI: BackendType.MPI,
        FAKE: BackendType.CUSTOM,
        SHM: BackendType.CUSTOM,
    }

    _BackendPlugin = namedtuple("_BackendPlugin", ["creator_fn", "extended_api"])
    _plugins: ClassVar[dict[str, Any]] = {}

    @classmethod
    def register_backend(
        cls,
        name: str,
        func: Callable[..., Any],
        extended_api: bool = False,
        devices: str | list[str] | None = None,
    ) -> None:
        """Let ``init_process_group`` and ``new_group`` make groups of this name with a function.

        Args:
            name: becomes an attribute in capitals, too.
            func: called with a store, a rank, a size and a time-out; gives a group of ours, such as
                ``distrt.distributed.ProcessGroupGloo(store, rank, size, timeout)``.
            extended_api: call it with an object that holds these, and with ``pg_options``, instead.
            devices: the kinds of device that it serves; "cpu" and "cuda" where None, with a warning.
        """
        known = name.lower()
        if not hasattr(cls, name.upper()):
            setattr(cls, name.upper(), known)
        if known not in cls.backend_list:
            cls.backend_list.append(known)
        if devices is None:
            warn(
                f"Device capability of {name} unspecified, assuming `cpu` and `cuda` or `xpu`. Please specify it via "
                "the `devices` argument of `register_backend`."
            )
        served = ["cpu", "cuda"] if devices is None else [devices] if isinstance(devices, str) else devices
        for kind in served if devices is not None else ():
            cls.default_device_backend_map.setdefault(kind, known)
        cls.backend_type_map[known] = BackendType.CUSTOM
        cls.backend_capability[known] = served
        cls._plugins[name.upper()] = cls._BackendPlugin(func, extended_api)


class BackendConfig:
    """Which backend serves which kind of device: "gloo" for all that it can, or pairs such as "cpu:gloo,cuda:nccl".

    Raises:
        ValueError: pairs that are malformed, or name a device twice.
    """

    def __init__(self, backend: str) -> None:
        name = str(backend).lower()
        if name == Backend.UNDEFINED:
            kinds = ("cpu", "cuda") if device_count() else ("cpu",)
            self.device_backend_map = {kind: Backend.default_device_backend_map[kind] for kind in kinds}
        elif name in Backend.backend_list:
            self.device_backend_map = dict.fromkeys(Backend.backend_capability[name], name)
        elif ":" in name:
            self.device_backend_map = _read_pairs(name)
        else:
            warn(
                f"Device capability of {name} unknown, assuming `cpu` and `cuda`. You can specify it in "
                "`device:backend` format in `init_process_group` call."
            )
            self.device_backend_map = dict.fromkeys(("cpu", "cuda", "xpu"), name)

    def __repr__(self) -> str:
        return ",".join(f"{kind}:{name}" for kind, name in self.device_backend_map.items())

    def get_device_backend_map(self) -> dict[str, str]:
        """The kind of device -> the name of its backend."""
        return self.device_backend_map


def _read_pairs(text: str) -> dict[str, str]:
    advice = (
        f"The custom backend string argument is invalid: {text}. It must be in the format "
        "'<device_type1>:<backend1>,<device_type2>:<backend2>...', e.g. 'cpu:gloo,cuda:nccl'"
    )
    found: dict[str, str] = {}
    for pair in text.split(","):
        kind, _, name = pair.partition(":")
        if not name or ":" in name:
            raise ValueError(f"Invalid device:backend pairing: {pair}. {advice}")
        if kind in found:
            raise ValueError(f"Duplicate device type {kind} in backend string: {text}. {advice}")
        found[kind] = name
    return found


def get_default_backend_for_device(device: str | device) -> str:
    """The name of the backend that PyTorch takes for a kind of device.

    Raises:
        ValueError: there is none.
    """
    found = Backend.default_device_backend_map.get(_kind(device))
    if found is None:
        raise ValueError(f"Default backend not registered for device : {device}")
    return found


_device = device


def _kind(wanted: str | device) -> str:
    return wanted.type if isinstance(wanted, _device) else _device(wanted).type


def is_available() -> bool:
    """True: process groups are part of every installation."""
    return True


def is_gloo_available() -> bool:
    """True: the name "gloo" is served by shared memory, and by TCP or MPI between machines."""
    return True


def is_mpi_available() -> bool:
    """Whether mpi4py is installed."""
    return importlib.util.find_spec("mpi4py") is not None


def is_nccl_available() -> bool:
    """True where GPUs can talk through NCCL: there is a GPU, and CuPy finds NCCL's library."""
    from distrt.comm.nccl import library  # most programs never ask

    return library.find() is not None


def nccl_timeout() -> timedelta:
    """How long operations between GPUs may take where nobody says."""
    return default_pg_nccl_timeout or timedelta(minutes=10)


def is_ucc_available() -> bool:
    """False: there is no such backend here."""
    return False


def is_xccl_available() -> bool:
    """False: there is no such backend here."""
    return False


_AVAILABLE: dict[str, Callable[[], bool]] = {
    "gloo": is_gloo_available,
    "mpi": is_mpi_available,
    "nccl": is_nccl_available,
    "ucc": is_ucc_available,
    "xccl": is_xccl_available,
    "fake": lambda: False,
}


def is_backend_available(backend: str) -> bool:
    """Whether a backend of this name, or all of those in pairs such as "cpu:gloo,cuda:nccl", can be had."""
    if ":" in backend:
        return all(is_backend_available(name) for name in BackendConfig(backend).device_backend_map.values())
    name = backend.lower()
    return _AVAILABLE[name]() if name in _AVAILABLE else name in Backend.backend_list


def supports_complex(reduceOp: Any) -> bool:  # noqa: N803 - PyTorch's own spelling
    """Whether complex numbers can be combined so: as in PyTorch, products count as not."""
    return reduceOp not in (
        ReduceOp.MAX,
        ReduceOp.MIN,
        ReduceOp.PRODUCT,
        ReduceOp.BAND,
        ReduceOp.BOR,
        ReduceOp.BXOR,
    )


_OWN = frozenset((Backend.GLOO, Backend.NCCL, Backend.MPI, Backend.SHM))


def is_registered(name: str) -> bool:
    """Whether a function that a script registered serves a backend."""
    return name not in _OWN and name.upper() in Backend._plugins


def served(backend: str | None) -> tuple[str, str]:
    """What ``get_backend`` and a group's ``name()`` answer where the user asked for ``backend``.

    Without a GPU, "nccl" is served as "gloo", with a warning, so that a script does not go on to move its model to one.

    Raises:
        ValueError: no text, or malformed pairs.
        AssertionError: a name that is not known.
    """
    asked = Backend(Backend.UNDEFINED if backend is None else backend)
    if asked == Backend.NCCL and not device_count():
        warn("no GPU is available, so backend 'nccl' is served by shared memory")
        asked = Backend.GLOO
    by_device = BackendConfig(asked).device_backend_map
    for name in by_device.values():
        if name not in _OWN and not is_registered(name):
            raise AssertionError(
                f"Unknown backend type {name}: expected gloo, mpi, nccl, shm, or pairs such as 'cpu:gloo,cuda:nccl'"
            )
    return asked, by_device.get("cpu") or next(iter(by_device.values()))
