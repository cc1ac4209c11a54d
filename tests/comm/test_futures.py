"""Futures: each claim is one function of a module, run on PyTorch's and on ours; and ours under many threads."""

import logging
import pickle
import threading
import time

import pytest

import distrt
from distrt.futures import Future, collect_all, wait_all


def outcome(call):
    """What a call gives: its value, or the exception's class and first line."""
    try:
        return "value", call()
    except Exception as error:
        return type(error).__name__, str(error).partition("\n")[0]


def doubled(future):
    return 2 * future.wait()


def failing(future):
    raise KeyError("k")


def a_result(m):
    future = m.Future()
    before = future.done()
    child = future.then(doubled)
    future.set_result(5)
    return before, future.done(), future.wait(), future.value(), child.wait(), child.done()


def a_second_result(m):
    future = m.Future()
    future.set_result(1)
    return outcome(lambda: future.set_result(2)), future.wait()


def an_exception_set(m):
    future = m.Future()
    future.set_exception(ValueError("foo"))
    again = outcome(lambda: future.set_exception(ValueError("bar")))
    return future.done(), outcome(future.wait), outcome(future.value), again


def the_same_exception_each_time(m):
    future, error = m.Future(), ValueError("v")
    future.set_exception(error)
    caught = []
    for _ in range(2):
        try:
            future.wait()
        except ValueError as found:
            caught.append(found is error)
    return caught


def not_an_exception(m):
    return [outcome(lambda each=each: m.Future().set_exception(each)) for each in (5, "x", ValueError)]


def callbacks_in_order(m):
    future, order = m.Future(), []
    for number in range(3):
        future.add_done_callback(lambda found, number=number: order.append((number, found.value())))
    child = future.then(lambda found: order.append("then"))
    future.set_result(7)
    future.add_done_callback(lambda found: order.append("at once"))
    return order, child.wait()


def a_callback_is_given_the_future_itself(m):
    future, seen = m.Future(), []
    future.add_done_callback(lambda found: seen.append((found is future, found.done())))
    future.set_result(None)
    return seen


def a_chain(m):
    future = m.Future()
    last = future.then(doubled).then(doubled).then(lambda found: found.value() + 1)
    future.set_result(3)
    return last.wait()


def a_failing_then(m):
    future = m.Future()
    before = future.then(failing)
    future.set_result(1)
    after = future.then(lambda found: 1 / 0)
    return [(child.done(), outcome(child.wait), outcome(child.value)) for child in (before, after)]


def a_failing_chain(m):
    future = m.Future()
    child = future.then(failing).then(doubled)
    ignored = child.then(lambda found: "called all the same")
    future.set_result(1)
    return outcome(child.wait), ignored.wait()


def an_exception_in_then(m):
    future = m.Future()
    future.set_exception(ValueError("foo"))
    return outcome(future.then(doubled).wait), future.then(lambda found: 3).wait()


def an_interrupt_in_then(m):
    def interrupt(future):
        raise KeyboardInterrupt("k")

    future = m.Future()
    child = future.then(interrupt)
    future.set_result(1)
    return outcome(child.wait)


def a_child_that_was_completed_before(m):
    future = m.Future()
    child = future.then(doubled)
    child.set_result(8)
    return outcome(lambda: future.set_result(1))[0], child.wait()


def collecting(m):
    futures = [m.Future(), m.Future()]
    collected = m.collect_all(futures)
    states = [collected.done()]
    for number, future in enumerate(futures):
        future.set_result(number)
        states.append(collected.done())
    return states, type(collected.wait()), [future.wait() for future in collected.wait()], m.wait_all(futures)


def collecting_nothing(m):
    return m.collect_all([]).wait(), m.wait_all([]), m.wait_all(())


def collecting_what_is_done(m):
    future = m.Future()
    future.set_result(1)
    return m.collect_all((future, future)).done(), m.wait_all((future, future))


def collecting_exceptions_that_were_set(m):
    first, second = m.Future(), m.Future()
    collected = m.collect_all([first, second])
    child = collected.then(lambda found: found.done())
    second.set_exception(ValueError("second"))
    early = collected.done()
    first.set_exception(ValueError("first"))
    waited = outcome(lambda: m.wait_all([first, second]))
    return early, collected.done(), outcome(collected.wait), outcome(collected.value), child.wait(), waited


def collecting_a_failed_callback(m):
    first, second = m.Future(), m.Future()
    children = [first.then(failing), second.then(lambda found: 1 / 0)]
    collected = m.collect_all(children)
    second.set_result(1)
    early = collected.done()
    first.set_result(1)
    return early, outcome(collected.wait), outcome(lambda: m.wait_all(children))


def devices(m):
    wanted = (None, [], ["cpu:0"], ["cpu"], ["meta"])
    return [outcome(lambda each=each: m.Future(devices=each).done()) for each in wanted]


