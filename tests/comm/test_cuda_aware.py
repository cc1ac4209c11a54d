"""Whether MPI is given the memory of GPUs: what libraries say, what is set, and what the ranks agree on."""

import logging

import numpy as np
import pytest

from distrt.comm.environment import Environment
from distrt.comm.mpi import cuda_aware
from distrt.comm.mpi.cuda_aware import Answer, agreed, ask
from distrt.comm.mpi.start import start_mpi
from distrt.core.errors import SettingError
from tests.comm.test_pmi import Board

OPEN_MPI = "Open MPI v5.0.11, package: Open MPI user@localhost Distribution"
MPICH = "MPICH Version:      5.0.2"
CRAY = "MPI VERSION    : CRAY MPICH version 8.1.30.8 (ANL base 3.4a2)"
MVAPICH = "MVAPICH Version       :     2.3.7"


class Library:
    """An MPI as ctypes has it, with the functions that are given, and Open MPI's variable."""

    def __init__(self, cuda=None, gpu=None, code=0, variable=None):
        self.variable, self.is_open = variable, False
        if cuda is not None:
            self.MPIX_Query_cuda_support = lambda: cuda
        if gpu is not None:

            def query(kind, flag):
                assert kind.value == 0  # MPIX_GPU_SUPPORT_CUDA
                flag._obj.value = gpu
                return code

            self.MPIX_GPU_query_support = query

    def MPI_T_init_thread(self, required, provided):
        self.is_open = True
        return 0

    def MPI_T_cvar_get_index(self, name, index):
        assert name == b"opal_cuda_support"
        index._obj.value = 15
        return 0 if self.variable is not None else 73

    def MPI_T_cvar_handle_alloc(self, index, of, handle, count):
        handle._obj.value = index.value
        return 0

    def MPI_T_cvar_read(self, handle, value):
        assert handle.value == 15
        value[0] = self.variable
        return 0

    def MPI_T_cvar_handle_free(self, handle):
        return 0

    def MPI_T_finalize(self):
        self.is_open = False


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch):
    for name in (cuda_aware.VARIABLE, "MPICH_GPU_SUPPORT_ENABLED", "MV2_USE_CUDA", "MVP_USE_CUDA"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("library", "version", "expected"),
    [
        (Library(cuda=1), OPEN_MPI, Answer(True, "MPIX_Query_cuda_support says yes")),
        (Library(cuda=0), OPEN_MPI, Answer(False, "MPIX_Query_cuda_support says no")),
        (
            Library(cuda=1, gpu=1),
            MPICH,
            Answer(True, "MPIX_GPU_query_support and MPIX_Query_cuda_support say yes"),
        ),
        (Library(cuda=1, gpu=0), MPICH, Answer(False, "MPIX_GPU_query_support says no")),
        (Library(cuda=0, gpu=1), MPICH, Answer(False, "MPIX_Query_cuda_support says no")),
        (Library(gpu=1, code=15), MPICH, Answer(False, "MPIX_GPU_query_support says no")),
        (Library(), OPEN_MPI, Answer(False, "MPI has no function that tells")),
        (Library(cuda=1, variable=1), OPEN_MPI, Answer(True, "MPIX_Query_cuda_support says yes")),
        (
            Library(cuda=1, variable=0),
            OPEN_MPI,
            Answer(False, "opal_cuda_support is off (OMPI_MCA_opal_cuda_support=1 puts it on)"),
        ),
        (
            Library(cuda=1),
            "IBM Spectrum MPI v10.3",
            Answer(False, "what MPIX_Query_cuda_support means in this MPI is not known"),
        ),
    ],
)
def test_every_function_that_a_library_has_must_say_yes(library, version, expected):
    assert ask(library, version) == expected
    assert not library.is_open


@pytest.mark.parametrize(
    ("library", "version", "name"),
    [(Library(gpu=1), CRAY, "MPICH_GPU_SUPPORT_ENABLED"), (Library(cuda=1), MVAPICH, "MV2_USE_CUDA")],
)
def test_where_a_variable_switches_gpus_on_it_counts_beside_the_library(monkeypatch, library, version, name):
    assert not ask(library, version).is_aware
    assert name in ask(library, version).why
    monkeypatch.setenv(name, "0")
    assert not ask(library, version).is_aware
    monkeypatch.setenv(name, "1")
    assert ask(library, version).is_aware


@pytest.mark.parametrize("library", [Library(), Library(cuda=0), Library(cuda=1)])
@pytest.mark.parametrize("wish", ["0", "1"])
def test_what_is_set_comes_first(monkeypatch, library, wish):
    monkeypatch.setenv(cuda_aware.VARIABLE, wish)
    assert ask(library, OPEN_MPI) == Answer(wish == "1", f"DISTRT_MPI_CUDA={wish}")


def test_another_value_is_refused_before_a_rank_waits_for_others(monkeypatch):
    monkeypatch.setenv(cuda_aware.VARIABLE, "yes")
    place = Environment(rank=0, world_size=2)
    with pytest.raises(SettingError, match=r"DISTRT_MPI_CUDA='yes': expected 1 .*, 0 .*, or nothing"):
        start_mpi(place, Board(), 5.0)


class Ranks:
    """A communicator of three ranks, of which this is the first; the others have answered."""

    def __init__(self, *others):
        self.others = others

    def Get_size(self):
        return 3

    def Get_rank(self):
        return 0

    def Allgather(self, mine, answers):
        answers[:] = np.array([mine[0], *self.others])


@pytest.mark.parametrize(("wish", "level"), [(None, "INFO"), ("1", "WARNING")])
def test_one_rank_without_it_is_named_and_decides_for_all(monkeypatch, caplog, wish, level):
    if wish:
        monkeypatch.setenv(cuda_aware.VARIABLE, wish)
    caplog.set_level(logging.INFO, "distrt.comm.mpi.cuda_aware")
    mine = ask(Library(cuda=1), OPEN_MPI)
    assert agreed(Ranks(1, 1), mine)
    assert not agreed(Ranks(1, 0), mine)
    assert caplog.records[-1].levelname == level
    assert "the MPI of rank 2 does not take it" in caplog.records[-1].getMessage()
    assert not agreed(Ranks(1, 1), Answer(False, "for a test"))
