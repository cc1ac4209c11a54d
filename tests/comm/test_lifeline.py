"""The lifelines and their hub: strangers, members that send rubbish or do not read, and who counts as dead."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from distrt.comm.machines import address
from distrt.comm.machines.address import Trusted, listening_place, network_place, open_any
from distrt.comm.machines.hub import _MAX_UNREAD_BYTES, Hub
from distrt.comm.machines.lifeline import Lifeline, _hub_secret
from distrt.comm.machines.news import FAILURE_BYTES, News, group_key
from distrt.comm.stores import wire
from distrt.comm.stores.client import Store, StoreServer
from distrt.comm.stores.door import MAX_STRANGERS
from distrt.core.errors import RendezvousError

SECRET = bytes(range(32))
SIZE = 6
PROMPT_S = 5.0  # how late an answer may be on a machine with other work


def call(hub: Hub, rank: int | None, secret: bytes = SECRET, timeout_s: float = 10.0) -> Trusted:
    return open_any(["127.0.0.1"], hub.port, timeout_s, secret, rank)


class Member:
    """A rank of which the test says every frame."""

    def __init__(self, hub: Hub, rank: int, joins: bool = True) -> None:
        self.rank = rank
        _, self.connection, self.reader, self.seal = call(hub, rank)
        if joins:
            self.say(News("joins", rank))

    def say(self, what: News | wire.Message) -> None:
        self.say_raw(what.frame(self.seal) if isinstance(what, News) else wire.encode_frame(what, self.seal))

    def say_raw(self, frame: bytes) -> None:
        self.connection.settimeout(PROMPT_S)
        self.connection.sendall(frame)

    def say_body(self, body: bytes) -> None:
        mark = self.seal.next(body)
        self.say_raw(struct.pack(">I", len(mark) + len(body)) + mark + body)

    def hear(self, timeout_s: float = PROMPT_S) -> News | None:
        """The next message; None where nothing comes."""
        try:
            message = wire.receive(self.connection, self.reader, time.monotonic() + timeout_s)
        except TimeoutError:
            return None
        return News.read(message, SIZE)

    def is_cut(self) -> bool:
        try:
            while self.hear() is not None:
                pass
        except OSError:
            return True
        return False

    def leave(self) -> None:
        self.connection.close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub(SIZE, SECRET, "127.0.0.1")
    yield made
    assert made._thread.is_alive()
    made.close()
    assert not made._thread.is_alive()


@pytest.fixture
def member(hub: Hub) -> Iterator[Callable[..., Member]]:
    made: list[Member] = []

    def make(rank: int, joins: bool = True) -> Member:
        made.append(Member(hub, rank, joins))
        return made[-1]

    yield make
    for each in made:
        each.leave()


@pytest.fixture
def lifelines(hub: Hub) -> Iterator[list[Lifeline]]:
    made = [Lifeline(rank, SIZE, call(hub, rank), None) for rank in range(2)]
    yield made
    for each in made:
        each.close()


def wait_until(condition: Callable[[], object], timeout_s: float = PROMPT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition was not reached in time"
        time.sleep(0.005)


def require_well(lifelines: list[Lifeline], mark: str) -> None:
    """That the lifelines hear of one another still."""
    for each in lifelines:
        each.close_group(mark)
    for each in lifelines:
        for other in lifelines:
            wait_until(lambda each=each, other=other: group_key(mark) in each._closed.get(other.rank, {}))
        assert each._thread.is_alive() and 0 not in each.lost


def test_strangers_hold_few_descriptors_and_keep_no_member_out(hub: Hub, lifelines: list[Lifeline]) -> None:
    before, count, strangers = len(os.listdir("/proc/self/fd")), 400, []
    try:
        for _ in range(count):
            strangers.append(socket.socket())
            strangers[-1].setblocking(False)
            strangers[-1].connect_ex(("127.0.0.1", hub.port))
        for _ in range(20):
            assert len(os.listdir("/proc/self/fd")) <= before + count + MAX_STRANGERS + 1
            time.sleep(0.01)
        call(hub, 2, timeout_s=30.0).connection.close()
        require_well(lifelines, "meanwhile")
    finally:
        for stranger in strangers:
            stranger.close()
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before)


@pytest.mark.parametrize(
    "saying",
    [
        os.urandom(5000),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 4,
        struct.pack(">I", 1000) + b"[" * 1000,
        wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": "n", "rank": -1}),
        wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": "\ud800", "rank": 0}),
    ],
    ids=["random", "http", "4 GB", "deep", "rank -1", "half a surrogate"],
)
def test_what_a_stranger_says_is_not_heard(hub: Hub, lifelines: list[Lifeline], saying: bytes) -> None:
    with socket.create_connection(("127.0.0.1", hub.port), timeout=5) as stranger:
        with contextlib.suppress(ConnectionError):
            stranger.sendall(saying)
        require_well(lifelines, "after")
    assert not lifelines[1].lost


PASSED_OVER: dict[str, wire.Message] = {
    "nothing": {},
    "no kind": {"kind": "pickle"},
    "a kind that is a list": {"kind": ["meets"]},
    "a meeting that is a list": {"kind": "meets", "number": [[1]], "group": "", "to": 0, "is_well": True},
    "a meeting that is a text": {"kind": "meets", "number": "x", "group": "", "to": 0, "is_well": True},
    "half a meeting": {"kind": "meets", "number": 0.5, "group": "", "to": 0, "is_well": True},
    "meeting true": {"kind": "meets", "number": True, "group": "", "to": 0, "is_well": True},
    "a huge meeting": {"kind": "meets", "number": 10**400, "group": "", "to": 0, "is_well": True},
    "meeting 9": {"kind": "meets", "number": 9, "group": "", "to": 0, "is_well": True},
    "a group that is a list": {"kind": "closes", "number": 0, "group": [1], "to": 0, "is_well": True},
    "a long group": {"kind": "closes", "number": 0, "group": "g" * 500, "to": 0, "is_well": True},
    "asks nobody": {"kind": "asks", "number": 0, "group": "", "to": SIZE, "is_well": True},
    "asks a text": {"kind": "asks", "number": 0, "group": "", "to": "0", "is_well": True},
    "leaves neither well nor not": {"kind": "leaves", "number": 0, "group": "", "to": 0, "is_well": "x"},
    "a long failure": vars(News("leaves", 3)) | {"value": bytes(FAILURE_BYTES + 1)},
    "somebody is lost": vars(News("lost", 1)),
    "joins again": vars(News("joins", 3)),
    "shows what nobody asked for": vars(News("shows", 3, value=b"x")),
    "the protocol before": {"meets": [[1]]},
}


def test_what_a_member_says_and_cannot_be_is_passed_over(
    hub: Hub, member: Callable[..., Member], lifelines: list[Lifeline]
) -> None:
    broken = member(3)
    for name, message in PASSED_OVER.items():
        broken.say(message)
        require_well(lifelines, name)
        for each in lifelines:
            assert not each.lost and not each.left and not each._met and not each._shown, name
    member(4).say(News("meets", 4, number=1))
    broken.say(News("meets", 3, number=1))  # the hub hears it still
    for each in lifelines:
        wait_until(lambda each=each: each._met == {3: 1, 4: 1})


CUT = {
    "a list": b"[]",
    "no json": b"no json",
    "deep": b"[" * 1000,
    "a name twice": b'{"kind":"joins","kind":"joins"}',
    "a text that is too long": b'{"kind":"closes","group":"%s"}' % ("é".encode() * 450_000),
}


@pytest.mark.parametrize("body", CUT.values(), ids=CUT)
def test_what_is_no_message_ends_the_members_connection_only(
    member: Callable[..., Member], lifelines: list[Lifeline], body: bytes
) -> None:
    broken = member(3)
    with contextlib.suppress(ConnectionError):
        broken.say_body(body)
    assert broken.is_cut()
    require_well(lifelines, "after")
    assert [set(each.lost) for each in lifelines] == [{3}, {3}]
    require_well([*lifelines], "and on")
    member(4).say(News("closes", 4, group=group_key("late")))
    wait_until(lambda: 4 in lifelines[0]._closed)


@pytest.mark.parametrize("frame", [b"\xff" * 4, b"\0\0\0\0", struct.pack(">I", 40) + bytes(40)])
def test_a_frame_without_the_conversations_seal_is_refused(
    member: Callable[..., Member], lifelines: list[Lifeline], frame: bytes
) -> None:
    broken = member(3)
    broken.say_raw(frame)
    assert broken.is_cut()
    require_well(lifelines, "after")
    other = member(4)
    good = News("closes", 4, group=group_key("said once")).frame(other.seal)
    other.say_raw(good + good)  # recorded, and said again
    assert other.is_cut()
    wait_until(lambda: set(lifelines[0].lost) == {3, 4})
    plain = member(5)
    plain.say_raw(wire.encode_frame(vars(News("leaves", 5)) | {"value": ""}))
    assert plain.is_cut()
    wait_until(lambda: set(lifelines[0].lost) == {3, 4, 5})


def without_tcp(patch: pytest.MonkeyPatch) -> None:
    """Lets a lifeline have a socket pair, which takes none of TCP's options."""
    for name in ("keep_alive", "limit_unacknowledged"):
        patch.setattr(f"distrt.comm.machines.lifeline.{name}", lambda connection: None)


