"""Whether MPI takes the memory of GPUs as it is: what the library says, what was set, and what all ranks agree on.

An MPI that does not, and is given such memory all the same, ends in SIGSEGV. So everything that can be asked has to say
yes, on every rank; else what is on a GPU goes through the memory of the CPU (`distrt.comm.through_host`).
"""

from __future__ import annotations

import ctypes
import logging
import os
from typing import Any, NamedTuple

import numpy as np

from distrt.core.errors import SettingError

__all__ = ["VARIABLE", "Answer", "agreed", "ask", "read_wish"]

_log = logging.getLogger(__name__)

VARIABLE = "DISTRT_MPI_CUDA"

_CUDA = 0  # MPIX_GPU_SUPPORT_CUDA, as MPICH's mpi.h has it

#: What is in the texts of libraries whose answers are known (in capitals).
_KNOWN = ("OPEN MPI", "MPICH", "MVAPICH", "INTEL(R) MPI")

#: The same, and which variables switch GPUs on there: the library says yes without them, or does not say. MVAPICH
#: answers for how it was compiled; Cray's needs the variable beside its GTL.
_SWITCHES = {
    "CRAY MPICH": ("MPICH_GPU_SUPPORT_ENABLED",),
    "MVAPICH": ("MV2_USE_CUDA", "MVP_USE_CUDA"),
}

#: What Open MPI keeps to. Its function answers for how it was compiled before version 5, and conda-forge's build of it,
#: which has CUDA, has this off.
_OF_OPEN_MPI = "opal_cuda_support"


class Answer(NamedTuple):
    """What one rank says, and why."""

    is_aware: bool
    why: str


def read_wish() -> bool | None:
    """What ``DISTRT_MPI_CUDA`` says: 1 gives MPI the memory of GPUs, 0 does not; None where it is not set.

    Raises:
        SettingError: it is something else.
    """
    given = os.environ.get(VARIABLE, "")
    if given not in ("", "0", "1"):
        raise SettingError(
            f"{VARIABLE}={given!r}: expected 1 (MPI is given the memory of GPUs), 0 (it is not), or nothing (it is "
            "where MPI says that it is CUDA-aware)"
        )
    return None if not given else given == "1"


def ask(library: Any, version: str) -> Answer:
    """What this rank's MPI says, once it has begun; what was set comes first.

    Args:
        library: MPI, as ctypes has it.
        version: what ``MPI_Get_library_version`` says.

    Raises:
        SettingError: see `read_wish`.

    Source: https://docs.open-mpi.org/en/v5.0.x/man-openmpi/man3/MPIX_Query_cuda_support.3.html and
        https://www.mpich.org/static/docs/v4.0.x/www3/MPIX_GPU_query_support.html
    """
    wish = read_wish()
    if wish is not None:
        return Answer(wish, f"{VARIABLE}={int(wish)}")
    answers = {name: answer for name, answer in _said(library).items() if answer is not None}
    if not answers:
        return Answer(False, "MPI has no function that tells")
    for name, answer in answers.items():
        if not answer:
            return Answer(False, f"{name} says no")
    if not any(each in version.upper() for each in _KNOWN):
        return Answer(False, f"what {' and '.join(answers)} means in this MPI is not known")
    if _variable(library, _OF_OPEN_MPI) is False:
        return Answer(False, f"{_OF_OPEN_MPI} is off (OMPI_MCA_{_OF_OPEN_MPI}=1 puts it on)")
    for start, names in _SWITCHES.items():
        if start in version.upper() and not any(_is_on(name) for name in names):
            return Answer(False, f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not set")
    return Answer(True, f"{' and '.join(answers)} say{'s' * (len(answers) == 1)} yes")


def _said(library: Any) -> dict[str, bool | None]:
    """What each function says that MPIs have for this; None where this one lacks it."""
    return {
        "MPIX_GPU_query_support": _of_mpich(getattr(library, "MPIX_GPU_query_support", None)),
        "MPIX_Query_cuda_support": _of_open_mpi(getattr(library, "MPIX_Query_cuda_support", None)),
    }


def _of_mpich(query: Any) -> bool | None:
    if query is None:
        return None
    flag = ctypes.c_int(0)
    return query(ctypes.c_int(_CUDA), ctypes.byref(flag)) == 0 and flag.value == 1


def _of_open_mpi(query: Any) -> bool | None:
    return None if query is None else query() == 1


def _variable(library: Any, name: str) -> bool | None:
    """Whether a control variable of MPI's is on; None where this MPI has none of the name.

    Source: MPI 4.1, section 15.3 (the tool information interface).
    """
    if library.MPI_T_init_thread(0, ctypes.byref(ctypes.c_int())):
        return None
    try:
        index, handle, count = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_int()
        if library.MPI_T_cvar_get_index(name.encode(), ctypes.byref(index)):
            return None
        if library.MPI_T_cvar_handle_alloc(index, None, ctypes.byref(handle), ctypes.byref(count)):
            return None
        value = ctypes.create_string_buffer(8)  # of one byte or four, as versions like it
        code = library.MPI_T_cvar_read(handle, value)
        library.MPI_T_cvar_handle_free(ctypes.byref(handle))
        return None if code else any(value.raw)
    finally:
        library.MPI_T_finalize()


def _is_on(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() not in ("", "0", "off", "no", "false")


def agreed(comm: Any, mine: Answer) -> bool:
    """Whether all ranks' MPI takes the memory of GPUs; all of them call."""
    answers = np.zeros(comm.Get_size(), np.uint8)
    comm.Allgather(np.array([mine.is_aware], np.uint8), answers)
    is_agreed = bool(answers.all())
    if mine.is_aware and not is_agreed:
        tell = _log.warning if read_wish() else _log.info
        tell(
            "what is on a GPU goes through the memory of the CPU, though here %s: the MPI of %s does not take it",
            mine.why,
            _ranks([rank for rank, answer in enumerate(answers) if not answer]),
        )
    elif comm.Get_rank() == 0:
        way = "is given to MPI" if is_agreed else "goes through the memory of the CPU"
        _log.info("what is on a GPU %s: %s", way, mine.why)
    return is_agreed


def _ranks(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
    return f"rank{'s' * (len(numbers) > 1)} {shown}"
