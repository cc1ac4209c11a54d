"""``read_environment``: who am I, from the variables of several launchers."""

import pytest

from distrt.comm.environment import read_environment
from distrt.comm.stores.client import connect_store
from distrt.core.errors import RendezvousError


def test_no_variable_is_a_world_of_one() -> None:
    place = read_environment({})
    assert (place.rank, place.world_size, place.local_rank, place.local_world_size) == (0, 1, 0, 1)


def test_empty_variables_count_as_unset() -> None:
    assert read_environment({"RANK": "", "WORLD_SIZE": ""}).world_size == 1


def test_torchruns_names_are_read() -> None:
    variables = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    place = read_environment({**variables, "MASTER_ADDR": "a", "MASTER_PORT": "29500"})
    assert (place.rank, place.world_size, place.local_rank, place.local_world_size) == (3, 4, 1, 2)
    assert (place.master_addr, place.master_port, place.source) == ("a", 29500, "torchrun")


def test_without_local_variables_all_ranks_are_on_one_machine() -> None:
    place = read_environment({"RANK": "3", "WORLD_SIZE": "4"})
    assert (place.local_rank, place.local_world_size) == (3, 4)


LAUNCHED = {
    "DISTRT_RANK": "1",
    "DISTRT_WORLD_SIZE": "2",
    "DISTRT_STORE_ADDR": "h:1",
    "DISTRT_JOB_SECRET": "0aff",
}


def test_the_launchers_twins_bring_its_store_and_secret() -> None:
    place = read_environment(LAUNCHED)
    assert (place.rank, place.source, place.store_addr) == (1, "distrt-launch", "h:1")
    assert place.secret == b"\x0a\xff"
    assert "0aff" not in repr(place) and "xff" not in repr(place)


def test_the_scripts_own_ranks_do_not_use_the_launchers_store() -> None:
    place = read_environment(LAUNCHED, rank=2, world_size=8)
    assert (place.rank, place.world_size, place.store_addr) == (2, 8, None)


def test_a_script_that_repeats_the_launchers_rank_keeps_its_store() -> None:
    assert read_environment(LAUNCHED, rank=1, world_size=2).store_addr == "h:1"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "1"}, "found RANK=1, but WORLD_SIZE not"),
        ({"WORLD_SIZE": "2"}, "found WORLD_SIZE=2, but RANK not"),
        ({"LOCAL_RANK": "0"}, "RANK and WORLD_SIZE not"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "ranks are 0 to 1"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK=-1 is out of range"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK='one' is not a whole number"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "at least 1"),
        ({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "4"}, "more than WORLD_SIZE=2"),
        ({"MASTER_PORT": "70000"}, "from 0 to 65535"),
        ({"DISTRT_JOB_SECRET": "xyz"}, "not hexadecimal"),
        ({**LAUNCHED, "RANK": "0", "WORLD_SIZE": "2"}, "contradicts itself"),
    ],
)
def test_contradictions_say_what_was_found(variables: dict[str, str], message: str) -> None:
    with pytest.raises(RendezvousError, match=message):
        read_environment(variables)


@pytest.mark.parametrize("given", [{"rank": 0}, {"world_size": 2}, {"rank": 2, "world_size": 2}])
def test_a_half_given_place_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(RendezvousError, match=r"give both|outside the world"):
        read_environment({}, **given)


def test_several_ranks_without_an_address_say_what_to_set() -> None:
    with pytest.raises(RendezvousError, match="set MASTER_ADDR and MASTER_PORT"):
        connect_store(read_environment({"RANK": "0", "WORLD_SIZE": "2"}))