@contextlib.contextmanager
def told_by_hand(rank: int = 1) -> Iterator[tuple[Lifeline, Callable[[wire.Message], None]]]:
    """A lifeline, and how to be its hub."""
    theirs, ours = socket.socketpair()
    seals = [wire.Seal(SECRET, side, "a", "b", rank) for side in ("client", "server", "server")]
    reader = wire.FrameReader()
    reader.seal = seals[1]
    with theirs, pytest.MonkeyPatch.context() as patch:
        without_tcp(patch)
        lifeline = Lifeline(rank, SIZE, Trusted("", ours, reader, seals[0]), None)
        try:
            yield lifeline, lambda message: theirs.sendall(wire.encode_frame(message, seals[2]))
        finally:
            lifeline.close()


def test_a_lifeline_takes_nothing_that_cannot_be_and_goes_on_listening() -> None:
    with told_by_hand() as (lifeline, tell):
        for message in PASSED_OVER.values():
            if message.get("kind") != "lost":
                tell({"rank": 3, **message})
        for message in ({"kind": "lost", "rank": SIZE}, {"kind": "lost"}, {"lost": "x"}, {"meets": "x"}):
            tell(message)
        for value in (b"", b"x", os.urandom(1000), b"\x78\x01"):
            tell(vars(News("shows", 3, to=1, value=value)))
        for number in range(4200):
            tell(vars(News("closes", 3, group=f"{number}")))
        tell(vars(News("lost", 2)))
        wait_until(lambda: set(lifeline.lost) == {2})
        assert len(lifeline._closed[3]) == 4096  # the last
        assert lifeline._thread.is_alive()