def wrong_arguments(m):
    future = m.Future()
    calls = (
        lambda: future.then(5),
        lambda: future.add_done_callback(None),
        lambda: m.collect_all([1]),
        lambda: m.collect_all(None),
        lambda: m.Future(["cpu:0"]),
        lambda: m.Future(devices=["cuda:0"]),
    )
    names = [outcome(call)[0] for call in calls]
    return ["RuntimeError" if name == "DeviceMissing" else name for name in names]


def a_value_too_early(m):
    return outcome(m.Future().value)[0]


def pickling(m):
    return outcome(lambda: pickle.dumps(m.Future()))


CLAIMS = (
    a_result,
    a_second_result,
    an_exception_set,
    the_same_exception_each_time,
    not_an_exception,
    callbacks_in_order,
    a_callback_is_given_the_future_itself,
    a_chain,
    a_failing_then,
    a_failing_chain,
    an_exception_in_then,
    an_interrupt_in_then,
    a_child_that_was_completed_before,
    collecting,
    collecting_nothing,
    collecting_what_is_done,
    collecting_exceptions_that_were_set,
    collecting_a_failed_callback,
    devices,
    wrong_arguments,
    a_value_too_early,
    pickling,
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_futures_do_what_pytorchs_do(claim, torch):
    assert claim(distrt.futures) == claim(torch.futures)


def test_an_error_of_a_callback_says_where_it_was_and_keeps_its_cause():
    future = Future()
    future.set_result(1)
    with pytest.raises(
        RuntimeError, match=r"callback: KeyError: 'k'\n\nAt:\n  .*test_futures\.py\(\d+\): failing\n"
    ) as caught:
        future.then(failing).wait()
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_of_a_done_callback_is_logged_and_the_others_run(caplog):
    future, order = Future(), []
    future.add_done_callback(lambda found: order.append(1))
    future.add_done_callback(failing)
    future.add_done_callback(lambda found: order.append(2))
    with caplog.at_level(logging.ERROR):
        future.set_result(None)
    assert order == [1, 2] and future.wait() is None
    assert "Got the following error when running the callback: KeyError: 'k'" in caplog.text


def test_a_future_of_an_unsettled_one_says_so_in_words():
    with pytest.raises(RuntimeError, match="not completed yet"):
        Future().value()


def test_a_future_can_be_annotated():
    assert Future[int] is not None


def test_waiting_threads_get_the_value_that_another_thread_sets():
    future = Future()
    results = []
    threads = [threading.Thread(target=lambda: results.append(future.wait())) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.01)
    future.set_result("x")
    for thread in threads:
        thread.join(10)
    assert results == ["x"] * 4


def test_under_many_threads_each_callback_runs_once_and_one_result_wins():
    for _ in range(50):
        future, calls, refused = Future(), [], []
        gate = threading.Barrier(6)

        def add(future=future, calls=calls, gate=gate):
            gate.wait(10)
            for number in range(20):
                future.add_done_callback(lambda found, number=number: calls.append(number))

        def complete(value, future=future, refused=refused, gate=gate):
            gate.wait(10)
            try:
                future.set_result(value)
            except RuntimeError:
                refused.append(value)

        threads = [threading.Thread(target=add) for _ in range(3)]
        threads += [threading.Thread(target=complete, args=(value,)) for value in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert sorted(calls) == sorted(list(range(20)) * 3)
        assert len(refused) == 2 and {future.wait(), *refused} == {0, 1, 2}


def test_futures_completed_by_several_threads_are_collected_once():
    for _ in range(50):
        futures = [Future() for _ in range(8)]
        collected = collect_all(futures)
        threads = [
            threading.Thread(target=future.set_result, args=(number,))
            for number, future in enumerate(futures)
        ]
        for thread in threads:
            thread.start()
        assert [future.value() for future in collected.wait()] == list(range(8))
        for thread in threads:
            thread.join(10)


def driven(value=None, error=None):
    """A future that nobody completes but who waits for it, as an operation's may be."""
    future = Future()

    def drive():
        if error is not None:
            raise error
        future.set_result(value)

    future._drive = drive
    return future


def test_waiting_for_a_future_or_what_hangs_on_it_does_the_work_itself():
    assert driven(2).wait() == 2
    assert driven(2).then(doubled).then(doubled).wait() == 8
    assert wait_all([driven(1), driven(2).then(doubled)]) == [1, 4]


def test_what_keeps_an_operation_from_ending_is_raised_to_who_waits():
    with pytest.raises(TimeoutError, match="late"):
        driven(error=TimeoutError("late")).then(doubled).wait()


def test_the_exception_of_an_operation_is_told_once():
    future = Future()

    def drive():
        future.set_exception(ValueError("lost"))
        raise ValueError("lost, as the operation says it")

    future._drive = drive
    with pytest.raises(ValueError, match=r"^lost$"):
        future.wait()