def test_a_lifeline_whose_hub_is_gone_takes_rank_0_for_dead() -> None:
    theirs, ours = socket.socketpair()
    seal = wire.Seal(SECRET, "client", "a", "b", 1)
    with pytest.MonkeyPatch.context() as patch:
        without_tcp(patch)
        lifeline = Lifeline(1, SIZE, Trusted("", ours, wire.FrameReader(), seal), None)
    theirs.close()
    wait_until(lambda: set(lifeline.lost) == {0})
    lifeline.close()


def test_a_member_that_does_not_read_holds_nobody_and_hears_of_deaths_when_it_reads_on(
    hub: Hub, member: Callable[..., Member], lifelines: list[Lifeline]
) -> None:
    deaf, dying = member(2), member(3)
    shown = News("shows", 4, to=2, value=os.urandom(160_000))
    showing, rounds = member(4), 0
    wait_until(lambda: {2, 4} <= hub._ranks.keys())
    owed = hub._ranks[2].peer.outgoing
    are_more = 5  # rounds when it is owed too much
    while are_more:
        rounds += 1
        assert rounds < 200  # the kernel takes some MB
        are_more -= len(owed) >= _MAX_UNREAD_BYTES
        deaf.say(News("asks", 2, to=4))
        assert showing.hear() == News("asks", 2, to=4)
        showing.say(shown)
        showing.say(News("closes", 4, group=f"{rounds}"))
        assert showing.hear() == News("closes", 4, group=f"{rounds}")
    assert _MAX_UNREAD_BYTES <= len(owed) < _MAX_UNREAD_BYTES + 2 * len(shown.value)
    started = time.monotonic()
    member(5)
    dying.leave()
    wait_until(lambda: 3 in lifelines[0].lost)
    assert time.monotonic() - started < PROMPT_S
    require_well(lifelines, "after")
    while (news := deaf.hear(30)) is not None:
        if news.kind == "lost":
            break
    assert news == News("lost", 3)


def test_a_second_connection_of_a_rank_is_refused_and_its_end_is_no_death(
    member: Callable[..., Member], lifelines: list[Lifeline]
) -> None:
    first = member(2)
    first.say(News("closes", 2, group="one"))
    wait_until(lambda: "one" in lifelines[0]._closed.get(2, {}))
    second = member(2)
    assert second.is_cut()
    require_well(lifelines, "after")
    assert not lifelines[0].lost and not lifelines[1].lost
    first.say(News("closes", 2, group="two"))
    wait_until(lambda: "two" in lifelines[0]._closed[2])
    first.leave()
    wait_until(lambda: set(lifelines[0].lost) == {2})
    assert member(2).is_cut()  # the dead stay dead


def test_who_proves_the_secret_and_hangs_up_before_it_joins_has_not_died(
    hub: Hub, member: Callable[..., Member], lifelines: list[Lifeline]
) -> None:
    member(2, joins=False).leave()  # as a rank whose wait for the welcome ends a moment too early
    for rank in (None, SIZE, SIZE + 1000):
        trusted = call(hub, rank)
        with contextlib.suppress(ConnectionError):
            assert trusted.connection.recv(1) == b""  # no rank of this job
        trusted.connection.close()
    says_another = member(3, joins=False)
    says_another.say(News("closes", 3, group="early"))
    assert says_another.is_cut()
    require_well(lifelines, "after")
    assert not lifelines[0].lost
    again = member(2)
    again.say(News("closes", 2, group="again"))
    wait_until(lambda: "again" in lifelines[0]._closed.get(2, {}))


def test_what_is_told_before_the_hub_has_read_that_a_rank_joins_reaches_it(
    member: Callable[..., Member], lifelines: list[Lifeline]
) -> None:
    late = member(2, joins=False)
    require_well(lifelines, "before")
    assert {late.hear(), late.hear()} == {News("closes", rank, group=group_key("before")) for rank in (0, 1)}


def test_who_comes_late_is_told_who_has_died_and_left(
    member: Callable[..., Member], lifelines: list[Lifeline]
) -> None:
    member(2).leave()
    for _ in range(20):
        lifelines[1].leave(False, "Traceback ß " + "x" * 40_000)
    lifelines[1].meet(0.0)
    wait_until(lambda: 2 in lifelines[0].lost and 1 in lifelines[0].left and 1 in lifelines[0]._met)
    late = member(3)
    heard = [late.hear() for _ in range(6)]
    assert [news.kind for news in heard if news] == ["lost", *["leaves"] * 4, "meets"]
    assert lifelines[0].failures[1] == "x" * FAILURE_BYTES
    assert lifelines[0].ended_badly().keys() == {1, 2} and late.hear(0.1) is None


def test_a_question_is_passed_on_once_until_it_is_answered(
    member: Callable[..., Member], lifelines: list[Lifeline]
) -> None:
    asked, asker = member(2), member(3)
    for _ in range(100):
        asker.say(News("asks", 3, to=2))
    asker.say(News("closes", 3, group="said"))
    assert [asked.hear(), asked.hear()] == [News("asks", 3, to=2), News("closes", 3, group="said")]
    assert asker.hear() == News("closes", 3, group="said")
    for _ in range(3):
        asked.say(News("shows", 2, to=3, value=b"page"))
        asked.say(News("shows", 2, to=0, value=b"nobody asked"))
    assert asker.hear() == News("shows", 2, to=3, value=b"page")
    asker.say(News("asks", 3, to=2))
    assert asked.hear() == News("asks", 3, to=2)
    assert asker.hear(0.1) is None and not lifelines[0]._shown


def test_a_rank_that_does_not_answer_is_asked_seldom(
    monkeypatch: pytest.MonkeyPatch, lifelines: list[Lifeline]
) -> None:
    asked: list[float] = []
    clock = [1000.0]
    monkeypatch.setattr(lifelines[0], "_send", lambda news: asked.append(clock[0]))
    monkeypatch.setattr("distrt.comm.machines.lifeline.time.monotonic", lambda: clock[0])
    for _ in range(10_000):  # 1000 s
        lifelines[0].peek(5)
        clock[0] += 0.1
    monkeypatch.undo()
    assert len(asked) < 50 and asked[1] - asked[0] < 0.5


def test_without_the_jobs_secret_what_the_store_shows_opens_no_hub() -> None:
    with contextlib.ExitStack() as stack:
        server = StoreServer()
        stack.callback(server.close)
        stores = [stack.enter_context(Store(server.host, server.port, rank=rank)) for rank in range(2)]
        lifelines: list[Lifeline | None] = [None, None]

        def connect(rank: int) -> None:
            lifelines[rank] = Lifeline.connect(rank, 2, stores[rank], "life", 20.0, SECRET)

        threads = [threading.Thread(target=connect, args=(rank,), daemon=True) for rank in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        zero, one = lifelines
        assert zero is not None and one is not None and zero._hub is not None
        text = stores[0].get("life/hub").decode()
        salt = text.rpartition('"salt": "')[2].partition('"')[0]
        for secret in (bytes.fromhex(salt), _hub_secret(b"", "life", salt), _hub_secret(SECRET, "l", salt)):
            with pytest.raises(RendezvousError, match="does not hold the job's secret"):
                call(zero._hub, 1, secret, timeout_s=0.5)
        require_well([zero, one], "after")
        one.close()
        wait_until(lambda: set(zero.lost) == {1})
        zero.close()


def test_a_rank_that_cannot_connect_leaves_nothing() -> None:
    class Broken:
        def set(self, key: str, value: bytes) -> None:
            if "connected" in key:
                raise RendezvousError("the store is gone")
            self.values = {**getattr(self, "values", {}), key: value}

        def get(self, key: str, *, ranks: object = ()) -> bytes:
            return self.values[key]

        def add(self, key: str, amount: int) -> int:
            raise NotImplementedError

    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RendezvousError, match="the store is gone"):
        Lifeline.connect(0, 1, Broken(), "life", 5.0)
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
    assert not [thread for thread in threading.enumerate() if thread.name == "distrt-lifeline-hub"]


OTHER = (
    bytes(32) + socket.inet_aton("10.1.0.2") + socket.inet_aton("10.2.0.2") + socket.inet_aton("172.17.0.1")
)


@pytest.mark.parametrize(
    ("interfaces", "ways", "wish", "expected"),
    [
        ([("e0", "10.1.0.1")], {}, "", ("10.1.0.1", ["10.1.0.1"])),
        ([("e0", "10.1.0.1"), ("e1", "10.9.0.1")], {"10.1.0.2": "10.1.0.1"}, "", ("10.1.0.1", ["10.1.0.1"])),
        (
            [("e0", "10.1.0.1"), ("e1", "10.2.0.1"), ("e2", "10.9.0.1")],
            {"10.1.0.2": "10.1.0.1", "10.2.0.2": "10.2.0.1"},
            "",
            ("0.0.0.0", ["127.0.0.1", "10.1.0.1", "10.2.0.1"]),
        ),
        (
            [("docker0", "172.17.0.1"), ("e0", "10.1.0.1")],
            {"10.1.0.2": "10.1.0.1", "172.17.0.1": "172.17.0.1"},
            "",
            ("10.1.0.1", ["10.1.0.1"]),
        ),
        (
            [("e0", "10.1.0.1"), ("e1", "10.2.0.1")],
            {"10.1.0.2": "10.1.0.1"},
            "e1",
            ("10.2.0.1", ["10.2.0.1"]),
        ),
        (
            [("e0", "10.1.0.1"), ("e1", "10.2.0.1")],
            {},
            "",
            ("0.0.0.0", ["127.0.0.1", "10.1.0.1", "10.2.0.1"]),
        ),
    ],
    ids=["one interface", "one way", "two ways", "bridges of containers", "a wish", "no way is known"],
)
def test_rank_0_listens_where_the_ways_to_the_other_machines_leave(
    monkeypatch: pytest.MonkeyPatch,
    interfaces: list[tuple[str, str]],
    ways: dict[str, str],
    wish: str,
    expected: tuple[str, list[str]],
) -> None:
    monkeypatch.setattr(address, "_interfaces", lambda: [("lo", "127.0.0.1"), *interfaces])
    monkeypatch.setattr(address, "_source", ways.get)
    monkeypatch.setenv("DISTRT_INTERFACE", wish)
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    assert listening_place([network_place(), OTHER]) == expected
    assert listening_place([network_place()] * 3) == ("127.0.0.1", ["127.0.0.1"])


def test_a_place_has_a_length_and_the_way_to_loopback_is_loopback() -> None:
    assert len(network_place()) == len(OTHER) + 20 == 64
    assert address._source("127.0.0.9") == "127.0.0.1"
